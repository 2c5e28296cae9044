"""What a server waits for: descriptors and points in time (epoll(7))."""

from __future__ import annotations

import os
from _signal import set_wakeup_fd
from operator import itemgetter
from select import EPOLLIN, epoll
from time import monotonic_ns

from .. import _deadline
from .._backend import ops
from .._descriptor import Handle, number_of
from ..errors import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .._descriptor import HasNumber

    Call = Callable[[], object]

_MOMENT = itemgetter(0)
_MOST_EVENTS = 64
_LONGEST_WAIT = 3600.0  # seconds: epoll(7) counts milliseconds in an int


class Loop:
    """Calls what was asked for, once a descriptor is readable or a time has come; one thread turns it."""

    __slots__ = ("_calls", "_epoll", "_timers")

    def __init__(self) -> None:
        self._epoll = epoll()
        self._calls: dict[int, Call] = {}
        self._timers: list[tuple[int, Call]] = []  # few at a time, in their order

    def watch(self, what: HasNumber, call: Call, *, events: int = EPOLLIN) -> None:
        """Call that as long as it is readable, or at its end."""
        number = what if isinstance(what, int) else number_of(what)
        self._epoll.register(number, events)
        self._calls[number] = call

    def forget(self, what: HasNumber) -> None:
        """Do so no more; before it is closed."""
        number = what if isinstance(what, int) else what.fileno()
        if self._calls.pop(number, None) is not None:
            self._epoll.unregister(number)

    def at(self, moment: int, call: Call) -> None:
        """Call that once, at a moment of CLOCK_MONOTONIC in nanoseconds."""
        self._timers.append((moment, call))
        self._timers.sort(key=_MOMENT)

    def turn(self) -> None:
        """Wait for what comes first, and do it."""
        wait = None
        if self._timers:
            wait = min(max(0.0, _deadline.left(self._timers[0][0])), _LONGEST_WAIT)
        came = self._epoll.poll(wait, _MOST_EVENTS)
        for number, call in [(number, self._calls.get(number)) for number, _ in came]:
            # Else one before it has forgotten it; another descriptor may have the number by now.
            if call is not None and self._calls.get(number) is call:
                call()
        while self._timers and self._timers[0][0] <= monotonic_ns():
            self._timers.pop(0)[1]()

    def close(self) -> None:
        """Wait for nothing more."""
        self._epoll.close()
        self._calls.clear()
        self._timers.clear()


class Bell:
    """Makes itself readable, from whatever thread or signal handler, until it is heard (pipe(2))."""

    __slots__ = ("_reading", "_writing")

    def __init__(self) -> None:
        self._reading, self._writing = Handle._empty(), Handle._empty()
        check(ops.now_pipe(False, self._reading, self._writing), "make a pipe")

    def fileno(self) -> int:
        return self._reading.fileno()

    def ring(self) -> None:
        """Let it be readable."""
        try:  # noqa: SIM105 (contextlib takes long to import)
            os.write(self._writing.fileno(), b"\0")
        except BlockingIOError:
            pass  # it is, and how

    def ring_at_signals(self) -> int:
        """Let every signal ring it that Python handles; the descriptor that they rang before.

        Else one that comes just before epoll_wait(2), or to another thread, is handled after that.
        """
        before: int = set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        return before

    def hear(self) -> None:
        """Let it be readable no more."""
        try:  # noqa: SIM105 (as above)
            os.read(self._reading.fileno(), 65536)
        except BlockingIOError:
            pass  # it was not

    def close(self) -> None:
        """Ring no more."""
        self._reading.close()
        self._writing.close()
