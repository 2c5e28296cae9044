"""File locks, counters and cells over the compiled core; see native.py."""

from __future__ import annotations

from errno import EMSGSIZE
from os import fsencode

from .native_core import HOT, ffi, lib
from .native_descriptors import cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = (
    "CELL_MOST",
    "COUNTER_STRIDE",
    "address_of",
    "cell_begin",
    "cell_format",
    "cell_get",
    "cell_memory",
    "cell_set",
    "cell_wait",
    "counters",
    "lock_file",
    "lock_file_open",
    "now_cell_set",
    "now_cell_version",
    "now_counter_add",
    "now_counter_compare_exchange",
    "now_counter_exchange",
    "now_counter_get",
    "now_lock_file",
    "now_unlock_file",
    "unlock_file",
)

# ---- files that are there to be locked ----

lock_file = lib.pyipc_lock_file
unlock_file = lib.pyipc_unlock_file
now_lock_file = lib.pyipc_now_lock_file
now_unlock_file = lib.pyipc_now_unlock_file


def lock_file_open(into: Any, path: str | bytes, mode: int, shared: bool) -> int:
    return lib.pyipc_lock_file_open(fsencode(path), mode, shared, cell(into))


def address_of(state: Any) -> int:
    return int(ffi.cast("intptr_t", state)) if HOT else 0


# ---- counters ----

COUNTER_STRIDE = lib.PYIPC_COUNTER_STRIDE

now_counter_add = lib.pyipc_now_counter_add
now_counter_get = lib.pyipc_now_counter_get
now_counter_exchange = lib.pyipc_now_counter_exchange
now_counter_compare_exchange = lib.pyipc_now_counter_compare_exchange


def counters(memory: Any) -> Any:
    return ffi.from_buffer("int64_t[]", memory)


# ---- the latest value ----

CELL_MOST = lib.PYIPC_CELL_MOST

cell_memory = lib.pyipc_cell_memory
now_cell_set = lib.pyipc_now_cell_set
now_cell_version = lib.pyipc_now_cell_version
cell_wait = lib.pyipc_cell_wait

# Copying more than this takes longer than another thread should wait for the GIL.
_COPY_WITH_GIL = 65536

_uncleared = ffi.new_allocator(should_clear_after_alloc=False)

# Rooms for values that are copied with the GIL, as many as threads have needed at once.
_rooms: list[tuple[Any, Any]] = []


def cell_format(memory: Any, most: int) -> int:
    return lib.pyipc_cell_format(ffi.from_buffer(memory), len(memory), most)


def cell_begin(memory: Any, size: int, life: int) -> Any:
    state = ffi.new("struct pyipc_cell *")
    result = lib.pyipc_cell_open(state, ffi.from_buffer(memory), size, life)
    return result if result < 0 else state


def cell_set(state: Any, data: Any, size: int, deadline: int) -> int:
    return lib.pyipc_cell_set(state, ffi.from_buffer(data), size, deadline)


def cell_get(state: Any) -> int | tuple[bytes, int]:
    try:
        data, size = room = _rooms.pop()
    except IndexError:
        data, size = room = _room(_COPY_WITH_GIL)
    version = lib.pyipc_now_cell_get(state, data, _COPY_WITH_GIL, size)
    answer = version if version < 0 else (ffi.buffer(data, size[0])[:], version)
    _rooms.append(room)
    return answer if version != -EMSGSIZE else _get_large(state)


def _room(size: int) -> tuple[Any, Any]:
    return _uncleared("char[]", size), ffi.new("uint64_t *")


def _get_large(state: Any) -> int | tuple[bytes, int]:
    version = -EMSGSIZE
    for most in max(lib.pyipc_now_cell_size(state), 0), state.most:
        if version == -EMSGSIZE:  # and again, if a longer one has come
            data, size = _room(most)
            version = lib.pyipc_cell_get(state, data, most, size)
    return version if version < 0 else (ffi.buffer(data, size[0])[:], version)
