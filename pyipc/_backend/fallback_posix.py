"""POSIX shared memory over the standard library; see fallback.py."""

from __future__ import annotations

import os
from _functools import partial
from errno import EEXIST, EINVAL, ENODATA, ENOENT

from .fallback_descriptors import Descriptor, now_twin, own
from .fallback_foreign import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = (
    "posix_shm_create",
    "posix_shm_get",
    "posix_shm_link",
    "posix_shm_open",
    "posix_shm_read",
    "posix_shm_resize",
    "posix_shm_unlink",
    "posix_shm_write",
)

# The reasons stand in csrc/posix_shm.c.
_PLACE = b"/dev/shm"
_CAREFULLY = os.O_NOFOLLOW | os.O_NONBLOCK


def _path(name: bytes) -> bytes:
    return b"%b/%b" % (_PLACE, name)


def posix_shm_create(into: Any, mode: int) -> int:
    return own(into, os.open, _PLACE, os.O_TMPFILE | os.O_RDWR, mode & 0o777)


def posix_shm_link(number: int, name: bytes) -> int:
    # With a folder to start at, which an absolute path does not need, it is linkat(2) and follows the
    # link; else link(2), which does not.
    link = partial(os.link, src_dir_fd=number, follow_symlinks=True)
    return int(call(link, b"/proc/self/fd/%d" % number, _path(name)))


def posix_shm_open(into: Any, name: bytes, read_only: bool) -> int:
    return own(into, os.open, _path(name), (os.O_RDONLY if read_only else os.O_RDWR) | _CAREFULLY)


def posix_shm_get(into: Any, name: bytes, flags: int, mode: int, size: int) -> int:
    path, always, made = _path(name), flags | _CAREFULLY, bool(flags & os.O_EXCL)
    if flags & (os.O_CREAT | os.O_EXCL) != os.O_CREAT:
        result = own(into, os.open, path, always, mode & 0o7777)
    while flags & (os.O_CREAT | os.O_EXCL) == os.O_CREAT and not made:
        result = own(into, os.open, path, always & ~os.O_CREAT)
        if result != -ENOENT:
            break
        result = own(into, os.open, path, always | os.O_EXCL, mode & 0o7777)
        made = result != -EEXIST  # else somebody made it between the two calls: begin again
    if result < 0 or not size:
        return result
    result = posix_shm_resize(into._number, size) if size < 1 << 63 else -EINVAL
    if result < 0:
        into._close()
        if made:
            posix_shm_unlink(name)
    return result


def posix_shm_resize(number: int, size: int) -> int:
    return int(call(os.ftruncate, number, size))


def posix_shm_unlink(name: bytes) -> int:
    return int(call(os.unlink, _path(name)))


def _on_a_twin(function: Callable[..., Any], owner: Any, *arguments: Any) -> Any:
    """Another thread may close the owner meanwhile, and its number be another file's."""
    twin = Descriptor()
    result = now_twin(twin, owner)
    try:
        return result if result < 0 else function(twin._number, *arguments)
    finally:
        twin._close()


def posix_shm_read(memory: Any, offset: int, size: int) -> int | bytes:
    data: int | bytes = _on_a_twin(_read, memory, offset, size)
    return data


def _read(number: int, offset: int, size: int) -> int | bytes:
    data: int | bytes = call(os.pread, number, size, offset)
    if isinstance(data, int) or len(data) == size:
        return data
    parts, have = [data], len(data)
    while have < size:  # one call reads no more than 2 GiB
        more = call(os.pread, number, size - have, offset + have)
        if isinstance(more, int):
            return more
        if not more:
            return -ENODATA
        parts.append(more)
        have += len(more)
    return b"".join(parts)


def posix_shm_write(memory: Any, offset: int, data: Any) -> int:
    result: int = _on_a_twin(_write, memory, offset, data)
    return result


def _write(number: int, offset: int, data: Any) -> int:
    size, done = len(data), 0
    facts = call(os.fstat, number)
    if isinstance(facts, int):
        return facts
    if facts.st_size - offset < size:
        return -ENODATA
    while done < size:  # where a page is missing and cannot be had, it comes back short at first
        result = int(call(os.pwrite, number, memoryview(data)[done:] if done else data, offset + done))
        if result < 0:
            return result
        done += result
    return size
