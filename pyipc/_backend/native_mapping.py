"""Mapped memory over the compiled core; see native.py."""

from __future__ import annotations

from errno import ENOTSUP

from . import standard_mapping
from .native_core import HOT, core, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("MAP_PRIVATE", "MAP_WRITABLE", "copy_in", "copy_out", "fill", "map_memory", "view")

MAP_WRITABLE = lib.PYIPC_MAP_WRITABLE
MAP_PRIVATE = lib.PYIPC_MAP_PRIVATE


class Unseen:
    """Memory that can be read, but not looked at."""

    __slots__ = ("memory",)

    def __init__(self, memory: Any) -> None:
        self.memory = memory


# Without a GIL, to slice a memoryview that another thread slices, too, may release it for both: so each call
# makes one of its own.


def view(memory: Any) -> int | memoryview:
    if type(memory) is Unseen:
        return -ENOTSUP
    return memory[:] if HOT else memoryview(memory.obj)


# Copying more than this takes longer than another thread should wait for the GIL.
_COPY_WITH_GIL = 65536


def copy_out(memory: Any, offset: int, size: int) -> bytes:
    if type(memory) is Unseen:
        copy: bytes = memory.memory[offset : offset + size]
        return copy
    # A view of what is there, whatever was asked for.
    part = (memory if HOT else memoryview(memory.obj))[offset : offset + size]
    if not HOT or size <= _COPY_WITH_GIL:
        return part.tobytes()
    return core.copy_out(int(ffi.cast("intptr_t", ffi.from_buffer(part))), len(part))


def fill(memory: memoryview, offset: int, data: Any) -> None:
    size = len(data)
    if size <= _COPY_WITH_GIL:
        memory[offset : offset + size] = data
        return
    part = memory[offset : offset + size]
    if part.readonly:  # C would not ask
        raise TypeError("cannot modify read-only memory")
    lib.pyipc_copy(ffi.from_buffer(part), ffi.from_buffer(data), min(len(part), size))


def _copy_in(memory: memoryview, offset: int, data: Any) -> None:
    fill(memoryview(memory.obj), offset, data)


copy_in = fill if HOT else _copy_in


def map_memory(number: int, size: int, flags: int) -> int | tuple[Any, memoryview]:
    if not HOT:
        return standard_mapping.map_memory(number, size, flags)
    attachment = core.map(number, size, flags)
    return attachment if isinstance(attachment, int) else (attachment, memoryview(attachment))
