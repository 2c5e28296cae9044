"""Mapping by the standard library, where no type of our own can be the exporter of the views."""

from __future__ import annotations

from errno import EBADF, EINVAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAP_WRITABLE = 1
MAP_PRIVATE = 2


def map_memory(number: int, size: int, flags: int) -> int | tuple[Any, memoryview]:
    """Map it; the mapping keeps a descriptor of its own before Python 3.13, and the GIL in older ones."""
    import mmap
    import sys

    if number < 0 or size < 1:  # which mean other things to it: memory of its own, and all that there is
        return -EBADF if number < 0 else -EINVAL
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if flags & MAP_WRITABLE else 0)
    kind = mmap.MAP_PRIVATE if flags & MAP_PRIVATE else mmap.MAP_SHARED
    untracked: Any = {"trackfd": False} if sys.version_info >= (3, 13) else {}
    try:
        mapping = mmap.mmap(number, size, flags=kind, prot=protection, **untracked)
    except (OSError, ValueError, OverflowError) as problem:
        if getattr(problem.__traceback__, "tb_next", None) is not None:
            raise  # it has frames of its own: a signal handler's
        # A ValueError: more than the file has, or than there are addresses.
        return -(getattr(problem, "errno", None) or EINVAL)
    return mapping, memoryview(mapping)
