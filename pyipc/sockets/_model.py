"""How connections are served: what all models have in common."""

from __future__ import annotations

from errno import ETIMEDOUT
from select import EPOLLIN
from time import monotonic_ns

from ..errors import AccessError, error
from ._door import Door
from ._ending import finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket
    from typing import Any, Optional

    from ..errors import IPCError
    from ._access import Access
    from ._loop import Loop
    from .listening import Listener
    from .record import Served

    Handler = Callable[[socket], object]


class Job:
    """What a server is to do, whatever its model.

    Attributes:
        listeners: Where connections come in.
        handler: What serves each of them.
        most: How many may be served at once.
        timeout: How many nanoseconds each may take, or None.
        access: Who may connect.
        most_silent: How many may be held that have not said anything yet.
        log: Who is told of each that was served.
        drain: How many seconds those that are being served have, once the server is to stop.
        become_child: What a process that was forked does first: it is told what its first SIGTERM calls, and
            whether it stays for more than one connection.
    """

    __slots__ = (
        *("access", "become_child", "drain", "handler", "listeners", "log", "most", "most_silent", "timeout"),
    )

    def __init__(
        self,
        listeners: Sequence[Listener],
        handler: Any,
        most: int,
        timeout: float | None,
        access: Access,
        most_silent: int,
        log: Callable[[Served], object] | None,
        drain: float | None,
        become_child: Callable[[Callable[[], object], bool], None],
    ) -> None:
        self.listeners = listeners
        self.handler = handler
        self.most = most
        # Past 31 years, nanoseconds are near the end of int64.
        self.timeout: Optional[int] = None if timeout is None or timeout > 1e9 else int(timeout * 1e9)
        self.access = access
        self.most_silent = most_silent
        self.log = log or complain
        self.drain = drain
        self.become_child = become_child

    def without_timeout(self) -> Job:
        """The same, for a process that another one watches."""
        return Job(
            self.listeners,
            self.handler,
            self.most,
            None,
            self.access,
            self.most_silent,
            self.log,
            self.drain,
            self.become_child,
        )

    def tell(self, served: Served) -> None:
        """Tell who keeps the log."""
        if self.logs(served):
            try:
                self.log(served)
            except Exception:  # whatever it is, the server goes on
                print_exception()

    def logs(self, served: Served) -> bool:
        """Whether there is anything to tell."""
        return self.log is not complain or served.failure is not None

    def call(self, connection: socket) -> Exception | None:
        """Let the handler serve it; what it raised."""
        try:
            self.handler(connection)
        except Exception as problem:  # the handler's; it costs this connection and nothing else
            return problem
        finally:
            finish(connection)
        return None


class Model:
    """Serves what comes in at a door, some at a time; each kind says by whom.

    Attributes:
        active: What serves each connection that is being served, in the order in which they came.
    """

    #: How listeners are watched.
    events = EPOLLIN
    #: Whether handlers run in the thread of the loop.
    serves_here = False

    def __init__(self, job: Job) -> None:
        self.job = job
        self.active: dict[Served, Any] = {}
        self._done: Callable[[], object] | None = None  # who is told once all is done
        self._finished = False  # nobody comes in any more
        self._watching = False  # whether there is a timer for the first whose time will be over

    def begin(self, loop: Loop) -> None:
        """Begin to serve."""
        self.loop = loop
        job = self.job
        self.door = Door(loop, job.listeners, job.access, job.most_silent, self.serve, self.tell, self.events)
        self.door.open()

    def serve(self, connection: socket, served: Served) -> None:
        """Let it be served; somewhere else, as a rule."""
        raise NotImplementedError  # each kind has its own

    def cut(self, served: Served, by: Any) -> None:
        """End it at once."""
        raise NotImplementedError  # each kind has its own

    def told(self, times: int) -> None:
        """The server was told to stop, by whatever thread or signal handler, so many times."""

    def finish(self, done: Callable[[], object]) -> None:
        """Let nobody in but those who are queued, and call *done* once all of them were served."""
        self._done = done
        self.door.finish(self._let_in_all)

    def leave(self, done: Callable[[], object]) -> None:
        """The same without those who are queued, whom somebody else serves, who has the listeners too."""
        self._done = done
        self.door.finish(self._let_in_all, queued=False)

    def let_go(self, listeners: Sequence[Listener]) -> None:
        """Accept from these no more: somebody else does, who has them too. `finish` comes next."""
        self.door.let_go(listeners)

    def end(self) -> None:
        """End all at once, and come back when they have ended; again, if that was interrupted."""
        if hasattr(self, "door"):  # else it has not begun
            self.door.drop()
        for served in list(self.active):
            by = self.active.get(served)  # threads take theirs out
            if by is not None:
                self.cut(served, by)

    def has_room(self) -> bool:
        """Whether one more may be served."""
        return len(self.active) < self.job.most

    def take(self, served: Served, by: Any) -> None:
        """It is being served from now on."""
        self.active[served] = by
        if not self.has_room():
            self.door.shut("full")
        if self.job.timeout is not None and not self._watching:
            self._watching = True
            self.loop.at(served.begun + self.job.timeout, self._cut_late)

    def over(self, served: Served, failure: BaseException | None = None) -> None:
        """It has been served."""
        self.active.pop(served, None)  # a signal handler may have raised before it was there
        served.end(failure)
        self.tell(served)
        self.go_on()

    def tell(self, served: Served) -> None:
        """Tell who keeps the log."""
        self.job.tell(served)

    def go_on(self) -> None:
        """Let in more, or go."""
        if self.has_room():
            self.door.open("full")
        if self._finished and not self.active and self._done is not None:
            self._done()

    def _let_in_all(self) -> None:
        self._finished = True
        self.go_on()

    def _cut_late(self) -> None:
        assert self.job.timeout is not None
        self._watching = False
        for served in list(self.active):
            if served.begun + self.job.timeout > monotonic_ns():
                self._watching = True
                self.loop.at(served.begun + self.job.timeout, self._cut_late)
                return
            by = self.active.get(served)  # threads take theirs out
            if by is not None and served.failure is None:
                served.failure = too_long(served)
                self.cut(served, by)


def too_long(served: Served) -> IPCError:
    """What to say of one whose time is over."""
    return error(ETIMEDOUT, f"serve {served.peer}")


def print_exception() -> None:
    """Print what is being handled to `sys.stderr`."""
    import sys

    what = sys.exc_info()
    try:
        sys.excepthook(*what)
    except Exception:  # a hook of somebody's: who serves goes on
        sys.__excepthook__(*sys.exc_info())
        sys.__excepthook__(*what)


def complain(served: Served) -> None:
    """What happens to failures that nobody logs: they are printed, but for clients who have gone."""
    import sys

    problem = served.failure
    if problem is None or isinstance(problem, (ConnectionError, AccessError)):
        return
    if problem.__traceback__ is None:
        print(f"pyipc: {served.peer or 'a worker'}: {problem}", file=sys.stderr)
    else:
        sys.excepthook(type(problem), problem, problem.__traceback__)
