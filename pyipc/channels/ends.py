"""Channels of bytes: what all their ends are."""

from __future__ import annotations

from _warnings import warn
from errno import EAGAIN, EBADF, EBADMSG, EMSGSIZE, ENOSPC, ETIMEDOUT

from .. import _deadline
from .._backend import ops
from .._member import SPINS, Member, SharedHandle, Used, pipe_end
from ..errors import error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from .._backend.protocol import Descriptor
    from ..errors import IPCError

    Self = TypeVar("Self", bound="End")

# Of the pipe "data", in which tokens tell receivers that there are messages, and of "space", which tells
# senders that there is room.
DATA_READ, DATA_WRITE, SPACE_READ, SPACE_WRITE = range(4)
RECEIVES = (DATA_READ, SPACE_WRITE)
SENDS = (DATA_WRITE, SPACE_READ)
_WRITES = (DATA_WRITE, SPACE_WRITE)


class Statistics:
    """Figures of a channel, and of one handle on it.

    Attributes:
        depth: How many messages wait.
        sent: How many were sent, ever, by anybody.
        received: How many were received.
        spins: How often this handle waited without going to sleep.
        sleeps: How often it slept.
        recoveries: How often it took over what somebody had died with.
    """

    __slots__ = ("depth", "received", "recoveries", "sent", "sleeps", "spins")

    def __init__(
        self, depth: int, sent: int, received: int, spins: int, sleeps: int, recoveries: int
    ) -> None:
        self.depth, self.sent, self.received = depth, sent, received
        self.spins, self.sleeps, self.recoveries = spins, sleeps, recoveries

    def __repr__(self) -> str:
        figures = ", ".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"Statistics({figures})"


class _Pipes(Used):
    """A handle's ends of the two pipes, closed when neither it nor a call under way needs them.

    Messages that it has do not: so views that live on keep nobody from seeing that the handle is closed.
    """

    __slots__ = ("_member", "ends")

    def __init__(self, ends: list[Descriptor]) -> None:
        super().__init__()
        self.ends = ends
        self._member: Member | None = None

    def belong_to(self, member: Member) -> None:
        self._member = member

    def _close(self) -> None:
        if self._member is not None:
            ops.channel_unplug(self._member.state)
        ops.close_all(self.ends)

    __del__ = _close


