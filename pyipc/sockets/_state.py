"""What a server leaves to its successor: bytes, in memory that nobody can change now (memfd_create(2))."""

from __future__ import annotations

from errno import EACCES

from ..errors import error
from ..memory import Memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._descriptor import Handle

    Save = Callable[[], Any]


def saved(save: Save | None) -> Memory | None:
    """The bytes that it gives; None if it gives none."""
    data = memoryview(b"" if save is None else save()).cast("B")
    if not data.nbytes:
        return None
    state = Memory(data.nbytes)
    try:
        state.write(data)
        state.freeze()
        return state
    except BaseException:  # a signal handler's too
        state.close()
        raise


def arrived(descriptor: int | Handle) -> Memory:
    """What has come, which is the caller's.

    Raises:
        AccessError: It is not frozen: somebody could change it yet.
    """
    state = Memory.from_fd(descriptor, read_only=True)
    if not state.frozen:
        state.close()
        raise error(EACCES, "inherit a state that could be changed yet")
    return state
