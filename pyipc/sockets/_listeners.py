"""Where a server listens: at what it was given, at what it takes over, or anew."""

from __future__ import annotations

from _socket import AF_UNIX

from .addresses import absolute
from .listening import Listener, listen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Union

    from .handover import Handover, Predecessor

    Where = Union[str, Listener]


def open_all(
    given: Where | Sequence[Where], mode: int, needs_unix: bool, handover: Handover | None
) -> list[Listener]:
    """All of them, which are the server's from now on."""
    several = [given] if isinstance(given, (str, Listener)) else list(given)
    if not several:
        raise ValueError("a server listens somewhere")
    before = None if handover is None else handover.before
    opened: list[Listener] = []
    try:
        for one in several:
            listener = one if isinstance(one, Listener) else _listener(one, mode, before)
            if listener._is_served:
                raise ValueError(f"a server listens at {listener.address} already, by this very listener")
            listener._is_served = True
            opened.append(listener)
            if needs_unix and listener.family != AF_UNIX:
                raise ValueError("who connects, the kernel tells of Unix sockets only")
        if before is not None:
            before.close_rest()
        return opened
    except BaseException:  # a signal handler's too
        if handover is not None:
            handover.close()  # first: what it has given up is not ours to remove
        close_all(opened)
        raise


def _listener(address: str, mode: int, before: Predecessor | None) -> Listener:
    asked = absolute(address)
    listener = None if before is None else before.take(asked)
    if listener is None:
        listener = listen(address, mode=mode)
    listener._asked = asked
    return listener


def close_all(listeners: list[Listener]) -> None:
    """Close all, whatever the first of them raises."""
    if listeners:
        try:
            listeners[0].close()
        finally:
            close_all(listeners[1:])
