"""System V segments over `sysv_ipc`; see fallback.py."""

from __future__ import annotations

import os
from errno import EACCES, EEXIST, EIDRM, EINVAL, ENOENT, ENOTSUP, EPERM
from sys import getrefcount

from .fallback_foreign import call, change, find, listed, owner, row_of, stat_row, sysv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .protocol import SegmentFields

__all__ = (
    "SHM_HUGE_1G",
    "SHM_HUGE_2M",
    "SHM_NO_RESERVE",
    "SHM_READ_ONLY",
    "Viewed",
    "copy_in",
    "copy_out",
    "fill",
    "now_shm_find",
    "now_shm_set",
    "now_shm_size",
    "now_shm_stat",
    "shm_address",
    "shm_attach",
    "shm_create",
    "shm_create_private",
    "shm_get",
    "shm_lock",
    "shm_memory",
    "shm_populate",
    "shm_remove",
    "view",
)

SHM_HUGE_2M = 1
SHM_HUGE_1G = 2
SHM_NO_RESERVE = 4
SHM_READ_ONLY = 8

_PAGE = os.sysconf("SC_PAGESIZE")
_HUGE_SHIFT = 26  # SHM_HUGE_SHIFT: where shmget(2) takes the logarithm of the page's size


class _Alone:
    """What getrefcount() says of a thing that nobody else has; differs between Pythons, so tried."""

    __slots__ = ("thing",)
    dying = held = 0

    def __init__(self) -> None:
        self.thing = object()

    def __del__(self) -> None:
        _Alone.dying = getrefcount(self)
        _Alone.held = getrefcount(self.thing)


_Alone()


class _Segment(sysv.SharedMemory):  # type: ignore[misc]  # sysv_ipc ships no types
    """A segment that is unmapped with its last view.

    A view refers to its segment, so no view is left when the last reference goes. But the garbage
    collector comes here too, of segment and views that are garbage together, and then others that
    are may still look; that one stays mapped until the process ends.
    """

    __slots__ = ()
    alone = _Alone.dying

    def __del__(self, count: Callable[[Any], int] = getrefcount) -> None:
        if self.attached and count(self) == self.alone:
            self.detach()


class _Attachment:
    """A mapped segment and its bytes.

    `sysv_ipc` would unmap under a view. So a segment that has views when its attachment goes is
    left alone: a `_Segment` goes with the last of them, another one (it was attached by its id)
    stays mapped until the process ends.
    """

    __slots__ = ("memory", "segment")
    alone = _Alone.held

    def __init__(self, segment: Any, memory: memoryview) -> None:
        self.segment = segment
        self.memory = memory

    def __getitem__(self, part: slice) -> memoryview:
        return self.memory[part]

    def __setitem__(self, part: slice, data: Any) -> None:
        self.memory[part] = data

    def __del__(self, count: Callable[[Any], int] = getrefcount) -> None:
        self.memory.release()
        if count(self.segment) == self.alone:
            self.segment.detach()


def _attached(segment: Any, read_only: bool) -> int | _Attachment:
    # Taken now, while the segment can surely be asked for its size: each read() and write() of
    # sysv_ipc asks anew, and fails once the mode forbids that.
    view = call(memoryview, segment)
    if isinstance(view, int):
        segment.detach()
        return view
    return _Attachment(segment, view.toreadonly() if read_only else view)


def _kernel_flags(flags: int) -> int:
    kernel = sysv.SHM_NORESERVE if flags & SHM_NO_RESERVE else 0
    if flags & SHM_HUGE_2M:
        kernel |= sysv.SHM_HUGETLB | 21 << _HUGE_SHIFT
    if flags & SHM_HUGE_1G:
        kernel |= sysv.SHM_HUGETLB | 30 << _HUGE_SHIFT
    return int(kernel)


# The segments with a key that this process has made, each with who claimed it.
_made: dict[int, object] = {}

# How often others may come between before an error is taken for what it says.
_RACES = 20


def _make(key: int, size: int, flags: int, mode: int) -> Any:
    """A new segment, attached; or -errno.

    With IPC_EXCL, `sysv_ipc` would write over all of the new segment: that takes memory for every
    page, and deletes what others write into it meanwhile. So it is made without; whether it is new
    then shows in who made it.
    """
    if flags & SHM_NO_RESERVE and flags & (SHM_HUGE_2M | SHM_HUGE_1G):
        return -ENOTSUP  # to touch it could kill us
    for _ in range(_RACES):
        segment = _try_to_make(key, size, flags, mode)
        # Others may have made a smaller one with this key, or removed ours before it was attached.
        if segment not in (-EINVAL, -EIDRM):
            break
    return segment


