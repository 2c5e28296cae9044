"""Where connections come in: who is let in, who waits, and when nobody may (accept(2))."""

from __future__ import annotations

from _socket import AF_UNIX, IPPROTO_TCP, TCP_INFO
from collections import deque
from errno import EAGAIN, EBADF, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOTSOCK
from functools import partial
from select import EPOLLIN
from sys import byteorder
from time import monotonic_ns

from . import _ending
from .listening import family_of
from .record import Served

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket

    from ._access import Access
    from ._loop import Loop
    from .listening import Listener

_LACKING = (EMFILE, ENFILE, ENOBUFS, ENOMEM)
_NO_LISTENER = (EBADF, EINVAL, ENOTSOCK)  # any more: somebody has closed it, or shut it down
_PAUSE_NS = 50_000_000  # until it is tried again what there was no room for
_MOST_QUEUED = 4097  # of Unix sockets nobody tells; with the backlog that we ask for
_LATE = 100
_UNACKED = 24  # the place of tcpi_unacked in struct tcp_info: of a listener, the length of its queue (tcp(7))
_LAST_WORD_NS = 1_000_000_000  # for those who have come and not said anything yet, when we leave


class Door:
    """Accepts connections and hands them on, one by one, while nothing keeps it shut.

    Args:
        loop: What tells when somebody comes.
        listeners: Where; they do not block from now on.
        access: Who may come in.
        most_silent: How many are held that have not said anything yet; 0: nobody has to.
        serve: Who gets each connection.
        refuse: Who is told of those that may not come in.
        events: How to watch the listeners.
    """

    def __init__(
        self,
        loop: Loop,
        listeners: Sequence[Listener],
        access: Access,
        most_silent: int,
        serve: Callable[[socket, Served], None],
        refuse: Callable[[Served], None],
        events: int = EPOLLIN,
    ) -> None:
        self._loop = loop
        self._listeners = list(listeners)
        self._refuses = access.refuses if access.asks else None
        self._most_silent = most_silent
        self._serve = serve
        self._refuse = refuse
        self._events = events
        self._silent: dict[int, tuple[socket, Served]] = {}  # in the order in which they came
        self._ready: deque[tuple[socket, Served]] = deque()  # who is in, and could not be served yet
        self._shut_by = {"not begun"}
        self._queued: dict[Listener, int] | None = None  # when we leave: where how many may be queued yet
        self._done: Callable[[], object] = bool
        self._last_word_ns: int | None = _LAST_WORD_NS
        for listener in listeners:
            listener.setblocking(False)

    # ---- open and shut ----

    def open(self, reason: str = "not begun") -> None:
        """That is no reason any more to keep it shut."""
        if reason not in self._shut_by:
            return
        self._shut_by.discard(reason)
        while self._ready and self._serves:
            self._hand_on(*self._ready.popleft())
        if not self._shut_by:
            for listener in self._listeners:
                self._loop.watch(listener, partial(self._come, listener), events=self._events)
        if self._queued is not None:
            self._finish_some()

    def shut(self, reason: str) -> None:
        """Let nobody in, for that reason: they wait in the kernel's queue."""
        if not self._shut_by:
            for listener in self._listeners:
                self._loop.forget(listener)
        self._shut_by.add(reason)

    def pause(self) -> None:
        """Keep it shut for a moment, after which there may be what is lacking."""
        if "lacking" not in self._shut_by:
            self.shut("lacking")
            self._loop.at(monotonic_ns() + _PAUSE_NS, lambda: self.open("lacking"))

    @property
    def is_full(self) -> bool:
        """Whether one of the reasons is that no more can be served."""
        return "full" in self._shut_by

    @property
    def _serves(self) -> bool:
        """Whether those are served who are in."""
        return not self._shut_by or self._shut_by == {"finished"}

    # ---- those who come ----

    def _come(self, listener: Listener) -> bool:
        """Let one in; False if there is none."""
        try:
            connection, where = listener.accept()
        except OSError as problem:
            if problem.errno in _LACKING:
                if self._silent:
                    self._close_one()
                else:
                    self.pause()
            elif problem.errno in _NO_LISTENER:
                raise
            # Other errors are those of a connection that broke before it was here: its loss.
            return problem.errno != EAGAIN
        served = Served(family_of(listener), where)
        refused = self._refuses and self._refuses(connection)
        if refused:
            _ending.finish(connection)
            served.end(refused)
            self._refuse(served)
        elif self._most_silent:
            self._let_wait(connection, served)
        else:
            self._serve(connection, served)
        return True

    def _let_wait(self, connection: socket, served: Served) -> None:
        if len(self._silent) == self._most_silent:
            self._close_one()
        number = connection.fileno()
        self._silent[number] = connection, served
        self._loop.watch(number, lambda: self._speaks(number))

    def put_back(self, connection: socket, served: Served) -> None:
        """It could not be served after all: the next time. Shut it, or it is asked for again at once."""
        self._ready.appendleft((connection, served))

    def _hand_on(self, connection: socket, served: Served) -> None:
        served.begun = monotonic_ns()  # it may have waited for long
        self._serve(connection, served)

    def _take(self, number: int) -> tuple[socket, Served]:
        self._loop.forget(number)
        return self._silent.pop(number)

    def _speaks(self, number: int) -> None:
        one = self._take(number)
        if self._serves:
            self._hand_on(*one)
        else:
            self._ready.append(one)
        if self._queued is not None:
            self._finish_some()

    def _close_one(self) -> None:
        """Close who has said nothing for the longest time."""
        connection, _ = self._take(next(iter(self._silent)))
        _ending.cut(connection)  # children may have it, too
        connection.close()

    # ---- the end ----

    def let_go(self, listeners: Sequence[Listener]) -> None:
        """Accept from these no more: somebody else does, who has them too."""
        for listener in listeners:
            if listener in self._listeners:
                if not self._shut_by:
                    self._loop.forget(listener)
                self._listeners.remove(listener)
            if self._queued is not None:
                self._queued.pop(listener, None)
            # Who is in, and has said nothing yet, has all the time that there is: the server is not going.
            self._last_word_ns = None

    def close_listeners(self) -> None:
        """Accept no more, from within `serve`."""
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            if not self._shut_by:
                self._loop.forget(listener)
            listener._let_go_in_child()
        if self._queued is not None:
            self._queued = {}

    def finish(self, done: Callable[[], object], *, queued: bool = True) -> None:
        """Let in whom the kernel has accepted already, if *queued*, then refuse who comes, and call *done*.

        To close a listener breaks the connections that are queued there, though their clients believe to
        be served.
        """
        self._queued = {listener: _length_of_queue(listener) for listener in self._listeners if queued}
        self._done = done
        self._finish_some()

    def _finish_some(self) -> None:
        assert self._queued is not None
        while self._queued and self._serves:
            listener, count = self._queued.popitem()
            if count and self._come(listener) and listener in self._listeners:
                self._queued[listener] = count - 1
        if self._queued:
            return
        if "finished" not in self._shut_by:
            self.shut("finished")
            for listener in self._listeners:
                listener._close_socket()
            if self._silent and self._last_word_ns is not None:
                self._loop.at(monotonic_ns() + self._last_word_ns, self._wait_no_more)
        if not self._silent and not self._ready:
            self._done()

    def _wait_no_more(self) -> None:
        while self._silent:
            self._close_one()
        self._finish_some()

    def drop(self) -> None:
        """Close those who wait."""
        self.shut("dropped")
        while self._silent:
            self._close_one()
        while self._ready:
            self._ready.popleft()[0].close()

    def forget_in_child(self) -> None:
        """Of a process that was forked, and that stays: close what is its parent's."""
        for connection, _ in (*self._silent.values(), *self._ready):
            connection.close()


def _length_of_queue(listener: Listener) -> int:
    """How many may be there, and may come while they are let in; others could come for ever."""
    if listener.family == AF_UNIX:
        return _MOST_QUEUED + _LATE
    unacked = listener.getsockopt(IPPROTO_TCP, TCP_INFO, _UNACKED + 4)[_UNACKED:]
    return int.from_bytes(unacked, byteorder) + _LATE
