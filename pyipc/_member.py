"""Handles on memory that processes share, and that has a roster of who takes part (csrc/roster.c).

Each handle opens the memory anew, so that the kernel's lock on its place in the roster is its own. A
forked child has its parent's handles: it lets go of the parent's places at once, and takes its own when
it first uses them.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from _weakref import ref
from errno import EAGAIN, EBADF, EINVAL, ENOSPC, ENOTCONN, ENXIO, ETIMEDOUT
from os import O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY
from stat import S_ISFIFO

from . import _memfd, _pickling
from ._backend import ops
from ._linux import processors
from ._waiters import Waited
from .errors import check, error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    from ._backend.protocol import Descriptor
    from .errors import IPCError

    Self = TypeVar("Self", bound="SharedHandle")

MOST_MEMBERS = 1023

# Looks at memory before sleeping, a few microseconds' worth; useless if nobody else can run meanwhile.
SPINS = 500 if processors() > 1 else 0

_members: set[ref[Member]] = set()
_joining = allocate_lock()


def _forked() -> None:
    global _joining
    _joining = allocate_lock()  # another thread may have held it, which is not here
    for reference in list(_members):
        member = reference()
        if member is not None:
            member._forked()


os.register_at_fork(after_in_child=_forked)


def reopened(number: int, flags: int) -> Descriptor:
    """An open file description of one's own, of what somebody else's descriptor leads to.

    Raises:
        NotFoundError: /proc is not mounted.
    """
    owner: Descriptor = ops.Descriptor()
    check(ops.fd_open(owner, b"/proc/self/fd/%d" % number, flags), f"open descriptor {number} anew")
    return owner


def pipe_end(number: int, *, write: bool) -> Descriptor:
    """An end of a pipe, whose O_NONBLOCK nobody else can change."""
    if not S_ISFIFO(os.fstat(number).st_mode):
        raise error(EINVAL, f"use descriptor {number}, which is no pipe")
    owner: Descriptor = ops.Descriptor()
    path, flags = b"/proc/self/fd/%d" % number, (O_WRONLY if write else O_RDONLY) | O_NONBLOCK
    result = ops.fd_open(owner, path, flags)
    if result == -ENXIO:  # nobody reads any more: writing to it will tell
        result = ops.now_duplicate(owner, number)
    check(result, f"open the pipe of descriptor {number} anew")
    return owner


class Used:
    """What ends when its handle is closed, and no call under way or message needs it any more.

    References count these, and the last one ends it. But PyPy notices that with the next collection. And
    without a GIL, what another thread drops than the one that made it ends when that one runs Python again;
    it may be waiting just for what this end would tell. So there (not `ops.FREES_AT_ONCE`) they are
    counted, by a list, which threads can lengthen and shorten at once.
    """

    __slots__ = ("_ended", "_users")

    def __init__(self) -> None:
        self._ended = False
        self._users: list[None] = []

    def enter(self) -> bool:
        """Keep it, until `leave()`; False if it has ended."""
        self._users.append(None)  # first: then whoever ends it sees us, or we see that it has ended
        if self._ended:
            self.leave()
            return False
        return True

    def leave(self) -> None:
        """It is not needed here any more."""
        self._users.pop()
        if self._ended and not self._users:
            self._close()

    def end(self) -> None:
        """The handle is closed."""
        self._ended = True
        if not self._users:
            self._close()

    def _close(self) -> None:
        """End it; again does nothing."""
        raise NotImplementedError  # there is no end that all have


class Member(Used):
    """One part in shared memory.

    Args:
        source: A descriptor of the memory, which is left alone.
        begin: `begin(memory, size, life)` makes what C knows of it, or says `-errno`.
    """

    __slots__ = ("__weakref__", "_attachment", "_problem", "life", "memory", "state")

    def __init__(self, source: int, begin: Callable[[Any, int, int], Any]) -> None:
        super().__init__()
        doing = "take part in shared memory"
        self._problem = 0
        self.life = reopened(source, O_RDWR)
        self._attachment, self.memory, size = _memfd.mapped(self.life.fileno(), doing)
        state = begin(self.memory, size, self.life.fileno())
        if isinstance(state, int):
            raise _refusal(state, doing)
        self.state = state
        _members.add(ref(self, _members.discard))

    def _close(self) -> None:
        # As an end, not as something that was forgotten: that is for the handle to know.
        if hasattr(self, "life"):
            self.life._close()

    __del__ = _close

    def _forked(self) -> None:
        self._problem = ops.member_forked(self.state)
        if self._problem < 0:
            self.life._close()  # it would keep our parent alive

    def join(self) -> None:
        """Take part again, after a fork."""
        with _joining:
            result = self._problem or ops.member_join(self.state)
        if result < 0:
            raise _refusal(result, "take part in shared memory, in a forked process")


def _refusal(result: int, doing: str) -> IPCError:
    if result == -ENOSPC:
        return limit_error(ENOSPC, doing, "handles on one object", MOST_MEMBERS, None)
    return error(-result, doing)


class SharedHandle(Waited):
    """A handle on something in shared memory.

    Threads may share it. After a fork both processes may use it.
    """

    __slots__ = ("__weakref__", "_member", "_waiting")
    kind = "object in shared memory"
    _member: Member | None

    def __init__(self, member: Member) -> None:
        self._waiting = []
        self._member = member

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._member is None

    def close(self) -> None:
        """Let go of it; the kernel frees it with the last who has it.

        Threads of this process that wait on this handle get `ClosedError`. Closing again does nothing.
        """
        member, self._member = self._member, None
        self._wake_waiters()
        if member is not None and not ops.FREES_AT_ONCE:
            member.end()

    def _part(self) -> Member:
        member = self._member
        if member is None:
            raise error(EBADF, f"use a {self.kind}")
        return member

    def _called(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """`call(state, *arguments)`, in a forked process too; what it says but for -ENOTCONN."""
        member = self._part()
        result = call(member.state, *arguments)
        while result == -ENOTCONN:
            member.join()
            result = call(member.state, *arguments)
        return result

    def _counted(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The same, while the member knows of it."""
        member = self._part()
        if not member.enter():
            raise error(EBADF, f"use a {self.kind}")
        try:
            return self._called(call, *arguments)
        finally:
            member.leave()

    _call = _called if ops.FREES_AT_ONCE else _counted

    def _until(self, deadline: int, doing: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """`call(state, *arguments, deadline)`, which waits; -EAGAIN if the deadline is 0."""
        result = self._wait_until(lambda until: self._call(call, *arguments, until), deadline, doing)
        return -EAGAIN if deadline == 0 and result == -ETIMEDOUT else result

    def _error(self, result: int, doing: str) -> IPCError:
        return error(-result, f"{doing} {self}")

    def __repr__(self) -> str:
        return f"<{self.kind}{', closed' if self.closed else ''}>"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # A description of our own would keep our place in the roster, if we died while it travels.
        with_life = reopened(self._part().life.fileno(), O_RDWR)
        try:
            return _pickling.reduce_all(self, with_life.fileno(), self._numbers(), *self._more())
        finally:
            with_life._close()

    def _numbers(self) -> list[int]:
        """What else a pickle carries: descriptors."""
        return []

    def _more(self) -> tuple[Any, ...]:
        """And whatever else `_arrived` wants."""
        return ()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
