"""Locks for many readers or one writer."""

from __future__ import annotations

from errno import EBUSY, EPERM

from .._backend import ops
from ._handles import SyncHandle, fresh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class _Side:
    """Reading, or writing, as a `with` block."""

    __slots__ = ("_lock", "_write")

    def __init__(self, lock: RWLock, write: bool) -> None:
        self._lock = lock
        self._write = write

    def __enter__(self) -> RWLock:
        self._lock._acquire(self._write, True, None)
        return self._lock

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock._release(self._write)


class RWLock(SyncHandle):
    """A lock that many may have to read, or one to write. Whoever dies with it blocks nobody.

    While one waits to write, nobody begins to read: so a thread that reads must not begin to read again.
    Each handle costs a descriptor.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        LimitError: RLIMIT_NOFILE.
    """

    __slots__ = ()
    kind = "readers' and writers' lock"
    _KIND = ops.RWLOCK

    def __init__(self) -> None:
        super().__init__(fresh(ops.RWLOCK))

    def reader(self) -> _Side:
        """For `with`: reads within."""
        return _Side(self, False)

    def writer(self) -> _Side:
        """For `with`: writes within."""
        return _Side(self, True)

    def acquire_read(self, block: bool = True, timeout: float | None = None) -> bool:
        """Begin to read; False if that would have to wait, or took longer than *timeout* seconds."""
        return self._acquire(False, block, timeout)

    def acquire_write(self, block: bool = True, timeout: float | None = None) -> bool:
        """Begin to write; False if that would have to wait, or took longer than *timeout* seconds."""
        return self._acquire(True, block, timeout)

    def release_read(self) -> None:
        """Read no more.

        Raises:
            ValueError: This process does not read.
        """
        self._release(False)

    def release_write(self) -> None:
        """Write no more.

        Raises:
            ValueError: This process does not write.
        """
        self._release(True)

    @property
    def recovered(self) -> bool:
        """Whether this process has it, and had it from a writer that died: its work may be half done."""
        return not self.closed and bool(self._call(ops.now_rwlock_recovered))

    def _acquire(self, write: bool, block: bool, timeout: float | None) -> bool:
        give = self.release_write if write else self.release_read
        return self._taken(-EBUSY, block, timeout, give, ops.rwlock_acquire, write)

    def _release(self, write: bool) -> None:
        result = self._call(ops.now_rwlock_release, write)
        if result == -EBUSY:
            result = self._promptly("release", ops.rwlock_release, write)
        if result == -EPERM:
            raise ValueError(f"this process does not {'write' if write else 'read'} under {self}")
        if result < 0:
            raise self._error(result, "release")
