"""Memory behind a descriptor, over the compiled core; see native.py."""

from __future__ import annotations

from .native_core import ffi, lib
from .native_descriptors import cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .protocol import MemoryFields

__all__ = (
    "MEMORY_HUGE_1G",
    "MEMORY_HUGE_2M",
    "SEAL_FUTURE_WRITE",
    "SEAL_GROW",
    "SEAL_SEAL",
    "SEAL_SHRINK",
    "SEAL_WRITE",
    "memory_create",
    "memory_grow",
    "memory_reserve",
    "memory_seal",
    "now_memory_stat",
)

MEMORY_HUGE_2M = lib.PYIPC_MEMORY_HUGE_2M
MEMORY_HUGE_1G = lib.PYIPC_MEMORY_HUGE_1G
SEAL_SEAL = lib.PYIPC_SEAL_SEAL
SEAL_SHRINK = lib.PYIPC_SEAL_SHRINK
SEAL_GROW = lib.PYIPC_SEAL_GROW
SEAL_WRITE = lib.PYIPC_SEAL_WRITE
SEAL_FUTURE_WRITE = lib.PYIPC_SEAL_FUTURE_WRITE

memory_reserve = lib.pyipc_memory_reserve
memory_grow = lib.pyipc_memory_grow
memory_seal = lib.pyipc_memory_seal


def memory_create(into: Any, size: int, flags: int) -> int:
    return lib.pyipc_memory_create(size, flags, cell(into))


def now_memory_stat(number: int) -> int | MemoryFields:
    s = ffi.new("struct pyipc_memory_stat *")
    result = lib.pyipc_now_memory_stat(number, s)
    return result if result < 0 else (s.size, s.seals, s.huge, bool(s.read_only))
