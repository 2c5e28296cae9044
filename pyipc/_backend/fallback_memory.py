"""Memory behind a descriptor, over the standard library; see fallback.py."""

from __future__ import annotations

import os
from errno import EBADF, EINVAL, ENODEV, ENOTSUP, EPERM
from fcntl import F_GETFL, fcntl
from stat import S_ISREG

from .fallback_descriptors import own
from .fallback_foreign import call
from .standard_mapping import MAP_PRIVATE, MAP_WRITABLE, map_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .protocol import MemoryFields

__all__ = (
    "MAP_PRIVATE",
    "MAP_WRITABLE",
    "MEMORY_HUGE_1G",
    "MEMORY_HUGE_2M",
    "SEAL_FUTURE_WRITE",
    "SEAL_GROW",
    "SEAL_SEAL",
    "SEAL_SHRINK",
    "SEAL_WRITE",
    "map_memory",
    "memory_create",
    "memory_grow",
    "memory_reserve",
    "memory_seal",
    "now_memory_stat",
)

MEMORY_HUGE_2M = 1
MEMORY_HUGE_1G = 2
SEAL_SEAL = 1
SEAL_SHRINK = 2
SEAL_GROW = 4
SEAL_WRITE = 8
SEAL_FUTURE_WRITE = 16

# Not in every os and fcntl module.
_CLOEXEC, _ALLOW_SEALING, _HUGETLB, _NOEXEC_SEAL, _HUGE_SHIFT = 1, 2, 4, 8, 26
_F_ADD_SEALS = 1033
_F_GET_SEALS = 1034

_NO_SIZE = 1 << 63  # of a file
_PIECE = 64 << 20
_PAGE = os.sysconf("SC_PAGESIZE")


def _kernel_flags(flags: int) -> int:
    kernel = _CLOEXEC | _ALLOW_SEALING
    if flags & MEMORY_HUGE_2M:
        kernel |= _HUGETLB | 21 << _HUGE_SHIFT
    if flags & MEMORY_HUGE_1G:
        kernel |= _HUGETLB | 30 << _HUGE_SHIFT
    return kernel


def memory_create(into: Any, size: int, flags: int) -> int:
    if size >= _NO_SIZE:
        return -EINVAL
    if not hasattr(os, "memfd_create"):  # a Python that was built where the C library lacked it
        return -ENOTSUP
    kernel = _kernel_flags(flags)
    result = -EINVAL
    try:
        made = own(into, os.memfd_create, "pyipc", kernel | _NOEXEC_SEAL)
        if made == -EINVAL:  # Linux before 6.3
            made = own(into, os.memfd_create, "pyipc", kernel)
        result = made or memory_grow(into._number, size) or memory_seal(into._number, SEAL_SHRINK)
    finally:
        if result < 0:
            into._close()
    return result


# os.posix_fallocate() lets the file grow; and on a file system that lacks the call, it imitates it by
# writing, and so over others who write. Memory of our own has it, and no other call asks for pages.
def memory_reserve(number: int, offset: int, size: int) -> int:
    piece = min(size, _PIECE)
    if offset >= _NO_SIZE:
        return -EINVAL
    return int(call(os.posix_fallocate, number, offset, piece)) or piece


def memory_grow(number: int, size: int) -> int:
    if size >= _NO_SIZE:
        return -EINVAL
    if _size_of(number) > size:
        return 0
    result = int(call(os.ftruncate, number, size))
    return 0 if result == -EPERM and _size_of(number) >= size else result


def _size_of(number: int) -> int:
    facts = call(os.fstat, number)
    return facts if isinstance(facts, int) else int(facts.st_size)


def now_memory_stat(number: int) -> int | MemoryFields:
    # Seals first: see csrc/memory.c.
    seals = call(fcntl, number, _F_GET_SEALS, invalid=EBADF)
    flags = call(fcntl, number, F_GETFL, invalid=EBADF)
    facts = call(os.fstat, number)
    place = call(os.fstatvfs, number)
    for result in flags, facts, place:
        if isinstance(result, int) and result < 0:
            return result
    if not S_ISREG(facts.st_mode):
        return -ENODEV
    # statvfs(3) does not say of what kind a file system is. But only tmpfs and hugetlbfs know seals,
    # and the blocks of tmpfs are pages. (st_blksize would be the same for both where tmpfs is made
    # of transparent huge pages.)
    huge = place.f_bsize if seals >= 0 and place.f_bsize != _PAGE else 0
    return facts.st_size, max(seals, 0), huge, flags & os.O_ACCMODE == os.O_RDONLY


def memory_seal(number: int, seals: int) -> int:
    return int(call(fcntl, number, _F_ADD_SEALS, seals, invalid=EBADF))
