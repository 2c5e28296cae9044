"""What handles on locks and their like have in common."""

from __future__ import annotations

from errno import EAGAIN, EBUSY, ETIMEDOUT
from time import monotonic_ns

from .. import _deadline, _member, _memfd
from .._backend import ops
from .._member import Member, SharedHandle
from ..errors import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    Self = TypeVar("Self", bound="SyncHandle")


# What a call with a timeout may take longer than that.
_GRACE_SECONDS = 0.5


def _begin(memory: Any, life: int, kind: int) -> Any:
    return ops.sync_open(memory, life, kind, _member.SPINS)


def fresh(kind: int, flags: int = 0, value: int = 0) -> Member:
    """One's part in a new object of this kind.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        OutOfMemoryError: There is no memory for it.
        LimitError: RLIMIT_NOFILE.
    """
    doing = "make a lock or its like in shared memory"
    size = check(ops.now_sync_size(kind, value), doing)

    def begin(memory: Any, size: int, life: int) -> Any:
        return ops.now_sync_format(memory, kind, flags, value) or _begin(memory, life, kind)

    source = _memfd.made(size, size, doing)
    try:
        return Member(source.fileno(), begin)
    finally:
        source._close()


def waits(block: bool, timeout: float | None) -> bool:
    """Whether a call may wait at all; as `multiprocessing` has it, a negative timeout is 0."""
    return bool(block) and not (timeout is not None and timeout <= 0)


class SyncHandle(SharedHandle):
    """A handle on a lock, or on something like it."""

    __slots__ = ()
    _KIND: int

    def _begin(self, member: Member) -> None:
        SharedHandle.__init__(self, member)

    @classmethod
    def _arrived(cls: type[Self], owners: list[Any], *more: Any) -> Self:
        source = owners[0]
        try:
            self = cls.__new__(cls)
            self._begin(Member(source.fileno(), lambda memory, _, life: _begin(memory, life, cls._KIND)))
        finally:
            source._close()
        self._arrived_with(*more)
        return self

    def _arrived_with(self, *more: Any) -> None:
        """What `_more` gave."""

    def _promptly(self, doing: str, call: Any, *arguments: Any) -> int:
        """A call that waits for nobody but those who are just at it."""
        result: int = self._until(_deadline.FOREVER, doing, call, *arguments)
        return result

    def _briefly(self, doing: str, call: Any, *arguments: Any) -> int:
        """The same at the end of a wait: who sits on the guard is not waited for any longer than this."""
        result: int = self._until(_deadline.after(_GRACE_SECONDS), doing, call, *arguments)
        return result

    def _taken(
        self,
        result: int,
        block: bool,
        timeout: float | None,
        give: Callable[[], None],
        call: Any,
        *arguments: Any,
    ) -> bool:
        """Go on from what a try has said: whether it is ours in the end."""
        may_wait = waits(block, timeout)
        if result == -EBUSY or (result == -EAGAIN and may_wait):
            taken = ops.new_place()
            try:
                within = timeout if may_wait else 0
                result = self._until(_deadline.by(within), "acquire", call, *arguments, taken, monotonic_ns())
            except BaseException:  # a signal handler's, which may come just when it was ours
                if taken[0] == 1 and not self.closed:
                    give()
                raise
        if result in (-EAGAIN, -ETIMEDOUT):
            return False
        if result < 0:
            raise self._error(result, "acquire")
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x}{' closed' if self.closed else self._state()}>"

    def _state(self) -> str:
        return ""


class Acquired(SyncHandle):
    """A base of those that a `with` block acquires and releases."""

    __slots__ = ()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take it."""
        raise NotImplementedError  # each has its own

    def release(self) -> None:
        """Give it back."""
        raise NotImplementedError  # each has its own

    def __enter__(self) -> bool:  # type: ignore[override] # as multiprocessing has it; others close themselves
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Quick(Acquired):
    """A base of those whose `acquire` and `release` C stands in for, where it can.

    A class with slots for that (`ops.lock_slots`) has this below, and the methods in Python between them.
    """

    __slots__ = ("_calls",)

    def __init__(self, member: Member) -> None:
        self._begin(member)

    def _begin(self, member: Member) -> None:
        super()._begin(member)
        self._calls = ops.lock_calls(self, member)
        if self._calls is not None:
            # Into slots, which the class has where C stands in.
            self.acquire = self._calls.acquire  # type: ignore[method-assign]
            self.release = self._calls.release  # type: ignore[method-assign]

    def close(self) -> None:
        """Let go of it; the kernel frees it with the last who has it.

        Threads of this process that wait on this handle get `ClosedError`. Closing again does nothing.
        """
        super().close()
        if self._calls is not None:
            self._calls.close()
