"""Servers: who comes in, who serves it, and how all of it ends (docs/design/servers.md)."""

from __future__ import annotations

import os
from _signal import SIGINT, SIGTERM, default_int_handler, getsignal, set_wakeup_fd, signal
from errno import EBADF
from functools import partial

from .. import _deadline
from ..errors import ClosedError
from ._access import Access
from ._listeners import close_all, open_all
from ._loop import Bell, Loop
from ._model import Job
from ._models import choose
from ._serving import Serving
from .record import Served

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from ..memory import Memory
    from ..processes import Command
    from ._listeners import Where
    from ._model import Handler, Model
    from ._serving import Handlers
    from .handover import Handover, Predecessor
    from .listening import Listener

__all__ = ("Served", "Server")

_ENDED_BY_SIGTERM = 128 + SIGTERM


class Server(Serving):
    """Serves connections, until it is told to stop.

    It listens from the beginning, and serves while `serve()` runs. The end of its block closes the listeners
    and removes their paths.

    Args:
        address: Where to listen, as for `listen()`; or a `Listener`, or several of both. It is the
            server's from now on, and no other one's.
        handler: A function, that is given each connection, a standard socket, which is closed when it
            returns; or a `processes.Command`, whose standard input and output the connection is.
        model: Who serves:

            - "serial": the thread that calls `serve()`, one connection after the other.
            - "thread": threads of this process.
            - "fork": a child of fork(2) for each connection. A `Command` has a process for each anyway.
            - "prefork": children that were forked before, and accept for themselves.
            - "dispatch": children that were forked before, to whom the connections are passed, so that
              it is known here which child has which.
        concurrency: How many connections are served at once; others wait in the kernel's queue. None
            is 64, and as many children as there are processors for "prefork" and "dispatch".
        timeout: How many seconds a connection may take. After that it is cut, and its child killed.
        drain: How many seconds those that are being served have to end, once `stop()` was called.
        silent: How many connections are held that have not said anything yet, without a thread or child
            for any of them; if one more comes, the first is closed. 0, for protocols in which the server
            speaks first, gives each to the handler at once.
        allow: Which users may connect, names or uids, by the kernel's word (SO_PEERCRED): of Unix sockets
            only. None is everybody whom the socket's mode lets.
        allow_groups: Members of which groups may, besides.
        mode: The permissions of a Unix path.
        log: Called with a `Served` for each connection that was served, or refused; in whatever thread or
            process that was. Without it, failures are printed to `sys.stderr`, but for clients who have gone.
        handover: A path at which a successor finds this server while it serves. The program that is started
            again, of whatever version, and makes a `Server` with the same path, gets the listeners of the one
            that runs there, of those addresses that both were given; and once it serves, the other one
            leaves, and comes back from `serve()`. No connection is refused or lost meanwhile. If nobody is
            there, it is the first. It is for our user, and root.
        save: Called when a successor asks, in the thread that serves: the bytes that it gives are what the
            successor has as `inherited`.

    Attributes:
        listeners: Where it listens.
        inherited: What the server that we replace has saved, in memory that cannot change, and that is closed
            with this server; or None.
        handed_over: Whether a successor serves in our place.

    Raises:
        AlreadyExistsError: Somebody listens there; and whatever else `listen()` raises.
        AccessError: Another user serves at *handover*.
        TimedOutError: Whoever serves there does not answer within a minute.
        IPCError: EBUSY: its `save` has failed, for one.

    A program that replaces the one that runs, and keeps its counts:

        with Server("tcp://:2345", serve_one, handover="/run/greeter.handover",
                    save=lambda: str(count).encode()) as server:
            if server.inherited is not None:
                count = int(server.inherited.read())
            server.serve()
    """

    def __init__(
        self,
        address: Where | Sequence[Where],
        handler: Handler | Command,
        *,
        model: str = "thread",
        concurrency: int | None = None,
        timeout: float | None = None,
        drain: float | None = 30.0,
        silent: int = 0,
        allow: Iterable[str | int] | None = None,
        allow_groups: Iterable[str | int] | None = None,
        mode: int = 0o600,
        log: Callable[[Served], object] | None = None,
        handover: str | None = None,
        save: Callable[[], Any] | None = None,
    ) -> None:
        _deadline.valid(timeout)
        _deadline.valid(drain)
        make, most = choose(model, handler, concurrency)
        access = Access(allow, allow_groups)
        super().__init__()
        self._drain = drain
        self._terms = 0
        self._handles = self._interrupted = False
        self._at_sigint: Any = None
        self._first: Callable[[], object] = bool
        self._until = _deadline.FOREVER  # when all is to have ended
        self._over = self._leaving = False
        self._handover: Handover | None = None
        self._save = save
        self._next: Callable[[], object] | None = None  # becomes another program
        self.inherited: Memory | None = None
        self.handed_over = False
        self.listeners: list[Listener] = []
        try:
            if handover is not None:
                from .handover import Handover

                self._handover = Handover(handover, save)
            self.listeners = open_all(address, mode, access.asks, self._handover)
            self._inherit()
            self._addresses = [listener.address for listener in self.listeners]
            self._bell = Bell()
            job = Job(self.listeners, handler, most, timeout, access, silent, log, drain, self._become_child)
            self._make = partial(make, job)
            self._model: Model = self._make()
        except BaseException:  # a signal handler's too
            self.close()
            raise

    @property
    def _before(self) -> Predecessor | None:
        """The server that we replace."""
        return None if self._handover is None else self._handover.before

    def _inherit(self) -> None:
        if self._before is not None:
            self.inherited = self._before.state
        elif any((listener._asked or "").startswith("fd:") for listener in self.listeners):
            from ._exec import state_by_exec

            self.inherited = state_by_exec()

    @property
    def addresses(self) -> list[str]:
        """Where it listens, as `connect()` takes it, with ports that the kernel chose."""
        return list(self._addresses)

    @property
    def address(self) -> str:
        """The first of them."""
        return self._addresses[0]

    # ---- serving ----

    def serve(self) -> None:
        """Serve, until `stop()`; once.

        In the main thread, SIGTERM is a call of `stop()`, for as long as this runs. When it comes back, or an
        exception such as KeyboardInterrupt ends it, all children have ended. A process that was forked after
        the server was made (a daemon) may serve in the place of the one that made it; a Unix path stays there
        then, for the next server to take over.

        Raises:
            ClosedError: The server was closed, or has served before.
        """
        self._serve_once(self._handlers, self._serve)

    def _serve(self, bell: Bell) -> None:
        if self._stops:
            self._until = _deadline.after(self._drain)
        self._serve_by(self._model, bell)
        if self._next is None or self.handed_over:
            return
        if not self._stops:
            self._next()
        if self._stops > 1:
            return
        # Who is queued has waited for that program, which does not come after all.
        self._over = self._leaving = False
        self._next = None
        self._model = self._make()
        self._serve_by(self._model, bell)

    def _serve_by(self, model: Model, bell: Bell) -> None:
        self._loop = Loop()
        try:
            self._loop.watch(bell, self._told)
            if self._stops:
                model.told(self._stops)
                bell.ring()
            model.begin(self._loop)
            if self._handover is not None:
                self._handover.begin(self._loop, self.listeners, self._replaced)
            while not self._over:
                self._loop.turn()
        finally:
            try:
                model.end()
            except BaseException:  # a signal handler's: children are not left behind for that
                model.end()
                raise
            finally:
                self._loop.close()

    def stop(self) -> None:
        """Serve nobody any more but those who are connected; a second call ends those at once, too.

        From any thread or signal handler of the process that serves. `serve()` comes back when all were
        served, or when `drain` seconds are over.

        Raises:
            ClosedError: This is a child of the server: from there, send SIGTERM to its parent.
        """
        if os.getpid() != self._pid:
            raise ClosedError(EBADF, "stop a server in a child of it")
        if not self._stops:
            self._until = _deadline.after(self._drain)
        self._stops += 1
        if self._bell is not None:
            if self._served:
                self._model.told(self._stops)
            self._bell.ring()

    def exec_successor(self, program: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        """Serve those who are connected, then let this process become another program (execve(2)).

        It gets the listeners as systemd would give them: descriptors 3, 4 and so on, in the order of
        `listeners`, and LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, of which "state" is the memory with what
        `save` gives then. A `Server("fd:3", ...)` has it as `inherited`. Who connects meanwhile waits in the
        kernel's queue. Unix paths stay, and are nobody's to remove.

        From any thread or signal handler, once `serve()` runs; that does not come back, unless `stop()` is
        called before it has become that program: then who is queued is served here, too.

        Args:
            program: Its path, or a name that is looked for in the PATH.
            arguments: What comes after its name.
            env: Its environment; None is ours.

        Raises:
            NotFoundError: There is no such program. If it cannot be executed for another reason, `serve()`
                raises that.
            ClosedError: This is a child of the server.
        """
        if os.getpid() != self._pid:
            raise ClosedError(EBADF, "let a server in a child of it be replaced")
        from ._exec import become, find

        environment = dict(os.environ if env is None else env)
        path, words = find(program, environment), (program, *arguments)
        if self._stops:
            return
        self._next = lambda: become(path, words, environment, self.listeners, self._save, self._is_stopped)
        if self._bell is not None:
            if self._served:
                self._model.told(1)
            self._bell.ring()

    def _is_stopped(self) -> bool:
        return self._stops > 0

    def _told(self) -> None:
        assert self._bell is not None
        self._bell.hear()
        if self._interrupted:
            raise KeyboardInterrupt
        if self._stops > 1:
            self._end()
        elif self._stops:
            if not self._leaving:
                self._next = None
            self._leave([])
        elif self._next is not None:
            self._leave(self.listeners)

    def _replaced(self, taken: Sequence[Listener]) -> None:
        """A successor serves, and has taken these."""
        self.handed_over = True
        self._model.told(1)
        self._leave(taken)
        for listener in taken:  # now, as they would keep the queue if the successor died
            listener._unbind()
            listener.close()

    def _leave(self, others: Sequence[Listener]) -> None:
        """Serve those who are here, and who is queued where nobody else accepts."""
        if self._leaving:
            return
        self._leaving = True
        if self._handover is not None:
            self._handover.end()
        if not self._stops:
            self._until = _deadline.after(self._drain)
        self._loop.at(self._until, self._end)
        self._model.let_go(others)
        self._model.finish(self._end)

    def _end(self) -> None:
        self._over = True

    # ---- processes ----

    def _handlers(self) -> Handlers:
        """What signals mean while we serve, here and in children that live too short for their own."""
        self._at_sigint = getsignal(SIGINT)
        handlers: Handlers = {SIGTERM: self._on_sigterm}
        if callable(self._at_sigint):  # else somebody ignores it, or C handles it
            handlers[SIGINT] = self._on_sigint
        self._handles = True
        return handlers

    def _on_sigterm(self, number: int, frame: object) -> None:
        if os.getpid() == self._pid:
            self.stop()
        else:
            self._on_sigterm_in_child()

    def _on_sigint(self, number: int, frame: Any) -> None:
        # A terminal's is for all of us, and our children end when we end them.
        if os.getpid() != self._pid:
            return
        if self._at_sigint is default_int_handler:
            # `_told` raises it, where nothing is half done; in somebody's function it is raised at once, but
            # there it is lost if some __del__ is running just now.
            self._interrupted = True
            if not self._model.serves_here:
                return
        self._at_sigint(number, frame)

    def _on_sigterm_in_child(self) -> None:
        """It may be meant for all of us: once it is not for a child, which has a connection to serve."""
        self._terms += 1
        if self._terms > 1:
            os._exit(_ENDED_BY_SIGTERM)
        self._first()

    def _become_child(self, first: Callable[[], object], stays: bool) -> None:
        """What SIGTERM calls at first; and what one that stays gives up."""
        self._first = first
        if not self._handles:  # we serve in another thread than the main one, which it is in the child
            signal(SIGTERM, self._on_sigterm)
            signal(SIGINT, _ignore)
        if self._handover is not None:
            self._handover.forget_in_child()
        if stays:
            set_wakeup_fd(-1)  # our parent's, whom a short life may wake in vain
            self._loop.close()
            assert self._bell is not None
            self._bell.close()

    # ---- the end ----

    def _close_sockets(self) -> None:
        try:
            if self._handover is not None:
                self._handover.close()
        finally:
            if self.inherited is not None:
                self.inherited.close()
            close_all(self.listeners)

    def __repr__(self) -> str:
        return f"<server at {', '.join(self.addresses) if self._bell else 'nowhere: closed'}>"


def _ignore(number: int, frame: object) -> None:
    """Not SIG_IGN, which programs would inherit."""
