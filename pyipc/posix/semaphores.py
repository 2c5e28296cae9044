"""Semaphores with a name, and without one in memory that is shared (sem_overview(7))."""

from __future__ import annotations

import os
from errno import EAGAIN, EBADF, EEXIST, EINVAL, ENOENT, ENOTSUP, EOVERFLOW

from .. import _deadline, _named
from .._backend import ops
from .._waiters import Waited
from ..errors import error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    from ..errors import IPCError

    Self = TypeVar("Self", bound="BaseSemaphore")
    SelfNamed = TypeVar("SelfNamed", bound="Semaphore")

# glibc's files are sem.NAME, and no name is longer than 255 bytes.
_LONGEST = 251


def _valid_value(value: int) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a value is an int, not {type(value).__name__}")
    if not 0 <= value <= ops.POSIX_SEM_MOST:
        raise ValueError(f"a value is 0..2**31-1, not {value}")
    return value


@ops.accelerate("posix_sem.acquire", "posix_sem.release")
class BaseSemaphore(Waited):
    """What both kinds can do. `with semaphore:` takes 1 and gives it back.

    Nobody owns what was taken: who dies with it does not give it back. `pyipc.sync.Semaphore` and
    `pyipc.sysv.Semaphore` can.
    """

    __slots__ = ("__weakref__", "_sem", "_waiting")
    kind = "semaphore"
    _sem: Any

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._sem is None

    def _open(self) -> Any:
        sem = self._sem
        if sem is None:
            raise error(EBADF, f"use {self}")
        return sem

    def acquire(self, timeout: float | None = None) -> None:
        """Take 1, waiting while there is none.

        Args:
            timeout: How many seconds to wait; steps of the wall clock do not matter.

        Raises:
            WouldBlockError: With `timeout=0`: there is none.
            TimedOutError: There was none in time.
        """
        _deadline.valid(timeout)
        sem = self._open()
        result = ops.now_posix_sem_try(sem)
        if result == -EAGAIN:
            result = self._wait(lambda end: ops.posix_sem_wait(sem, end), timeout, "acquire")
        if result < 0:
            raise self._error(result, "acquire")

    def release(self) -> None:
        """Give 1; anybody may.

        Raises:
            LimitError: SEM_VALUE_MAX.
        """
        result = ops.now_posix_sem_post(self._open())
        if result == -EOVERFLOW:
            raise limit_error(EOVERFLOW, f"release {self}", "SEM_VALUE_MAX", ops.POSIX_SEM_MOST, None)
        if result < 0:
            raise self._error(result, "release")

    @property
    def value(self) -> int:
        """How many can be taken now, without waiting."""
        return ops.now_posix_sem_value(self._open())

    def _error(self, result: int, doing: str) -> IPCError:
        return error(EBADF if self.closed else -result, f"{doing} {self}")

    def close(self) -> None:
        """Let go of it; threads of this process that wait on the handle get `ClosedError`."""
        self._sem = None  # a thread that waits keeps it open until it has left
        self._wake_waiters()

    def __enter__(self: Self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Semaphore(_named.Named, BaseSemaphore):
    """A semaphore that others find by its name.

    A C program finds the same one if it has the same C library.

    Attributes:
        name: With its slash.
    """

    __slots__ = ("_file", "_owner_pid", "name")

    def __init__(self) -> None:
        raise TypeError("a semaphore is what create(), open() and open_or_create() give")

    _file: tuple[int, int] | None  # which one we made

    @classmethod
    def _new(cls: type[SelfNamed], name: str, sem: Any, *, owner: bool) -> SelfNamed:
        semaphore = cls.__new__(cls)
        semaphore._waiting = []
        semaphore._sem = sem
        semaphore._file = _file_of(name) if owner else None
        semaphore._begin(name, owner=owner)
        return semaphore

    @classmethod
    def create(
        cls: type[SelfNamed],
        name: str | None,
        initial: int = 1,
        *,
        mode: int = 0o600,
        persist: bool = False,
    ) -> SelfNamed:
        """Make one.

        Args:
            name: What others find it by, such as "/printer"; None is one that nobody has.
            initial: How many can be taken at first.
            mode: Who may open it, less the umask: both read and write, or it cannot be opened.
            persist: Keep its name after `close()`.

        Raises:
            AlreadyExistsError: The name is taken.
            UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        """
        given = None if name is None else _named.file_name(name, _LONGEST)
        flags = ops.POSIX_CREATE | ops.POSIX_EXCLUSIVE
        while True:
            name = _named.any_name() if name is None else name
            plain = given or os.fsencode(name[1:])
            sem = ops.posix_sem_open(plain, flags, _named_mode(mode), _valid_value(initial))
            if sem != -EEXIST or given is not None:
                break
            name = None
        if isinstance(sem, int):
            raise error(-sem, f"create semaphore {_named.with_slash(name)}")
        try:
            return cls._new(name, sem, owner=not persist)
        except BaseException:  # a signal handler's too
            ops.posix_sem_unlink(plain)
            raise

    @classmethod
    def open(cls: type[SelfNamed], name: str) -> SelfNamed:
        """Find the one that has this name.

        Raises:
            NotFoundError: There is none.
            AccessError: Its mode forbids it.
            IPCError: EINVAL: it is none.
        """
        sem = ops.posix_sem_open(_named.file_name(name, _LONGEST), 0, 0, 0)
        if isinstance(sem, int):
            raise error(-sem, f"open semaphore {_named.with_slash(name)}")
        refuse_what_is_none(name)
        return cls._new(name, sem, owner=False)

    @classmethod
    def open_or_create(cls: type[SelfNamed], name: str, initial: int = 1, *, mode: int = 0o600) -> SelfNamed:
        """Find the one that has this name; if there is none, make it. Nobody finds it half made.

        Whoever makes it, nobody owns it: it stays until `remove()`.
        """
        plain = _named.file_name(name, _LONGEST)
        sem = ops.posix_sem_open(plain, ops.POSIX_CREATE, _named_mode(mode), _valid_value(initial))
        if isinstance(sem, int):
            raise error(-sem, f"open or create semaphore {_named.with_slash(name)}")
        refuse_what_is_none(name)
        return cls._new(name, sem, owner=False)

    def close(self) -> None:
        """Let go of it, and take its name away if this handle owns it.

        Threads of this process that wait on the handle get `ClosedError`.
        """
        problem = self._remove_if_owner()
        super().close()
        if problem is not None:
            raise problem

    def _unlink(self) -> int:
        return -ENOENT if self.name is None else ops.posix_sem_unlink(_named.file_name(self.name))

    def _is_still_so_named(self) -> bool:
        if self.name is None:
            return False
        return not _HAS_FILES or (self._file is not None and self._file == _file_of(self.name))

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        self._open()
        if self.name is None:
            raise TypeError(f"{self} has no name to be found by")
        return type(self).open, (self.name,)

    def __repr__(self) -> str:
        return f"<semaphore {self.name}{' closed' if self.closed else ''}>"


def _has_files() -> bool:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") is not None
    except (OSError, ValueError):  # musl
        return False


#: Whether the C library's semaphores lie where we look for them: glibc's.
_HAS_FILES = _has_files()


def _named_mode(mode: int) -> int:
    if not 0 <= mode <= 0o777:
        raise ValueError(f"mode is 0..0o777, not {mode:#o}")
    return mode


def _stat(name: str) -> os.stat_result | None:
    """Of the file that a semaphore is in, where the C library is glibc."""
    try:
        return os.stat(f"/dev/shm/sem.{_named.with_slash(name)[1:]}")
    except OSError:
        return None


def _file_of(name: str) -> tuple[int, int] | None:
    facts = _stat(name)
    return None if facts is None else (facts.st_dev, facts.st_ino)


def refuse_what_is_none(name: str) -> None:
    """The C library maps any file of this name, and to touch what it is too short for is SIGBUS."""
    facts = _stat(name)
    if facts is not None and facts.st_size < ops.POSIX_SEM_SIZE:
        raise error(EINVAL, f"open semaphore {_named.with_slash(name)}, a file of {facts.st_size} bytes")


class UnnamedSemaphore(BaseSemaphore):
    """A semaphore without a name, in memory that processes share.

    It is there as long as the memory is, and needs no removing. Programs in C find it there as a `sem_t`,
    if they have the same C library.
    """

    __slots__ = ("offset",)
    offset: int

    def __init__(self) -> None:
        raise TypeError("a semaphore is what create() and open() give")

    #: How many bytes it takes.
    SIZE = ops.POSIX_SEM_SIZE

    @classmethod
    def create(cls, memory: Any, initial: int = 1, *, offset: int = 0) -> UnnamedSemaphore:
        """Make one of bytes that nobody uses as a semaphore yet.

        Args:
            memory: What has a `buf`, such as a `pyipc.memory.Memory`; or a writable buffer of shared memory.
            initial: How many can be taken at first.
            offset: Where, in bytes; a multiple of 8.

        Raises:
            ValueError: There is no room for it there.
            UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        """
        semaphore = cls._at(memory, offset, _valid_value(initial))
        result = ops.now_posix_sem_init(semaphore._sem, initial)
        if result < 0:
            raise error(-result, f"create {semaphore}")
        return semaphore

    @classmethod
    def open(cls, memory: Any, *, offset: int = 0) -> UnnamedSemaphore:
        """The one that somebody has made there; raises as `create` does."""
        return cls._at(memory, offset, 0)

    @classmethod
    def _at(cls, memory: Any, offset: int, initial: int) -> UnnamedSemaphore:
        view = memoryview(getattr(memory, "buf", memory)).cast("B")
        if not 0 <= offset <= len(view) - cls.SIZE or offset % 8:
            raise ValueError(f"a semaphore lies at a multiple of 8 in {len(view)} bytes, not at {offset}")
        if view.readonly:
            raise ValueError("a semaphore lies in memory that can be written")
        sem = ops.posix_sem_in(view[offset : offset + cls.SIZE])
        if sem == -EINVAL:
            raise ValueError(f"a semaphore lies at a multiple of 8, which {offset} of this memory is not")
        if isinstance(sem, int):
            raise error(ENOTSUP, "a semaphore without a name")
        semaphore = cls.__new__(cls)
        semaphore._waiting = []
        semaphore._sem, semaphore.offset = sem, offset
        return semaphore

    def __repr__(self) -> str:
        return f"<semaphore at {self.offset}{' closed' if self.closed else ''}>"
