"""Connections each of which has a process of its own: this program again, or another."""

from __future__ import annotations

import os
from _signal import SIGPIPE
from _socket import socket as plain_socket
from errno import EAGAIN, ECHILD, EMFILE, ENFILE, EPIPE, EREMOTEIO
from functools import partial
from time import monotonic_ns

from .. import _fork
from .._backend import ops
from .._exit import Exit
from ..errors import IPCError, PeerGoneError, ProgramFailedError, error
from . import _ending
from ._model import Job, Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from ._loop import Loop
    from .record import Served

_CLIENT_GONE = 128 + SIGPIPE  # as shells have it
_LACKING = (EAGAIN, EMFILE, ENFILE)  # EAGAIN: RLIMIT_NPROC
_PATIENCE_NS = 1_000_000_000  # for a connection that cannot have a process yet


class _Children(Model):
    """A process for each, which is all that serves it."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._lacking = 0  # since when there may be no more processes

    def _could_not(self, connection: socket, served: Served, problem: IPCError, *, again: bool) -> None:
        """It has no process: let it wait for one, if nobody has begun to serve it, or refuse it."""
        if again and problem.errno in _LACKING and self._is_patient():
            self.door.put_back(connection, served)
            self.door.pause()
        else:
            _ending.finish(connection)
            served.end(problem)
            self.tell(served)

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

    After a fork, each page that is written costs a fault, and a handle is on many: so what is known of a
    child are two numbers in a list, and what runs for each connection is short.

    Attributes:
        _born: The last one, which a signal handler may have left to nobody else.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._born: list[int] = []

    def begin(self, loop: Loop) -> None:
        self._closes = [partial(plain_socket.close, listener) for listener in self.job.listeners]
        super().begin(loop)

    def serve(self, connection: socket, served: Served) -> None:
        born = self._born = []
        _fork.flush()
        try:
            result = ops.fork(born)
            if born and not born[0]:
                _fork.run(self._be_child, (connection,))
        except BaseException:  # a signal handler's too
            if born and not born[0]:
                _fork.die()
            raise
        if result < 0:
            begun = bool(born)
            _fork.abandon(born)
            self._could_not(connection, served, _fork.bare_failure(result), again=not begun)
            return
        self._lacking = 0
        self.take(served, born)
        self.loop.watch(born[1], partial(self._ended, served))
        connection.close()

    def _be_child(self, connection: socket) -> None:
        self.job.become_child(bool, False)
        for close in self._closes:
            close()
        try:
            self.job.handler(connection)
        except ConnectionError:
            raise SystemExit(_CLIENT_GONE) from None
        finally:
            ops.connection_finish(connection)  # and the end of this process closes it

    def _ended(self, served: Served) -> None:
        born: list[int] = self.active[served]
        if len(born) > 1:
            self.loop.forget(born[1])
            _fork.close_pidfd(born)
        failure = _reaped(born[0]) if born else None  # else a handler has raised in the middle
        born.clear()
        self.over(served, failure)

    def cut(self, served: Served, by: list[int]) -> None:
        if len(by) > 1:  # else it has ended
            _fork.kill(by)

    def end(self) -> None:
        super().end()
        _fork.abandon(self._born)


class Programs(_Children):
    """A program for each, whose standard input and output are the connection (inetd(8))."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._connections: dict[Served, socket] = {}

    def serve(self, connection: socket, served: Served) -> None:
        connection.setblocking(True)  # if there is a socket.setdefaulttimeout()
        try:
            running = self.job.handler.start(connection, output=connection)
        except IPCError as problem:
            self._could_not(connection, served, problem, again=True)
            return
        try:
            self._lacking = 0
            self._connections[served] = connection  # programs do not end it as they should
            self.take(served, running)
        except BaseException:  # a signal handler's: nobody would end it
            if served not in self.active:
                running.kill()
            raise
        self.loop.watch(running.children[-1], partial(self._ended, served))

    def _ended(self, served: Served) -> None:
        running = self.active[served]
        if not running.children[-1].closed:
            self.loop.forget(running.children[-1])
        failure: Exception | None = None
        try:
            running.finish()
        except IPCError as problem:
            failure = problem
        connection = self._connections.get(served)
        if connection is not None:  # else a handler has raised after that
            _ending.finish(connection)
            del self._connections[served]
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
