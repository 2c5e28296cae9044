"""What handles on locks and their like have in common."""

from __future__ import annotations

from .. import _member
from .._backend import ops
from .._member import Member, SharedHandle
from ..errors import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, TypeVar

    Self = TypeVar("Self", bound="SyncHandle")


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

    source = _member.shared_memory(size, doing)
    try:
        _member.reserve(source, size, doing)
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

    @classmethod
    def _arrived(cls: type[Self], owners: list[Any], *more: Any) -> Self:
        source = owners[0]
        try:
            self = cls.__new__(cls)
            SharedHandle.__init__(
                self, Member(source.fileno(), lambda memory, _, life: _begin(memory, life, cls._KIND))
            )
        finally:
            source._close()
        self._arrived_with(*more)
        return self

    def _arrived_with(self) -> None:
        """What `_more` gave."""

    def _promptly(self, doing: str, call: Any, *arguments: Any) -> int:
        """A call that waits for nobody but those who are just at it."""
        result: int = self._until(None, doing, call, *arguments)
        return result

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x}{' closed' if self.closed else self._state()}>"

    def _state(self) -> str:
        return ""


class Acquired(SyncHandle):
    """A base of those that a `with` block acquires and releases."""

    __slots__ = ()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take it."""
        raise NotImplementedError

    def release(self) -> None:
        """Give it back."""
        raise NotImplementedError

    # As multiprocessing has it; that others close themselves is for those who have no such block.
    def __enter__(self) -> bool:  # type: ignore[override]
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
