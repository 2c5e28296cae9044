"""Connections each of which has a process of its own: this program again, or another."""

from __future__ import annotations

from errno import EREMOTEIO

from .. import _fork
from ..errors import IPCError, ProgramFailedError
from . import _ending
from ._model import Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from .._exit import Exit
    from .._spawn import Child
    from .record import Served


class Forks(Model):
    """A child of fork(2) for each."""

    def serve(self, connection: socket, served: Served) -> None:
        try:
            # Not a second's patience, with everybody waiting.
            child = _fork.start(self._be_child, connection, patience_ns=0)
        except OSError as problem:
            _not_served(self, served, problem)
            return
        finally:
            connection.close()
        self.take(served, child)
        self.loop.watch(child, lambda: self._ended(served, child))

    def _be_child(self, connection: socket) -> None:
        self.job.become_child(bool)
        self.door.forget_in_child()
        try:
            self.job.handler(connection)
        finally:
            _ending.finish(connection)

    def _ended(self, served: Served, child: Child) -> None:
        self.loop.forget(child)
        try:
            failure = failure_of(child.wait())
        except IPCError as problem:  # somebody else has reaped it
            failure = problem
        child.close()
        self.over(served, failure)

    def cut(self, served: Served, by: Child) -> None:
        by.kill()

    def end(self) -> None:
        super().end()
        for served, child in list(self.active.items()):
            self._ended(served, child)


class Programs(Model):
    """A program for each, whose standard input and output are the connection (inetd(8))."""

    def serve(self, connection: socket, served: Served) -> None:
        try:
            connection.setblocking(True)
            running = self.job.handler.start(connection, output=connection)
        except OSError as problem:
            _not_served(self, served, problem)
            return
        finally:
            connection.close()
        self.take(served, running)
        self.loop.watch(running.children[-1], lambda: self._ended(served, running))

    def _ended(self, served: Served, running: Any) -> None:
        self.loop.forget(running.children[-1])
        failure: Exception | None = None
        try:
            running.finish()
        except IPCError as problem:
            failure = problem
        self.over(served, failure)

    def cut(self, served: Served, by: Any) -> None:
        by.kill()

    def end(self) -> None:
        super().end()
        for served, running in list(self.active.items()):
            self._ended(served, running)


def _not_served(model: Model, served: Served, problem: OSError) -> None:
    """There was no process for it: it is lost, the next may have more luck."""
    served.end(problem)
    model.job.tell(served)


def failure_of(how: Exit) -> IPCError | None:
    """What to say of a child of ours that has ended."""
    return None if how else ProgramFailedError(EREMOTEIO, f"the process that served it {how}")
