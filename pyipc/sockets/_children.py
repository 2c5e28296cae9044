"""Connections each of which has a process of its own: this program again, or another."""

from __future__ import annotations

from _signal import SIGPIPE
from errno import EAGAIN, EPIPE, EREMOTEIO
from time import monotonic_ns

from .. import _fork
from ..errors import IPCError, PeerGoneError, ProgramFailedError
from . import _ending
from ._model import Job, Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from .._exit import Exit
    from .._spawn import Child
    from .record import Served

_CLIENT_GONE = 128 + SIGPIPE  # as shells have it
_PATIENCE_NS = 1_000_000_000  # for a connection that may not have a process yet (RLIMIT_NPROC)


class _Children(Model):
    """A process for each, which is all that serves it."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._lacking = 0  # since when there may be no more processes

    def serve(self, connection: socket, served: Served) -> None:
        try:
            child = self._start(served, connection)
        except OSError as problem:
            if problem.errno == EAGAIN and self._is_patient():
                self.door.put_back(connection, served)
                self.door.pause()
            else:
                _ending.finish(connection)
                served.end(problem)
                self.job.tell(served)
            return
        self._lacking = 0
        self.loop.watch(child, lambda: self._ended(served))

    def _start(self, served: Served, connection: socket) -> Child:
        """Start it, and `take` it."""
        raise NotImplementedError  # each kind has its own

    def _is_patient(self) -> bool:
        now = monotonic_ns()
        self._lacking = self._lacking or now
        return now < self._lacking + _PATIENCE_NS

    def _ended(self, served: Served) -> None:
        """It has ended, or was killed."""
        raise NotImplementedError  # each kind has its own

    def cut(self, served: Served, by: Any) -> None:
        by.kill()

    def end(self) -> None:
        super().end()
        for served in list(self.active):
            self._ended(served)


class Forks(_Children):
    """A child of fork(2) for each."""

    def _start(self, served: Served, connection: socket) -> Child:
        # Not a second's patience, with everybody waiting.
        child = _fork.start(self._be_child, connection, patience_ns=0)
        self.take(served, child)
        connection.close()
        return child

    def _be_child(self, connection: socket) -> None:
        self.job.become_child(bool, False)
        for listener in self.job.listeners:
            listener._let_go_in_child()
        try:
            self.job.handler(connection)
        except ConnectionError:
            raise SystemExit(_CLIENT_GONE) from None
        finally:
            _ending.finish(connection)

    def _ended(self, served: Served) -> None:
        child: Child = self.active[served]
        self.loop.forget(child)
        try:
            failure = failure_of(child.wait())
        except IPCError as problem:  # somebody else has reaped it
            failure = problem
        self.over(served, failure)
        child.close()


class Programs(_Children):
    """A program for each, whose standard input and output are the connection (inetd(8))."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._connections: dict[Served, socket] = {}

    def _start(self, served: Served, connection: socket) -> Child:
        connection.setblocking(True)  # if there is a socket.setdefaulttimeout()
        running = self.job.handler.start(connection, output=connection)
        self._connections[served] = connection  # programs do not end it as they should
        self.take(served, running)
        child: Child = running.children[-1]
        return child

    def _ended(self, served: Served) -> None:
        running = self.active[served]
        if not running.children[-1].closed:
            self.loop.forget(running.children[-1])
        failure: Exception | None = None
        try:
            running.finish()
        except IPCError as problem:
            failure = problem
        _ending.finish(self._connections.pop(served))
        self.over(served, failure)


def failure_of(how: Exit) -> IPCError | None:
    """What to say of a child of ours that has ended."""
    if how.code == _CLIENT_GONE:
        return PeerGoneError(EPIPE, "the client has gone")
    return None if how else ProgramFailedError(EREMOTEIO, f"the process that served it {how}")
