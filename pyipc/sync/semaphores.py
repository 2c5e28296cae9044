"""Semaphores."""

from __future__ import annotations

from errno import EBUSY, EOVERFLOW

from .._backend import ops
from ._handles import Quick, fresh

_MOST = 2**31 - 1


class _AnySemaphore(Quick):
    """What Semaphore and BoundedSemaphore share."""

    __slots__ = ()
    _KIND = ops.SEMAPHORE

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take 1; False if that would have to wait, or took longer than *timeout* seconds."""
        result = self._call(ops.now_semaphore_try)
        return result == 0 or self._taken(result, block, timeout, self.release, ops.semaphore_acquire)

    def release(self) -> None:
        """Give 1, and wake one who waits for it.

        Raises:
            ValueError: It would rise above its first value, if it is bounded, or above 2**31-1.
        """
        result = self._call(ops.now_semaphore_release)
        if result == -EBUSY:
            result = self._promptly("release", ops.semaphore_release)
        if result == -EOVERFLOW:
            raise ValueError(f"release() of {self}, which can be no higher")
        if result < 0:
            raise self._error(result, "release")

    _py_acquire, _py_release = acquire, release

    def get_value(self) -> int:
        """How many can be taken now."""
        result = self._promptly("read", ops.semaphore_value)
        if result < 0:
            raise self._error(result, "read")
        return result


@ops.lock_block
class Semaphore(_AnySemaphore):
    """A counter that never goes below zero: to acquire takes 1, and waits while it is 0.

    What a process has taken, and not given back when it ends, by whatever death, comes back; so it does
    when it closes its handle. (What it has given stays.) A release by who has taken nothing gives back what
    another has taken, if any has. Each handle costs a descriptor.

    Args:
        value: What it is at first, 0..2**31-1.
        undo: False, if it is a signal: one process only takes, another only gives. Then nothing comes back.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        LimitError: RLIMIT_NOFILE.
    """

    __slots__ = ops.lock_slots(_AnySemaphore)
    kind = "semaphore"
    _FLAGS = 0

    def __init__(self, value: int = 1, *, undo: bool = True) -> None:
        if not 0 <= value <= _MOST:
            raise ValueError(f"value is 0..2**31-1, not {value}")
        super().__init__(fresh(ops.SEMAPHORE, self._FLAGS | (ops.SYNC_UNDO if undo else 0), value))


class BoundedSemaphore(Semaphore):
    """A semaphore that never rises above its first value: a release too many is a ValueError."""

    __slots__ = ()
    _FLAGS = ops.SYNC_BOUNDED
