"""Waiting for several handles at once."""

from __future__ import annotations

from errno import EBADF
from select import POLLHUP, POLLIN, POLLNVAL, poll
from time import monotonic_ns

from . import _deadline
from ._descriptor import number_of
from .errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# Handles on shared memory look for themselves this often: their tokens may have been stolen.
_NET_MS = 1000


def wait(handles: Iterable[Any], timeout: float | None = None) -> list[Any]:
    """Wait until some of these are ready: which; none if the time is over.

    A handle is ready when a receive (of one that only sends: a send) would not have to wait, or when it
    is at its end. Files, sockets and whatever else has a `fileno()` are when they are readable.

    Args:
        handles: Channels, queues, connections, eventfds, sockets, numbers of descriptors, ...
        timeout: How many seconds to wait.

    Raises:
        ClosedError: One of them is closed.
    """
    deadline = _deadline.by(timeout)
    handles = list(handles)
    poller = poll()
    for handle in handles:
        poller.register(number_of(handle), POLLIN)
    while True:
        # They look before the poll, since that is what clears the signs that they have seen; and after it,
        # since their signs may be there in vain.
        looked = [_has_own_look(handle) and handle._is_ready() for handle in handles]
        left = max(0, deadline - monotonic_ns())
        events = dict(poller.poll(0 if any(looked) else min(-(-left // 10**6), _NET_MS)))
        readable = {number for number, event in events.items() if not event & POLLNVAL}
        if len(readable) < len(events):
            raise error(EBADF, f"wait for {handles}")
        ready = [
            handle
            for handle, already in zip(handles, looked)
            if already
            or (number_of(handle) in readable and (not _has_own_look(handle) or handle._is_ready()))
        ]
        if ready or monotonic_ns() >= deadline:
            return ready
        for number, event in events.items():
            # It stays so; messages that others keep may yet come back, which its own look finds.
            if event & POLLHUP:
                poller.unregister(number)


def _has_own_look(handle: Any) -> bool:
    return hasattr(handle, "_is_ready")
