"""Waiting, where all there is are tries; see fallback.py."""

from __future__ import annotations

import os
from _thread import get_native_id
from errno import EAGAIN, EINTR, ESRCH, ETIMEDOUT
from time import monotonic_ns, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ("interrupt",)

# Every wait looks without blocking and sleeps in between, a timed one since sysv_ipc has no
# timeouts, and one without an end too. In the kernel it would be served first, in turn, and at
# once; but a signal that comes just before it sleeps would be noticed by nobody, close() could not
# wake it, and Ctrl-C is worth more than 10 ms. The naps are those of csrc/sysv_msg.c.
_FIRST_NAP_NS = 20_000
_LONGEST_NAP_NS = 10_000_000

# A handler that runs while we sleep may have closed what we wait on, and tells nobody.
_NET_NS = 250_000_000

_interrupted: set[int] = set()


def interrupt(thread_id: int) -> int:
    if not os.path.exists(f"/proc/self/task/{thread_id}"):
        return -ESRCH
    _interrupted.add(thread_id)
    sleep(0.001)
    return 0


def until(attempt: Callable[[], Any], deadline: int) -> Any:
    me = get_native_id()
    began = monotonic_ns()
    while True:
        result = attempt()
        if result != -EAGAIN:
            return result
        now = monotonic_ns()
        if now >= deadline:
            return -ETIMEDOUT
        if now - began >= _NET_NS or me in _interrupted:
            _interrupted.discard(me)
            return -EINTR
        nap = min(max(now - began, _FIRST_NAP_NS), _LONGEST_NAP_NS)
        sleep(min(nap, deadline - now) / 1e9)
