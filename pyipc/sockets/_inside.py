"""Connections that are served in this process: one after the other, or in threads."""

from __future__ import annotations

from _signal import SIG_BLOCK, SIG_SETMASK, pthread_sigmask, valid_signals
from _thread import allocate_lock, start_new_thread
from time import monotonic_ns

from .. import _deadline
from . import _ending
from ._loop import Bell
from ._model import Job, Model, print_exception, too_long

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from ._loop import Loop
    from .record import Served

_LAST_SECONDS = 1.0  # for threads whose connections were cut


class Serial(Model):
    """One after the other, in the thread that serves."""

    serves_here = True

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._watch = _Watch(job.timeout)

    def begin(self, loop: Loop) -> None:
        if self.job.timeout is not None:
            self._watch.run()
        super().begin(loop)

    def serve(self, connection: socket, served: Served) -> None:
        self.active[served] = connection
        self._watch.now = served, connection
        try:
            failure = self.job.call(connection)
        finally:
            self._watch.now = None
            del self.active[served]
        served.end(failure)
        self.job.tell(served)

    def told(self, times: int) -> None:
        if times == 1:
            self._watch.all_until(_deadline.after(self.job.drain))
        else:
            self._watch.all_until(0)
            for served, connection in list(self.active.items()):
                self.cut(served, connection)

    def cut(self, served: Served, by: socket) -> None:
        _ending.cut(by)

    def end(self) -> None:
        super().end()
        self._watch.close()


class _Watch:
    """Cuts the one connection that is being served, once its time is over.

    By a thread, as the one that serves is in somebody else's function. It sleeps no longer than a
    connection may take, so that nobody has to wake it when one begins.

    Attributes:
        now: That one, or None.
    """

    def __init__(self, timeout: int | None) -> None:
        self._timeout = timeout
        self._all = _deadline.FOREVER
        self.now: tuple[Served, socket] | None = None
        self._bell: Any = allocate_lock()
        self._bell.acquire()
        self._runs = self._ended = False

    def all_until(self, deadline: int) -> None:
        """Whatever is served then is cut."""
        # A signal handler may be calling, in the middle of anything: no lock of `threading` is asked for.
        self._all = deadline
        if deadline != _deadline.FOREVER:
            try:  # noqa: SIM105 (contextlib takes long to import)
                self.run()
            except RuntimeError:
                pass  # RLIMIT_NPROC: it has all the time that it takes
            self._ring()

    def close(self) -> None:
        self._ended = True
        self._ring()

    def _ring(self) -> None:
        try:  # noqa: SIM105 (contextlib takes long to import)
            self._bell.release()
        except RuntimeError:
            pass  # it rings already

    def run(self) -> None:
        """Look at the clock from now on."""
        if not self._runs:
            self._runs = True
            # It inherits that: a signal is for who serves, and gets that one out of somebody's read(2).
            before = pthread_sigmask(SIG_BLOCK, valid_signals())
            try:
                start_new_thread(self._look, ())
            except BaseException:  # a signal handler's too
                self._runs = False
                raise
            finally:
                pthread_sigmask(SIG_SETMASK, before)

    def _look(self) -> None:
        while not self._ended:
            now = monotonic_ns()
            one = self.now
            until = self._all
            if one is not None and self._timeout is not None:
                until = min(until, one[0].begun + self._timeout)
            if until <= now:
                if one is not None and one[0].failure is None:
                    one[0].failure = too_long(one[0])
                    _ending.cut(one[1])
                until = now + (self._timeout or 10**9)  # no sooner is there another
            self._bell.acquire(True, min((until - now) / 1e9, (self._timeout or 10**12) / 1e9))


class Threads(Model):
    """In threads, which are used again; as many as are needed at once."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        from threading import Thread  # here, since it costs every fork of those who have imported it

        from .._simple_queue import SimpleQueue

        self._new = Thread
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._threads: list[Any] = []
        self._wanted = False  # whether the loop has to know when one has been served
        self._bell: Bell | None = None

    def begin(self, loop: Loop) -> None:
        self._bell = Bell()
        loop.watch(self._bell, self._woken)
        super().begin(loop)

    def serve(self, connection: socket, served: Served) -> None:
        if len(self.active) >= len(self._threads) and not self._start():
            self.door.put_back(connection, served)
            self.door.pause()
            return
        self.take(served, connection)
        self._queue.put((connection, served))
        if self.door.is_full:
            self._wanted = True
            if self.has_room():  # one went between the look and the word
                self._ring()

    def _start(self) -> bool:
        """Start one more, if it may be; False if there is none at all."""
        thread = self._new(target=self._work, name="pyipc server", daemon=True)
        try:
            thread.start()
            self._threads.append(thread)
        except RuntimeError:
            pass  # RLIMIT_NPROC: those that are there will do
        return bool(self._threads)

    def _work(self) -> None:
        for connection, served in iter(self._queue.get, None):
            try:
                failure: BaseException | None = self.job.call(connection)
            except BaseException as problem:  # SystemExit: of this connection only
                failure = problem
            del self.active[served]
            served.end(failure)
            try:
                self.job.tell(served)
            except BaseException:  # SystemExit: it would leave its connections to no thread
                print_exception()
            if self._wanted or self._done is not None:
                self._ring()
            del connection, served, failure

    def _ring(self) -> None:
        assert self._bell is not None
        self._bell.ring()

    def _woken(self) -> None:
        assert self._bell is not None
        self._bell.hear()
        if self.has_room():
            self._wanted = False
        self.go_on()

    def cut(self, served: Served, by: socket) -> None:
        _ending.cut(by)

    def end(self) -> None:
        super().end()
        for _ in self._threads:
            self._queue.put(None)
        deadline = _deadline.after(_LAST_SECONDS)
        for thread in self._threads:
            thread.join(max(0.0, _deadline.left(deadline)))
        if self._bell is not None and not any(thread.is_alive() for thread in self._threads):
            self._bell.close()  # else somebody may yet ring