def _try_to_make(key: int, size: int, flags: int, mode: int) -> Any:
    made_before = list(_made)
    rows = listed("shm")
    if isinstance(rows, int):
        return rows
    if key and any(int(row["key"]) == key for row in rows):
        return -EEXIST
    if not 1 <= size < 1 << 63:
        return -EINVAL
    known = {int(row["shmid"]) for row in rows}
    for id in made_before:
        if id not in known:
            _made.pop(id, None)
    # Attaching needs permission that the caller may not want to keep.
    segment = call(_Segment, key, sysv.IPC_CREAT | _kernel_flags(flags), mode & 0o777 | 0o600, size)
    if isinstance(segment, int):
        _remove_what_was_not_attached(key, size, known)
        return -EEXIST if key and find("shm", key, 0, None) >= 0 else segment
    me = object()
    maker = call(getattr, segment, "creator_pid")
    if maker != os.getpid() or _made.setdefault(segment.id, me) is not me:
        return -EEXIST
    result = call(setattr, segment, "mode", mode & 0o777) if mode & 0o600 != 0o600 else 0
    if result < 0:
        shm_remove(segment.id)
    return result or segment


def _remove_what_was_not_attached(key: int, size: int, known: set[int]) -> None:
    """`sysv_ipc` makes a segment and attaches it in one go; only the second may have failed."""
    rows = listed("shm")
    for row in [] if isinstance(rows, int) else rows:
        facts = tuple(int(row[name]) for name in ("key", "size", "cpid", "lpid"))
        id = int(row["shmid"])
        if facts == (key, size, os.getpid(), 0) and id not in known | _made.keys():
            shm_remove(id)


def shm_create(key: int, size: int, flags: int, mode: int) -> int:
    segment = _make(key, size, flags, mode)
    return segment if isinstance(segment, int) else int(segment.id)


def shm_create_private(size: int, flags: int, mode: int) -> int | tuple[int, Any]:
    segment = _make(0, size, flags, mode)
    if isinstance(segment, int):
        return segment
    try:
        if mode & 0o600 != 0o600:  # sysv_ipc would ask it for its size, and be refused
            permitted = shm_attach(segment.id, 0, 0)
            if isinstance(permitted, int):
                return permitted
        attachment = _attached(segment, False)
    finally:
        shm_remove(segment.id)
    return attachment if isinstance(attachment, int) else (segment.id, attachment)


class Viewed:
    """Python asks __buffer__() from 3.12 on; before that, nothing written in Python shows its memory."""

    __slots__ = ()


def shm_get(key: int, size: int, flags: int) -> int:
    kernel, mode = flags & ~0o777, flags & 0o777
    exclusive = kernel & sysv.IPC_CREX == sysv.IPC_CREX
    missing = EEXIST if exclusive else ENOENT
    segment = call(_Segment, key, kernel, mode, size, b"\0", missing=missing)
    if segment == -EACCES and exclusive:  # made, perhaps, and not attached: for the caller to find out
        found = find("shm", key, 0, None)
        return found if found >= 0 else -EACCES
    return segment if isinstance(segment, int) else int(segment.id)


def now_shm_find(key: int, size: int) -> int:
    return find("shm", key, size, "size")


def shm_attach(id: int, address: int, flags: int) -> int | Any:
    row = row_of("shm", id)
    if isinstance(row, int):
        return row
    read_only = bool(flags & SHM_READ_ONLY)
    segment = None
    if int(row["key"]) and not address:
        segment = call(_Segment, int(row["key"]), 0, 0o400 if read_only else 0o600)
    if segment is None or isinstance(segment, int) or segment.id != id:
        segment = call(sysv.attach, id, address or None, sysv.SHM_RDONLY if read_only else 0)
    if segment == -EINVAL and isinstance(row_of("shm", id), int):
        return -EIDRM
    return segment if isinstance(segment, int) else _attached(segment, read_only)


def shm_address(attachment: Any) -> int:
    return int(attachment.segment.address)


def shm_memory(attachment: Any, size: int, read_only: bool) -> Any:
    return attachment


def view(memory: Any) -> int | memoryview:
    if isinstance(memory, memoryview):  # of a mapping, which is as read-only as it is
        return memory[:]
    return -ENOTSUP if memory.memory.readonly else memory.memory[:]


def shm_populate(memory: Any) -> int:
    memory.memory[::_PAGE].tobytes()  # to look at a page of a segment makes it
    return 0


def copy_out(memory: Any, offset: int, size: int) -> bytes:
    return bytes(memory[offset : offset + size])


def copy_in(memory: Any, offset: int, data: Any) -> None:
    memory[offset : offset + len(data)] = data


fill = copy_in


def now_shm_size(id: int) -> int:
    row = stat_row("shm", id)
    return row if isinstance(row, int) else int(row["size"])


def now_shm_stat(id: int) -> int | SegmentFields:
    row = stat_row("shm", id)
    if isinstance(row, int):
        return row
    size, count, atime, dtime, ctime, cpid, lpid = (
        int(row[name]) for name in ("size", "nattch", "atime", "dtime", "ctime", "cpid", "lpid")
    )
    return owner(row), size, count, atime, dtime, ctime, cpid, lpid


def now_shm_set(id: int, uid: int, gid: int, mode: int) -> int:
    segment = call(sysv.attach, id, None, sysv.SHM_RDONLY, invalid=EIDRM)
    if isinstance(segment, int):
        return segment
    try:
        return change(segment, uid=uid, gid=gid, mode=mode)
    finally:
        segment.detach()


def shm_lock(id: int, locked: int) -> int:
    return -ENOTSUP


def shm_remove(id: int) -> int:
    return int(call(sysv.remove_shared_memory, id, denied=EPERM))
