"""Memory behind a descriptor (memfd_create(2)): how it is made, looked at, and made present.

A `Memory` can do more; handles on what is shared in a fixed layout need no more than this.
"""

from __future__ import annotations

from errno import EACCES, EINTR

from . import _room
from ._backend import ops
from .errors import check, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._backend.protocol import Descriptor, MemoryFields

# How much is made present in one system call; and at the least, where signals interrupt it.
_INTERRUPTIBLE = 64 << 20
_SMALLEST_PIECE = 1 << 16


def stat_of(number: int, doing: str) -> MemoryFields:
    """What it is.

    Raises:
        IPCError: ENODEV: it has no size.
    """
    fields = ops.now_memory_stat(number)
    if isinstance(fields, int):
        raise error(-fields, doing)
    return fields


def lacks(fields: MemoryFields) -> str | None:
    """What it would have to be sealed against, lest a peer take it away under us; None if it is."""
    _, seals, huge, _ = fields
    needed = ops.SEAL_SHRINK | (ops.SEAL_WRITE if huge else 0)
    if seals & needed == needed:
        return None
    return "shrinking and writing, as huge pages must be" if huge else "shrinking"


def make_present(number: int, offset: int, end: int) -> int:
    """Let writing there never fail for want of memory: 0, or what the kernel says. Handlers run meanwhile."""
    piece = end - offset
    while offset < end:
        done = ops.memory_reserve(number, offset, min(piece, end - offset))
        if done >= 0:
            offset += done
        elif done == -EINTR:
            # A signal's handler runs now, in Python. The piece is begun again, and signals may come
            # more often than it takes.
            piece = max(min(piece, _INTERRUPTIBLE) // 2, _SMALLEST_PIECE)
        else:
            return done
    return 0


def made(size: int, present: int, doing: str) -> Descriptor:
    """Fresh memory of a fixed size, all zero, to be shared; its first *present* bytes are there.

    Raises:
        OutOfMemoryError, LimitError: There is not that much; RLIMIT_NOFILE.
    """
    _room.refuse_what_does_not_fit(present, doing)
    owner: Descriptor = ops.Descriptor()
    try:
        check(ops.memory_create(owner, size, 0), doing)
        check(make_present(owner.fileno(), 0, present), doing)
        check(ops.memory_seal(owner.fileno(), ops.SEAL_GROW), doing)
    except BaseException:  # a signal handler's too
        owner._close()
        raise
    return owner


def mapped(number: int, doing: str) -> tuple[Any, Any, int]:
    """All of it, to read and to write: what keeps it mapped, its bytes, how many.

    Raises:
        AccessError: It is not sealed against shrinking, or cannot be written.
    """
    fields = stat_of(number, doing)
    missing = lacks(fields)
    if missing is not None:
        raise error(EACCES, f"{doing} that is not sealed against {missing}")
    size = fields[0]
    both = ops.map_memory(number, size, ops.MAP_WRITABLE)
    if isinstance(both, int):
        raise error(-both, f"{doing}: map {size} bytes")
    return (*both, size)
