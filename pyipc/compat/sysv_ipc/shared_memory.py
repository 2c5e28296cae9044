"""Segments of shared memory."""

from __future__ import annotations

import os
from errno import EEXIST

from ... import sysv
from ..._backend import ops
from ...errors import IPCError, error
from .arguments import IPC_CREX, c_int, c_long, c_unsigned, checked, data_of, new_key
from .exceptions import ATTACH, CONTROL, GET_SEGMENT, USE_SEGMENT, NotAttachedError, check, refuse
from .objects import Kind, Quiet, Shown, owner_field, stat_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PAGE_SIZE = os.sysconf("SC_PAGESIZE")

SHM_RDONLY = 0o10000
SHM_RND = 0o20000
SHM_REMAP = 0o40000
SHM_HUGETLB = 0o4000
SHM_NORESERVE = 0o10000

_FILL = 1 << 20  # bytes at once


_Viewed: Any = ops.Viewed


class _Segment(Quiet, sysv.SharedMemory):
    __slots__ = ()


class SharedMemory(Kind, _Viewed):  # type: ignore[misc]  # which class it is, the backend says
    """A segment, made or found by its key, and attached.

    `memoryview()` of it is the memory itself, for as long as the view or what was made of it lives.

    Args:
        key: Its key; None, with IPC_CREX, is one that nobody has.
        flags: 0 finds it, IPC_CREAT makes it if there is none, IPC_CREX makes it or fails.
        mode: Who may use a new one. Without leave to write it is attached for reading only.
        size: Bytes; 0 is a page for a new one, and any for one that exists.
        init_character: What a new one is filled with, if flags are IPC_CREX.
    """

    __module__ = __package__
    __slots__ = ("_attached",)
    _name = "SharedMemory"
    _kinds = CONTROL
    _remove = staticmethod(ops.shm_remove)
    _attached: bool

    def __init__(
        self,
        key: int | None,
        flags: int = 0,
        mode: int = 0o600,
        size: int = 0,
        init_character: bytes | bytearray = b" ",
    ) -> None:
        wanted, flags, mode = checked(key, flags, mode)
        if size >> 63:
            size = c_unsigned(size)
        if not isinstance(init_character, (bytes, bytearray)) or len(init_character) != 1:
            raise TypeError("init_character is one byte, in a bytes object")
        how = flags & ~0o777 | mode
        exclusive = flags & IPC_CREX == IPC_CREX
        if exclusive and not size:
            size = PAGE_SIZE
        if wanted is None:
            while True:
                wanted = new_key()
                id = ops.shm_get(wanted, size, how)
                if id != -EEXIST:
                    break
        else:
            id = ops.shm_get(wanted, size, how)
        if id < 0:
            refuse(error(-id, f"open segment with key {wanted}"), GET_SEGMENT)
        self._key = wanted
        self._id = id
        try:
            self._attach(None, 0 if mode & 0o200 else SHM_RDONLY)
        except BaseException:  # a signal handler's too
            if exclusive:  # nobody knows of it yet
                ops.shm_remove(self._id)
            raise
        if exclusive and mode & 0o200 and init_character != b"\0":  # as it was born
            self._fill(bytes(init_character))

    def _attach(self, address: int | None, flags: int) -> None:
        """The first time; later `reattach` does it."""
        read_only = bool(flags & SHM_RDONLY)
        attachment = ops.shm_attach(self._id, address or 0, ops.SHM_READ_ONLY if read_only else 0)
        # Asked after attaching: from then on the id cannot come to mean another segment.
        size = attachment if isinstance(attachment, int) else ops.now_shm_size(self._id)
        if size < 0:
            refuse(error(-size, f"attach segment id {self._id}"), ATTACH)
        self._held = _Segment(self._id, self._key, size, attachment, read_only=read_only, owner=False)
        self._attached = True

    def _fill(self, byte: bytes) -> None:
        size = self._held.size
        if size <= _FILL:
            self._held.write(byte * size)
            return
        block = byte * _FILL
        for start in range(0, size, _FILL):
            self._held.write(block[: size - start], start)

    def attach(self, address: int | None = None, flags: int = 0) -> None:
        """Attach it again, at *address* if that is given.

        SHM_RDONLY and SHM_RND do what they do for shmat(2); SHM_REMAP is refused, since it could
        take the interpreter's own memory from under it.
        """
        at, flags = _address(address, c_int(flags))
        try:
            if at is None and not flags & SHM_RDONLY:
                self._held.reattach()
            else:
                self._held.reattach(read_only=bool(flags & SHM_RDONLY), address=at)
        except IPCError as problem:
            refuse(problem, ATTACH)
        self._attached = True

    def detach(self) -> None:
        """Detach it; the memory stays mapped until its last view has gone."""
        if not self._attached:
            raise NotAttachedError("detach a segment that is not attached")
        self._attached = False
        self._held.detach()

    def read(self, byte_count: int = 0, offset: int = 0) -> bytes:
        """Copy *byte_count* bytes from *offset*: all that follow if it is 0, or more than there are."""
        held = self._held
        if not self._attached:
            raise NotAttachedError("read from a segment that is not attached")
        byte_count, offset = c_long(byte_count), c_unsigned(offset)
        left = held.size - offset
        if left <= 0:
            raise ValueError(f"the offset is below {held.size}, not {offset}")
        if byte_count < 0:
            raise ValueError(f"byte_count is at least 0, not {byte_count}")
        if not 0 < byte_count <= left:
            byte_count = left
        try:
            data: bytes = held.read(byte_count, offset)
        except IPCError as problem:
            refuse(problem, USE_SEGMENT)
        return data

    def write(self, s: Any, offset: int = 0) -> None:
        """Copy the bytes of *s* to *offset*."""
        if not self._attached:
            raise NotAttachedError("write to a segment that is not attached")
        if s.__class__ is not bytes:
            s = data_of(s)
        try:
            self._held.write(s, c_unsigned(offset))
        except IPCError as problem:
            refuse(problem, USE_SEGMENT)

    def __buffer__(self, flags: int) -> memoryview:
        if not self._attached:
            raise BufferError("the segment is not attached")
        try:
            view: memoryview = self._held.buf
        except IPCError as problem:
            raise BufferError(problem.strerror) from problem
        return view

    attached = Shown(lambda self: self._attached, doc="Whether it is attached, through this object.")
    address = Shown(
        lambda self: self._held.address if self._attached else 0, doc="Where it is attached, or 0."
    )
    size = stat_field("size", "Bytes.")
    last_attach_time = stat_field("attach_time", "When somebody attached it last.")
    last_detach_time = stat_field("detach_time", "When somebody detached it last.")
    last_change_time = stat_field("change_time", "When its owner or mode was changed last, or it was made.")
    creator_pid = stat_field("creator_pid", "The process that made it.")
    last_pid = stat_field("last_pid", "The process that attached or detached it last.")
    number_attached = stat_field("attach_count", "How many times it is attached, by all processes.")
    mode = owner_field("mode", 0o777, "Permission bits.")
    uid = owner_field("uid", 0xFFFFFFFF, "The owner.")
    gid = owner_field("gid", 0xFFFFFFFF, "The owner's group.")
    cuid = stat_field("creator_uid", "Who made it.")
    cgid = stat_field("creator_gid", "The maker's group.")


def _address(address: Any, flags: int) -> tuple[int | None, int]:
    if flags & SHM_REMAP:
        raise ValueError("SHM_REMAP could replace the interpreter's own memory")
    if address is None:
        return None, flags
    if not isinstance(address, int):
        raise TypeError(f"an address is an int or None, not {type(address).__name__}")
    if not -(1 << 63) <= address < 1 << 64:
        raise OverflowError(f"{address} is no address")
    if flags & SHM_RND:
        address -= address % PAGE_SIZE  # SHMLBA
    return address & (1 << 64) - 1 or None, flags  # as a pointer; no such one is the kernel's to refuse


def attach(id: int, address: int | None = None, flags: int = 0) -> SharedMemory:
    """Attach the segment that has this id; the key of what comes back is -1."""
    id = c_int(id)
    at, flags = _address(address, c_int(flags))
    if id < 0:
        raise ValueError(f"an id is at least 0, not {id}")
    segment = SharedMemory.__new__(SharedMemory)
    segment._key, segment._id = -1, id
    segment._attach(at, flags)
    return segment


def remove_shared_memory(id: int, /) -> None:
    """Remove the segment that has this id."""
    check(ops.shm_remove(c_int(id)), CONTROL, f"remove segment id {id}")
