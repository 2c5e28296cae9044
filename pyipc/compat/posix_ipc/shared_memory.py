"""Shared memory that has a name: a descriptor, to be mapped by the module mmap."""

from __future__ import annotations

import os
from errno import EEXIST, EINVAL

from ..._backend import ops
from .arguments import O_RDWR, c_int, checked, chosen_name, name_to_unlink
from .exceptions import CLOSE_DESCRIPTOR, OPEN, UNLINK_MEMORY, USE, check, refuse_number
from .objects import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..._backend.protocol import Descriptor
else:
    Descriptor = ops.Descriptor

PAGE_SIZE = os.sysconf("SC_PAGESIZE")

_C_SIGN = 1 << 31
_MOST = (1 << 64) - 1


class SharedMemory(Kind, Descriptor):
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
    __slots__ = ("_mode", "_name", "_plain")

    def __init__(
        self,
        name: str | bytes | None,
        flags: int = 0,
        mode: int = 0o600,
        size: int = 0,
        read_only: int = False,
    ) -> None:
        given, plain, flags, mode = checked(name, flags, mode)
        if not isinstance(size, int):
            raise TypeError(f"size is an int, not {type(size).__name__}")
        if read_only is False or not c_int(read_only):
            flags |= O_RDWR
        if flags >= _C_SIGN:
            flags -= 2 * _C_SIGN
        while True:
            chosen, plain = chosen_name() if given is None else (given, plain)
            plain = plain.lstrip(b"/")
            if not plain or b"/" in plain:
                refuse_number(EINVAL, OPEN, f"open shared memory {chosen}: no such name is possible")
            result = ops.posix_shm_get(self, plain, flags, mode, size & _MOST)
            if given is not None or result != -EEXIST:
                break
        if result < 0:
            refuse_number(-result, OPEN, f"open shared memory {chosen}")
        self._name, self._mode, self._plain = chosen, mode, plain

    @property
    def fd(self) -> int:
        """Its descriptor, which stays open until somebody closes it; or -1."""
        return self._number

    def fileno(self) -> int:
        """The same as `fd`."""
        return self._number

    @property
    def size(self) -> int:
        """How many bytes it has now."""
        try:
            return os.fstat(self._number).st_size
        except OSError as problem:
            refuse_number(problem.errno or 0, USE, f"look at shared memory {self._name}")

    def close_fd(self) -> None:
        """Close its descriptor; mappings of it stay, and so does its name."""
        if self._number >= 0:
            check(self._close(), CLOSE_DESCRIPTOR, f"close the descriptor of {self._name}")

    def unlink(self) -> None:
        """Take its name away; who has it open keeps it."""
        result = ops.posix_shm_unlink(self._plain)
        if result < 0:
            refuse_number(-result, UNLINK_MEMORY, f"unlink shared memory {self._name}")

    def __del__(self) -> None:
        self._take()  # it stays open


def unlink_shared_memory(name: str, /) -> None:
    """Take the name of shared memory away."""
    plain = name_to_unlink(name).lstrip(b"/")
    result = ops.posix_shm_unlink(plain) if plain and b"/" not in plain else -EINVAL
    check(result, UNLINK_MEMORY, f"unlink shared memory {name}")
