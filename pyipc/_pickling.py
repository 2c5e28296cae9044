"""Handles through pickles, where `multiprocessing` carries descriptors beside them.

A descriptor's number means nothing in another process, so the descriptor itself must travel, and
`multiprocessing` has two ways: a process that it starts (spawn, forkserver) inherits it, and a
pickle that goes over one of its connections or queues names a socket where a thread of the sender
hands it out, for as long as the sender lives. A pickle made by others, for a file say, has neither:
`TypeError`.

Which pickler is at work only the stack tells. (The table of types that `multiprocessing` keeps for such
ends is copied when a pickler is made, so an entry must be there before; but who has handles may import
`multiprocessing` at any later time, and should not import it for us: it takes longer than all of pyipc.)
All of its pickling is done by its module `reduction`.
"""

from __future__ import annotations

import os
import sys
from errno import EACCES, EAGAIN, EINTR, EMFILE, EPIPE

from . import _deadline
from ._backend import ops
from .errors import check, error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from ._descriptor import Handle

# The fork server passes them in one message, with four of its own.
_MOST_PER_START = ops.MOST_FDS - 4

_SENDER_HAS_SECONDS = 20.0

_WHY_NOT = (
    "a handle can be pickled only by multiprocessing, while it starts a process or over its connections "
    "and queues: elsewhere, nothing would carry the descriptor"
)


def reduce(handle: Handle, *more: object) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """For `__reduce__`: over there, `type(handle)._arrived(owner, *more)` makes the handle."""
    number = handle.fileno()  # or ClosedError
    if not _is_carried():
        raise TypeError(_WHY_NOT)
    return _arrive, (type(handle), *_carry(handle, number), more)


def reduce_all(
    handle: Any, passing: int, numbers: list[int], *more: object
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The same of a handle with several descriptors: `type(handle)._arrived(owners, *more)`.

    The first, *passing*, may be closed at once; the others, with their handle after the start.
    """
    if not _is_carried():
        raise TypeError(_WHY_NOT)
    hows = [_carry(handle, passing, keep=True), *(_carry(handle, number) for number in numbers)]
    return _arrive_all, (type(handle), hows, more)


def refuse_elsewhere() -> None:
    """For the `__reduce__` of what consists of handles: `copy.copy` would make two that share one."""
    if not _is_carried():
        raise TypeError(_WHY_NOT)


def _is_carried() -> bool:
    """Whether it is `multiprocessing` that pickles."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module in ("multiprocessing.reduction", "pyipc.channels.objects"):
            return True
        # A pickler may be written in Python; and a subclass may have a __reduce__ of its own.
        ours = module == "pickle" or module.startswith("pyipc.")
        if not ours and frame.f_code.co_name not in ("__reduce__", "__reduce_ex__"):
            return False
        frame = frame.f_back
    return False


def _arrive(cls: type[Handle], fetch: Callable[..., Any], how: tuple[Any, ...], more: Any) -> Handle:
    return cls._arrived(fetch(*how), *more)


def _arrive_all(cls: Any, hows: list[tuple[Callable[..., Any], tuple[Any, ...]]], more: Any) -> Any:
    return cls._arrived([fetch(*how) for fetch, how in hows], *more)


def _carry(handle: Any, number: int, keep: bool = False) -> tuple[Callable[..., Any], Any]:
    """How the other process gets it: a function and its arguments.

    With *keep*, of a number that may be closed before the process has started.
    """
    from multiprocessing import context

    popen: Any = context.get_spawning_popen()
    if popen is None:
        from multiprocessing import resource_sharer

        shared: Any = resource_sharer.DupFd(number)
        return _from_sender, shared._id
    if popen.method == "forkserver" and len(popen._fds) >= _MOST_PER_START:
        doing = f"pass {handle} to a process that is being started"
        raise limit_error(EMFILE, doing, "descriptors per start", _MOST_PER_START, None)
    if keep or (popen.method == "spawn" and number in popen._fds):
        number = _twin_for(popen, number)
    return _from_parent, (popen.DupFd(popen.duplicate_for_child(number)),)


def _twin_for(popen: Any, number: int) -> int:
    """A spawned process inherits each number once, so a second arrival needs a second number.

    It is closed when the process object goes: nobody says when the start is through.
    """
    from multiprocessing.util import Finalize

    twin = ops.Descriptor()
    check(ops.now_duplicate(twin, number), "duplicate a descriptor for a process that is being started")
    Finalize(popen, twin._close)
    return int(twin._number)


def _from_parent(inherited: Any) -> Any:
    owner = ops.Descriptor()
    check(ops.now_adopt(owner, inherited.detach()), "take over a descriptor from the parent")
    return owner


def _from_sender(address: str, key: int) -> Any:
    """Fetch it; as `resource_sharer` would, but close-on-exec from the start, and owned at once."""
    from multiprocessing.connection import Client
    from multiprocessing.process import current_process

    doing = "fetch a descriptor from the process that sent it"
    try:
        with Client(address, authkey=current_process().authkey) as connection:
            connection.send((key, os.getpid()))
            return _one_from(connection.fileno(), doing)
    except (ConnectionError, FileNotFoundError, EOFError) as problem:
        raise error(EPIPE, f"{doing}: it has ended") from problem


def _one_from(number: int, doing: str) -> Any:
    deadline = _deadline.after(_SENDER_HAS_SECONDS)
    while True:
        came = ops.now_receive(number, 1, ops.Descriptor)
        if not isinstance(came, int):
            break
        if came == -EAGAIN:
            came = ops.fd_wait(number, ops.READABLE, deadline)
        if came != -EINTR:
            check(came, doing)
    owners, lost = came[2], came[6]
    if len(owners) != 1:
        full = lost is not None and lost[0] == ops.LOST_TABLE_FULL
        raise error(EMFILE if full else EACCES, doing)
    return owners[0]
