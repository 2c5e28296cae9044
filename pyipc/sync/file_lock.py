"""A lock with a name: a file (fcntl(2), open file description locks)."""

from __future__ import annotations

import os
from _thread import allocate_lock
from _weakref import ref
from errno import EAGAIN, EBADF, ENOTSUP, ENXIO, ETIMEDOUT
from time import monotonic_ns

from .. import _deadline
from .._backend import ops
from .._member import reopened
from .._waiters import Waited
from ..errors import IPCError, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar, Union

    from .._backend.protocol import Descriptor

    Path = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]
    Self = TypeVar("Self", bound="FileLock")

# How often one that waits for another thread's turn looks whether the lock was closed.
_LOOK_SECONDS = 1.0

_locks: set[ref[FileLock]] = set()


def _forked() -> None:
    for reference in list(_locks):
        lock = reference()
        if lock is not None:
            lock._forked()


os.register_at_fork(after_in_child=_forked)


class FileLock(Waited):
    """A lock that processes find by a path, and that the kernel frees when its holder dies.

    One handle has it at a time, whoever may release it: threads that use one handle exclude each
    other, and so do two handles on one path. It is not recursive. A forked child gets a handle of its
    own, which does not have the lock.

    The file is made if it is not there, stays empty, and is never removed: who removed it would let
    others make, and lock, a second one of that name. Anybody who may open it can hold it for ever, so
    it belongs into a directory where only those may write who are trusted.

    `with` acquires and releases; `close()` is yours to call, or the garbage collector's.

    Args:
        path: The file.
        mode: Its permissions if it is made, whatever the umask; else it keeps its own.
        shared: Any number of shared holders may have it at once, while none that is not has it.
            The file need only be readable.

    Attributes:
        path: Its absolute path.
        shared: As given.

    Raises:
        AccessError: The file may not be opened, or made.
        NotFoundError: There is no such directory.
        IPCError: ENXIO: it is no regular file; ELOOP: it is a symbolic link; and what open(2) says.
        LimitError: RLIMIT_NOFILE.
    """

    __slots__ = (
        "__weakref__",
        "_descriptor",
        "_has",
        "_is_local",
        "_mode",
        "_turn",
        "_waiting",
        "path",
        "shared",
    )
    _descriptor: Descriptor | None

    def __init__(self, path: Path, mode: int = 0o600, *, shared: bool = False) -> None:
        if not 0 <= mode <= 0o777:
            raise ValueError(f"mode is 0 to 0o777, not {mode:#o}")
        self.path = os.path.abspath(os.fspath(path))
        if "\0" in os.fsdecode(self.path):
            raise ValueError(f"a path has no NULs: {self.path!r}")
        self.shared = bool(shared)
        self._mode = mode
        self._waiting = []
        descriptor: Descriptor = ops.Descriptor()
        result = ops.lock_file_open(descriptor, self.path, mode, self.shared)
        if result < 0:
            what = ", which is no regular file" if result == -ENXIO else ""
            raise error(-result, f"open lock file {os.fsdecode(self.path)!r}{what}")
        self._is_local = result == 1
        self._begin(descriptor)
        _locks.add(ref(self, _locks.discard))

    def _begin(self, descriptor: Descriptor | None) -> None:
        self._descriptor = descriptor
        self._has = False
        # The kernel knows descriptions, not threads: those who share this one take turns.
        self._turn = allocate_lock()

    def _forked(self) -> None:
        """In a forked child: the parent's description, and so its lock, is to be the parent's alone."""
        theirs, ours = self._descriptor, None
        self._waiting = []
        if theirs is not None:
            try:  # noqa: SIM105 (contextlib takes long to import)
                ours = reopened(theirs.fileno(), os.O_RDONLY if self.shared else os.O_RDWR)
            except IPCError:  # no room, no /proc, or another user by now: closed, then
                pass
            theirs._close()
        self._begin(ours)

    @property
    def closed(self) -> bool:
        """Whether `close()` was called, or a forked child could not open the file anew."""
        return self._descriptor is None

    def close(self) -> None:
        """Release it, if this handle has it, and close the file. Closing again does nothing.

        Threads of this process that wait on this handle get `ClosedError`.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        had, self._has = self._has, False
        if had:
            ops.unlock_file(descriptor._number)
        self._wake_waiters()
        # Whoever is in a call on it closes it then: its number must not come to mean another file before.
        if had or self._turn.acquire(False):
            descriptor._close()
        self._end_turn()  # the next in turn finds it closed, and ends its own

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take it, waiting for it if need be; whether it was taken.

        Args:
            block: False: do not wait.
            timeout: Seconds to wait; None: for ever, below 0: as 0. A wait with a timeout looks at the
                lock in ever longer intervals, up to 0.1 s, and is late by a tenth of the time waited at
                most; one without is served by the kernel, in turn and at once.

        Raises:
            ClosedError: The handle was closed, before or meanwhile.
            UnsupportedError: This filesystem has no such locks.
        """
        waits = block and (timeout is None or timeout > 0)
        # What costs time is done only if there is somebody to wait for.
        until = None
        if not self._turn.acquire(False):
            until = _deadline.after(timeout) if waits else 0
            if not self._take_turn(until):
                return False
        descriptor = self._descriptor
        try:
            if descriptor is None:
                raise error(EBADF, f"acquire {self}")
            if self._is_local:
                result = ops.now_lock_file(descriptor._number, self.shared)
            else:
                result = ops.lock_file(descriptor._number, self.shared, 0, 0)
            if result in (-EAGAIN, -ETIMEDOUT) and waits:
                result = self._lock(descriptor, _deadline.after(timeout) if until is None else until)
            if result not in (0, -EAGAIN, -ETIMEDOUT):
                self._refuse(result, "acquire")
            self._has = result == 0
        except BaseException:  # a signal handler's too, which may come when it was just taken
            if descriptor is not None:
                ops.unlock_file(descriptor._number)
                if self.closed:
                    descriptor._close()
            self._end_turn()
            raise
        if result != 0:
            self._end_turn()
        return result == 0

    def _take_turn(self, deadline: int) -> bool:
        """Wait for the other threads that use this handle."""
        while not self.closed:
            left = _deadline.left(deadline)
            taken = self._turn.acquire(True, min(left, _LOOK_SECONDS)) if left > 0 else False
            if taken or left <= 0:
                return taken
        raise error(EBADF, f"acquire {self}")

    def _lock(self, descriptor: Descriptor, deadline: int) -> int:
        """Wait for the other handles."""
        number, shared, began = descriptor._number, self.shared, monotonic_ns()
        result = self._wait_until(
            lambda until: ops.lock_file(number, shared, began, until), deadline, "acquire"
        )
        return result if self._descriptor is descriptor else -EBADF  # closed meanwhile

    def _end_turn(self) -> None:
        try:  # noqa: SIM105 (contextlib takes long to import)
            self._turn.release()
        except RuntimeError:
            pass  # close() in another thread did it

    def release(self) -> None:
        """Let go of it; any thread may.

        Raises:
            ValueError: This handle does not have it.
        """
        descriptor = self._descriptor
        if descriptor is None:
            raise error(EBADF, f"release {self}")
        if not self._has:
            if self.closed:  # just now, by another thread
                raise error(EBADF, f"release {self}")
            raise ValueError(f"{self} is not acquired")
        unlock = ops.now_unlock_file if self._is_local else ops.unlock_file
        try:
            self._has = False  # first: another thread that releases it is told so
            result = unlock(descriptor._number)
        except BaseException:  # a signal handler's, which may have come before
            unlock(descriptor._number)
            raise
        finally:
            self._has = False
            self._end_turn()
        if result < 0:
            self._refuse(result, "release")

    def _refuse(self, result: int, doing: str) -> None:
        why = ": its filesystem has no locks of open file descriptions" if result == -ENOTSUP else ""
        raise error(-result, f"{doing} {self}{why}")

    def __repr__(self) -> str:
        kind = "shared lock file" if self.shared else "lock file"
        return f"<{kind} {os.fsdecode(self.path)!r}{', closed' if self.closed else ''}>"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _opened, (type(self), self.path, self._mode, self.shared)

    def __del__(self) -> None:
        descriptor = getattr(self, "_descriptor", None)
        if descriptor is not None:
            descriptor._close()  # without the complaint that it was dropped

    def __enter__(self: Self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _opened(cls: type[FileLock], path: str | bytes, mode: int, shared: bool) -> FileLock:
    return cls(path, mode, shared=shared)
