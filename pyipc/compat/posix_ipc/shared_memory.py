"""Shared memory that has a name: a descriptor, to be mapped by the module mmap."""

from __future__ import annotations

import os
from errno import EEXIST, EINVAL, ENOENT

from ... import _named
from ..._backend import ops
from .arguments import O_CREAT, O_CREX, O_EXCL, O_RDONLY, O_RDWR, c_int, c_unsigned, name_of, name_to_unlink
from .errors import CLOSE_DESCRIPTOR, OPEN, RESIZE, UNLINK_MEMORY, USE, check, refuse_number
from .objects import Kind

PAGE_SIZE = os.sysconf("SC_PAGESIZE")

# As shm_open(3) has it, whose flags are the callers'; pyipc.posix has none. That a fifo of this name
# should not make us wait for its other end is ours.
_PLACE = b"/dev/shm/"
_ALWAYS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class SharedMemory(Kind):
    """Shared memory, made or found by its name.

    Args:
        name: What others find it by, such as "/weather"; None, with O_CREX, is one that nobody has.
        flags: 0 finds it, O_CREAT makes it if there is none, O_CREX makes it or fails; O_TRUNC makes it
            empty.
        mode: Who may open a new one, less the umask.
        size: Bytes that it gets, whether it is new or not; 0 leaves it as it is.
        read_only: For reading alone.
    """

    __module__ = __package__
    __slots__ = ("_fd",)
    _fd: int

    def __init__(
        self,
        name: str | bytes | None,
        flags: int = 0,
        mode: int = 0o600,
        size: int = 0,
        read_only: int = False,
    ) -> None:
        self._fd = -1
        flags, mode = c_unsigned(flags), c_int(mode)
        if not isinstance(size, int):
            raise TypeError(f"size is an int, not {type(size).__name__}")
        given, plain = name_of(name, flags)
        how = flags | (O_RDONLY if c_int(read_only) else O_RDWR) | _ALWAYS
        how -= (how & 1 << 31) << 1  # as a C int
        while True:
            chosen = _named.any_name() if given is None else given
            plain = plain or chosen.encode()
            try:
                fd, made = _open(plain, how, mode & 0o7777)
                break
            except OSError as problem:
                if problem.filename is None:  # a signal handler's
                    raise
                number = problem.errno or 0
            if given is not None or number != EEXIST:
                refuse_number(number, OPEN, f"open shared memory {chosen}")
            plain = b""
        size = c_unsigned(size, 64)
        if size:
            result = ops.posix_shm_resize(fd, size)
            if result < 0:
                os.close(fd)
                if made:  # what was there before stays
                    ops.posix_shm_unlink(plain.lstrip(b"/"))
                refuse_number(-result, RESIZE, f"resize shared memory {chosen} to {size} bytes")
        self._name, self._mode, self._fd = chosen, mode & 0xFFFFFFFF, fd

    @property
    def fd(self) -> int:
        """Its descriptor, which stays open until somebody closes it; or -1."""
        return self._fd

    def fileno(self) -> int:
        """The same as `fd`."""
        return self._fd

    @property
    def size(self) -> int:
        """How many bytes it has now."""
        try:
            return os.fstat(self._fd).st_size
        except OSError as problem:
            refuse_number(problem.errno or 0, USE, f"look at shared memory {self._name}")

    def close_fd(self) -> None:
        """Close its descriptor; mappings of it stay, and so does its name."""
        fd = self._fd
        if fd < 0:
            return
        try:
            os.close(fd)
        except OSError as problem:
            refuse_number(problem.errno or 0, CLOSE_DESCRIPTOR, f"close descriptor {fd} of {self._name}")
        self._fd = -1

    def unlink(self) -> None:
        """Take its name away; who has it open keeps it."""
        _unlink(self._name.encode(errors="surrogateescape"), self._name)


def _open(name: bytes, flags: int, mode: int) -> tuple[int, bool]:
    """The descriptor, and whether it was made just now."""
    path = _PLACE + _file_name(name)
    if flags & O_CREX != O_CREAT:
        return os.open(path, flags, mode), bool(flags & O_EXCL)
    while True:
        try:
            return os.open(path, flags & ~O_CREAT), False
        except OSError as problem:
            if problem.errno != ENOENT:
                raise
        try:
            return os.open(path, flags | O_EXCL, mode), True
        except OSError as problem:
            if problem.errno != EEXIST:  # else somebody made it between the two calls: begin again
                raise


def _file_name(name: bytes) -> bytes:
    plain = name.lstrip(b"/")
    if not plain or b"/" in plain:
        raise OSError(EINVAL, os.strerror(EINVAL), name)
    return plain


def _unlink(name: bytes, shown: str) -> None:
    plain = name.lstrip(b"/")
    result = ops.posix_shm_unlink(plain) if plain and b"/" not in plain else -EINVAL
    check(result, UNLINK_MEMORY, f"unlink shared memory {shown}")


def unlink_shared_memory(name: str, /) -> None:
    """Take the name of shared memory away."""
    _unlink(name_to_unlink(name), name)
