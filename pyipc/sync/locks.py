"""Locks."""

from __future__ import annotations

from errno import EBUSY, EPERM

from .._backend import ops
from ._handles import Quick, fresh


class _AnyLock(Quick):
    """What Lock and RLock share."""

    __slots__ = ()
    _KIND = ops.LOCK
    _REFUSAL: tuple[type[Exception], str]  # as multiprocessing has it

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take it; False if that would have to wait, or took longer than *timeout* seconds.

        If whoever had it has died, it is taken from the dead, and `recovered` says so.

        Raises:
            OwnerDiedError: It is strict, and whoever had it has died; see `recover`.
        """
        result = self._call(ops.now_lock_try)
        return result == 0 or self._taken(result, block, timeout, self.release, ops.lock_acquire)

    def _depth(self) -> int:
        """How often this thread has it."""
        return 0 if self.closed else int(self._call(ops.now_lock_depth))

    def release(self) -> None:
        """Give it back, and wake one who waits for it."""
        result = self._call(ops.now_lock_release)
        if result == -EPERM:
            kind, what = self._REFUSAL
            raise kind(f"release() of {what}")
        if result < 0:
            raise self._error(result, "release")

    _py_acquire, _py_release = acquire, release

    def locked(self) -> bool:
        """Whether somebody has it, dead or alive."""
        return bool(self._call(ops.now_lock_held))

    @property
    def recovered(self) -> bool:
        """Whether this process has it, and has it from one who died.

        What the lock protects may be half changed then. It is so until the lock is released.
        """
        return not self.closed and bool(self._call(ops.now_lock_recovered))

    def _state(self) -> str:
        return " locked" if self.locked() else " unlocked"


@ops.lock_block
class Lock(_AnyLock):
    """A lock that one thread has, of one process; if it dies, the next one takes it.

    Like `multiprocessing.Lock`, it may be released by others than who acquired it. Each handle costs a
    descriptor; closing it, or ending, with the lock acquired counts as dying with it.

    Args:
        strict: Once the owner has died, let `acquire` raise `OwnerDiedError` in whoever tries, until somebody
            calls `recover`.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        LimitError: RLIMIT_NOFILE.
    """

    __slots__ = ops.lock_slots(_AnyLock)
    kind = "lock"
    _REFUSAL = ValueError, "a lock that nobody has acquired"

    def __init__(self, *, strict: bool = False) -> None:
        super().__init__(fresh(ops.LOCK, ops.SYNC_STRICT if strict else 0))

    def recover(self, timeout: float | None = None) -> bool:
        """Take it, from the dead too, though it is strict; False if that took longer than *timeout* seconds.

        What the lock protects is to be brought in order before it is released.
        """
        return self._taken(-EBUSY, True, timeout, self.release, ops.lock_recover)


@ops.lock_block
class RLock(_AnyLock):
    """A lock that the thread that has it can acquire again; if it dies, the next one takes it.

    It is released as often as it was acquired, by the same thread. Each handle costs a descriptor; closing
    it, or ending, with the lock acquired counts as dying with it.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        LimitError: RLIMIT_NOFILE.
    """

    __slots__ = ops.lock_slots(_AnyLock)
    kind = "recursive lock"
    _REFUSAL = AssertionError, "a recursive lock that this thread has not acquired"

    def __init__(self) -> None:
        super().__init__(fresh(ops.LOCK, ops.SYNC_RECURSIVE))