class End(SharedHandle):
    """A handle on a channel: a part in its memory, and its ends of the two pipes."""

    __slots__ = ("_face", "_pipes", "capacity", "slot_size", "slots")
    kind = "channel"
    roles: tuple[int, ...] = ()

    def _begin(self, memory: int, theirs: Sequence[int], fresh: tuple[int, int] | None = None) -> None:
        """Take part by descriptors that are left alone: of the memory, and an end of a pipe for each role.

        In *fresh* memory, make a channel of so many slots of such a size first.
        """
        numbers = [-1, -1, -1, -1]
        pipes = _Pipes([])

        def begin(memory: Any, size: int, life: int) -> Any:
            if fresh:
                result = ops.channel_format(memory, size, *fresh, numbers[SPACE_WRITE])
                if result < 0:
                    return result
            return ops.channel_open(memory, size, life, numbers, SPINS)

        for role, number in zip(self.roles, theirs):
            pipes.ends.append(pipe_end(number, write=role in _WRITES))
            numbers[role] = pipes.ends[-1].fileno()
        member = Member(memory, begin)
        pipes.belong_to(member)
        self._pipes: _Pipes | None = pipes
        super().__init__(member)
        self.slots, self.slot_size, self.capacity = ops.now_channel_figures(member.state)[:3]
        self._face = ops.channel_face(member, pipes, member.state)

    @classmethod
    def _attach(cls: type[Self], memory: int, pipes: Sequence[int]) -> Self:
        self = cls.__new__(cls)
        self._begin(memory, pipes)
        return self

    def close(self) -> None:
        """Let go of it; the channel goes with the last who has it.

        Threads of this process that wait on this handle get `ClosedError`. Closing again does nothing.
        """
        pipes = self._pipes
        self._face = self._pipes = None
        super().close()
        if pipes is not None and not ops.FREES_AT_ONCE:
            pipes.end()

    def _called(self, call: Callable[..., Any], *arguments: Any) -> Any:
        pipes = self._pipes  # which another thread may close meanwhile
        if pipes is None:
            raise error(EBADF, f"use a {self.kind}")
        result = super()._called(call, *arguments)
        del pipes
        return result

    def _counted(self, call: Callable[..., Any], *arguments: Any) -> Any:
        pipes = self._pipes
        if pipes is None or not pipes.enter():
            raise error(EBADF, f"use a {self.kind}")
        try:
            return super()._counted(call, *arguments)
        finally:
            pipes.leave()

    _call = _called if ops.FREES_AT_ONCE else _counted

    def _numbers(self) -> list[int]:
        pipes = self._pipes
        if pipes is None:
            raise error(EBADF, f"use a {self.kind}")
        return [end.fileno() for end in pipes.ends]

    def _pipe(self, role: int) -> int:
        return self._numbers()[self.roles.index(role)]

    def fileno(self) -> int:
        """For select(2) and the like: readable when there is something to do.

        That is a message, or the end, for who receives; room, or that nobody receives, for who only sends.
        At worst it is readable in vain; after a receive or send with `timeout=0` it is so no longer.
        """
        if DATA_READ not in self.roles:
            return self._pipe(SPACE_READ)
        self._call(ops.channel_watch)
        return self._pipe(DATA_READ)

    def _is_ready(self) -> bool:
        """Whether it is: a receive, or send, would not have to wait."""
        return self._is_ready_by(0)

    def _is_ready_by(self, deadline: int) -> bool:
        result = self._until(deadline, "wait for", ops.channel_until, DATA_READ in self.roles)
        return result not in (-EAGAIN, -ETIMEDOUT)

    def statistics(self) -> Statistics:
        """Its figures, as of now; they are read one by one."""
        member = self._part()  # held: another thread may close the handle between the two
        return Statistics(*ops.now_channel_counts(member.state), *ops.now_channel_figures(member.state)[3:])

    def _in_time(self, deadline: int, doing: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """What `call(state, *arguments, deadline)` gives, or its `-EMSGSIZE`; raises all else."""
        result = self._until(deadline, doing, call, *arguments)
        if isinstance(result, int) and result < 0 and result != -EMSGSIZE:
            raise self._error(result, doing)
        return result

    def _error(self, result: int, doing: str) -> IPCError:
        if result == -EMSGSIZE:
            return limit_error(EMSGSIZE, f"{doing} {self}", "capacity", self.capacity, None)
        if result == -ENOSPC:
            return limit_error(ENOSPC, f"{doing} {self}", "capacity", self.capacity, None)
        if result == -EBADMSG:
            return error(EBADMSG, f"{doing} {self}: what a peer has written there makes no sense")
        return super()._error(result, doing)

    @classmethod
    def _arrived(cls: type[Self], owners: list[Descriptor]) -> Self:
        try:
            numbers = [owner.fileno() for owner in owners]
            return cls._attach(numbers[0], numbers[1:])
        finally:
            ops.close_all(owners)

    def __del__(self) -> None:
        if hasattr(self, "_face") and not self.closed:
            complaint = f"{self} was dropped without close()"
            self.close()  # first: a warning may be an error
            warn(complaint, ResourceWarning, 2, self)


@ops.accelerate("message.ack", "message.__enter__", "message.__exit__", "message.__del__")
class Message:
    """A message that stays in the channel's memory until it is acknowledged.

    If this process dies before that, another receiver gets it, marked as `redelivered`. Leaving a `with`
    block acknowledges it, or by an exception returns it; so does dropping it.

    Attributes:
        redelivered: Whether somebody had it before, and died or returned it.
    """

    __slots__ = ("_end", "_loan", "redelivered")

    def __init__(self, end: End, loan: Any) -> None:
        self._end = end
        self._loan = loan
        self.redelivered: bool = loan.redelivered

    @property
    def buf(self) -> memoryview:
        """Its bytes, without a copy, read-only; after `ack()` too, for as long as a view lives."""
        view: memoryview = self._held().view()
        return view.toreadonly()

    def __bytes__(self) -> bytes:
        return bytes(self._held().view())

    def __len__(self) -> int:
        return len(self._held().view())

    def _held(self) -> Any:
        loan = self._loan
        if loan is None:
            raise ValueError("the message was acknowledged or returned")
        return loan

    def ack(self) -> None:
        """It is done with: it will not come again. Its memory is free when its last view goes."""
        loan = self._held()
        result = loan.acknowledge()
        self._loan = None
        if result < 0:  # a forked child's copy of what its parent has, or a peer's nonsense
            raise self._end._error(result, "acknowledge a message of")

    def reject(self) -> None:
        """Give it back: another receiver, or this one, gets it, soon."""
        loan = self._held()
        self._loan = None
        pipes = self._end._pipes  # held: to wake others takes one, and another thread may close the handle
        if pipes is not None and not pipes.enter():
            pipes = None
        try:
            loan.give_back()
        finally:
            if pipes is not None:
                pipes.leave()

    def __enter__(self) -> Message:
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        if self._loan is None:
            return
        if kind is None:
            self.ack()
        else:
            self.reject()

    def __del__(self) -> None:
        if getattr(self, "_loan", None) is not None:
            self.reject()

    def __repr__(self) -> str:
        what = "done with" if self._loan is None else f"of {len(self)} bytes"
        return f"<message {what}{', redelivered' if self.redelivered else ''}>"


@ops.accelerate("reservation.commit", "reservation.__enter__", "reservation.__exit__")
class Reservation:
    """A part of the channel's memory to write a message into, without a copy; see `reserve()`."""

    __slots__ = ("_end", "_loan", "size")

    def __init__(self, end: End, loan: Any) -> None:
        self._end = end
        self._loan = loan
        self.size = len(loan.view())

    @property
    def buf(self) -> memoryview:
        """Where to write; its bytes are whatever was there. After `commit()`, do not use views of it."""
        view: memoryview = self._held().view()
        return view

    def _held(self) -> Any:
        loan = self._loan
        if loan is None:
            raise ValueError("the reservation was committed or cancelled")
        return loan

    def commit(self, size: int | None = None, timeout: float | None = None) -> None:
        """Send it, or its first *size* bytes; unless that succeeds, it stays reserved.

        Raises:
            WouldBlockError, TimedOutError: There is no room in the ring.
            PeerGoneError: Nobody receives any more.
        """
        size = self.size if size is None else size
        if not 0 <= size <= self.size:
            raise ValueError(f"{size} bytes of the {self.size} that are reserved")
        self._commit(size, _deadline.by(timeout))

    def _commit(self, size: int, deadline: int) -> None:
        loan = self._held()
        result = self._end._in_time(deadline, "send to", ops.channel_commit, loan, size)
        if result < 0:
            raise self._end._error(result, "send to")
        loan.forget()
        self._loan = None

    def cancel(self) -> None:
        """Send nothing; the memory is free when its last view goes."""
        self._loan = None

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        if self._loan is None:
            return
        if kind is None:
            self.commit()
        else:
            self.cancel()


ops.loans_face(Message, Reservation)
