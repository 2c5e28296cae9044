"""Workers that are forked before, and again when one has died: what both kinds have in common."""

from __future__ import annotations

from time import monotonic_ns

from ..errors import IPCError
from ._children import failure_of
from ._model import Model
from .record import Served

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from .._spawn import Child
    from ._model import Job

_SOON_NS = 1_000_000_000  # a worker that ends within that has a fault that the next will have, too
_FIRST_PAUSE_NS = 50_000_000
_LONGEST_PAUSE_NS = 5_000_000_000


class Worker:
    """One place for a worker, and who has it."""

    __slots__ = ("begun", "child", "pause", "place", "served", "sock")

    def __init__(self, place: int) -> None:
        self.place = place
        self.child: Child | None = None
        self.begun = 0
        self.pause = 0  # before the next, in nanoseconds
        self.served: Served | None = None  # what it serves, where that is known here
        self.sock: socket | None = None  # by which it is told


class Workers(Model):
    """Workers that are forked before, and again when one has died."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._workers = [Worker(place) for place in range(job.most)]
        self._leaving = False  # no more are to be forked

    def _start(self, worker: Worker) -> None:
        if self._leaving:
            return
        worker.begun = monotonic_ns()
        try:
            child = self._fork(worker)
        except OSError as problem:  # there may be no more processes, or descriptors, or there is no memory
            self._say(problem)
            self._start_later(worker)
            return
        worker.child = child
        self.loop.watch(child, lambda: self._died(worker, child))

    def _start_later(self, worker: Worker) -> None:
        worker.pause = min(2 * worker.pause or _FIRST_PAUSE_NS, _LONGEST_PAUSE_NS)
        self.loop.at(monotonic_ns() + worker.pause, lambda: self._start(worker))

    def _fork(self, worker: Worker) -> Child:
        raise NotImplementedError  # each kind has its own

    def _say(self, problem: OSError) -> None:
        """No connection has failed, but somebody should know."""
        served = Served(0, "")
        served.end(problem)
        self.job.tell(served)

    def _died(self, worker: Worker, child: Child) -> None:
        self.loop.forget(child)
        failure: IPCError | None
        try:
            failure = failure_of(child.wait())
        except IPCError as problem:  # somebody else has reaped it
            failure = problem
        child.close()
        worker.child = None
        served = self._gone(worker, failure)
        if not served and failure is not None and not self._leaving:
            self._say(failure)
        # One that dies at once, again and again, and of what no client does.
        if not served and monotonic_ns() - worker.begun < _SOON_NS:
            self._start_later(worker)
        else:
            worker.pause = 0
            self._start(worker)

    def _gone(self, worker: Worker, failure: IPCError | None) -> bool:
        """Whether it was serving a connection; that is over."""
        raise NotImplementedError  # each kind has its own

    def _end_workers(self) -> None:
        self._leaving = True
        for worker in self._workers:
            if worker.child is not None:
                worker.child.end()
        for worker in self._workers:
            if worker.child is not None:
                self._died(worker, worker.child)
