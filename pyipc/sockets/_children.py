"""Connections each of which has a process of its own: this program again, or another."""

from __future__ import annotations

import os
from _signal import SIGPIPE
from errno import EAGAIN, ECHILD, EPIPE, EREMOTEIO
from functools import partial
from time import monotonic_ns

from .. import _fork
from .._exit import Exit
from ..errors import IPCError, PeerGoneError, ProgramFailedError, error
from . import _ending
from ._model import Job, Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from .._descriptor import HasNumber
    from .._spawn import Child
    from ._loop import Loop
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
                self.tell(served)
            return
        self._lacking = 0
        self.loop.watch(child, partial(self._ended, served))

    def _start(self, served: Served, connection: socket) -> HasNumber:
        """Start it, and `take` it; what tells of its end."""
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
    """A child of fork(2) for each, by its pid and a pidfd.

    Attributes:
        _born: The last one, which a signal handler may have left to nobody else.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._born: dict[str, int] = {}

    def begin(self, loop: Loop) -> None:
        _fork.flush()
        super().begin(loop)

    def tell(self, served: Served) -> None:
        super().tell(served)
        if self.job.logs(served):
            _fork.flush()  # what was written of it, and children would write again

    def _start(self, served: Served, connection: socket) -> int:
        born = self._born = {}
        try:
            _fork.start_bare(born, self._be_child, connection)
            self.take(served, born)
        except BaseException:  # a signal handler's too
            self.active.pop(served, None)
            _fork.abandon(born)
            raise
        connection.close()
        return born["pidfd"]

    def _be_child(self, connection: socket) -> None:
        self.job.become_child(bool, False)
        for listener in self.job.listeners:
            listener._let_go_in_child()
        try:
            self.job.handler(connection)
        except ConnectionError:
            raise SystemExit(_CLIENT_GONE) from None
        finally:
            _ending.finish(connection, close=False)  # which the end of this process does

    def _ended(self, served: Served) -> None:
        born: dict[str, int] = self.active[served]
        if "pidfd" in born:
            self.loop.forget(born["pidfd"])
            _fork.close_pidfd(born)
        failure = _reaped(born["pid"]) if "pid" in born else None  # else a handler has raised in the middle
        born.clear()
        self.over(served, failure)

    def cut(self, served: Served, by: dict[str, int]) -> None:
        if "pidfd" in by:  # else it has ended
            _fork.kill(by)

    def end(self) -> None:
        super().end()
        _fork.abandon(self._born)


class Programs(_Children):
    """A program for each, whose standard input and output are the connection (inetd(8))."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._connections: dict[Served, socket] = {}

    def _start(self, served: Served, connection: socket) -> Child:
        connection.setblocking(True)  # if there is a socket.setdefaulttimeout()
        running = self.job.handler.start(connection, output=connection)
        try:
            self._connections[served] = connection  # programs do not end it as they should
            self.take(served, running)
        except BaseException:  # a signal handler's: nobody would end it
            if served not in self.active:
                running.kill()
            raise
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


def _reaped(pid: int) -> IPCError | None:
    """What to say of a child that has ended, now that it is."""
    try:
        status = os.waitpid(pid, 0)[1]
    except ChildProcessError as problem:
        return error(ECHILD, f"learn how the process that served it ended: {problem.strerror}")
    return failure_of(exit_of(pid, status)) if status else None


def exit_of(pid: int, status: int) -> Exit:
    """What a status of wait(2) says."""
    if os.WIFSIGNALED(status):
        return Exit(pid, 0, os.WTERMSIG(status), os.WCOREDUMP(status))
    return Exit(pid, os.WEXITSTATUS(status), 0, False)


def failure_of(how: Exit) -> IPCError | None:
    """What to say of a child of ours that has ended."""
    if how.code == _CLIENT_GONE:
        return PeerGoneError(EPIPE, "the client has gone")
    return None if how else ProgramFailedError(EREMOTEIO, f"the process that served it {how}")
