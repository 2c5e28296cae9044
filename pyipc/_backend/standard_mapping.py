"""Mapping by the standard library, where no type of our own can be the exporter of the views."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAP_WRITABLE = 1
MAP_PRIVATE = 2


def map_memory(number: int, size: int, flags: int) -> int | tuple[Any, memoryview]:
    """Map it; the mapping keeps a descriptor of its own before Python 3.13, and the GIL in older ones."""
    import mmap
    import sys

    protection = mmap.PROT_READ | (mmap.PROT_WRITE if flags & MAP_WRITABLE else 0)
    kind = mmap.MAP_PRIVATE if flags & MAP_PRIVATE else mmap.MAP_SHARED
    untracked: Any = {"trackfd": False} if sys.version_info >= (3, 13) else {}
    try:
        mapping = mmap.mmap(number, size, flags=kind, prot=protection, **untracked)
    except OSError as problem:
        return -(problem.errno or 0)
    return mapping, memoryview(mapping)
