"""Handles through pickles, where `multiprocessing` carries descriptors beside them.

A descriptor's number means nothing in another process, so the descriptor itself must travel, and
`multiprocessing` has two ways: a process that it starts (spawn, forkserver) inherits it, and a
pickle that goes over one of its connections or queues names a socket where a thread of the sender
hands it out, for as long as the sender lives. A pickle made by others, for a file say, has neither:
`TypeError`.

Which of them is at work only its pickler knows, by its table of types. So a handle reduces itself to
a `_Carried`, which only that table knows how to reduce; the entry is made on the way, and nothing of
`multiprocessing` is imported by a program that does not use it.
"""

from __future__ import annotations

import os
import sys
from errno import EAGAIN, EINTR, EMFILE, EPIPE

from . import _deadline
from ._backend import ops
from .errors import check, error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._descriptor import Handle

# More, and the fork server refuses the whole start: it passes them in one message, with its own.
_MOST_PER_START = 250

_SENDER_HAS_SECONDS = 20.0

_WHY_NOT = (
    "a handle can be pickled only by multiprocessing, while it starts a process or over its connections "
    "and queues: elsewhere, nothing would carry the descriptor"
)


class _Carried:
    """A handle that is about to go through a pickle."""

    __slots__ = ("handle",)

    def __init__(self, handle: Handle) -> None:
        self.handle = handle

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        raise TypeError(_WHY_NOT)


def reduce(handle: Handle, *more: object) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """For `__reduce__`: over there, `type(handle)._arrived(owner, *more)` makes the handle."""
    handle.fileno()  # or ClosedError
    reduction = sys.modules.get("multiprocessing.reduction")
    if reduction is None:
        raise TypeError(_WHY_NOT)
    reduction.ForkingPickler.register(_Carried, _carry)
    return _arrive, (type(handle), _Carried(handle), *more)


def _arrive(cls: type[Handle], owner: Any, *more: object) -> Handle:
    if isinstance(owner, _Carried):
        raise TypeError(f"{owner.handle} cannot be copied; dup() gives a second descriptor")
    return cls._arrived(owner, *more)


def _carry(carried: _Carried) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    from multiprocessing import context

    number = carried.handle.fileno()
    popen: Any = context.get_spawning_popen()
    if popen is None:
        from multiprocessing import resource_sharer

        shared: Any = resource_sharer.DupFd(number)
        return _from_sender, shared._id
    if popen.method == "forkserver" and len(popen._fds) >= _MOST_PER_START:
        doing = f"pass {carried.handle} to a process that is being started"
        raise limit_error(EMFILE, doing, "descriptors per start", _MOST_PER_START, None)
    # A spawned process inherits a number once, however often it is named; the fork server sends each.
    again = popen.method == "spawn" and number in popen._fds
    return _from_parent, (popen.DupFd(number if again else popen.duplicate_for_child(number)), again)


def _from_parent(inherited: Any, again: bool) -> Any:
    owner = ops.Descriptor()
    own = ops.now_duplicate if again else ops.now_adopt
    check(own(owner, inherited.detach()), "take over a descriptor from the parent")
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
    owners = came[2]
    if len(owners) != 1:
        raise error(EMFILE, doing)
    return owners[0]
