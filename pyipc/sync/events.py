"""Events."""

from __future__ import annotations

from errno import EAGAIN, ETIMEDOUT
from time import monotonic_ns

from .. import _deadline
from .._backend import ops
from ._handles import SyncHandle, fresh, waits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Event(SyncHandle):
    """Something that has happened, or not yet. Each handle costs a descriptor.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        LimitError: RLIMIT_NOFILE.
    """

    __slots__ = ()
    kind = "event"
    _KIND = ops.EVENT

    def __init__(self) -> None:
        super().__init__(fresh(ops.EVENT))

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._count() % 2 == 1

    def _count(self) -> int:
        return int(self._call(ops.now_event_count))

    def set(self) -> None:
        """It has happened: all who wait go on, and whoever waits from now on does not have to."""
        self._change(ops.now_event_set, "set")

    def clear(self) -> None:
        """It has not happened yet."""
        self._change(ops.now_event_clear, "clear")

    def _change(self, call: Callable[..., int], doing: str) -> None:
        result = -EAGAIN
        while result == -EAGAIN:  # others are at it all the time
            result = self._call(call)
        if result < 0:
            raise self._error(result, doing)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has happened; False if that took longer than *timeout* seconds.

        A `set` that a `clear` follows at once is not missed by those who wait.
        """
        count = self._count()
        if count % 2 == 1 or not waits(True, timeout):
            return count % 2 == 1
        result = self._until(_deadline.by(timeout), "wait for", ops.event_wait, count, monotonic_ns())
        if result < 0 and result != -ETIMEDOUT:
            raise self._error(result, "wait for")
        return bool(result == 0)

    def _state(self) -> str:
        return " set" if self.is_set() else " unset"
