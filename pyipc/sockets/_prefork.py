"""Workers that accept for themselves, and the board on which they note what they serve."""

from __future__ import annotations

import os
from _signal import SIGIO, signal
from fcntl import F_SETFL, F_SETOWN, fcntl
from mmap import mmap
from select import EPOLLIN, poll
from struct import Struct
from time import monotonic_ns

from .. import _fork
from .._backend import ops
from .._descriptor import Handle
from .._linux import EPOLLEXCLUSIVE
from ..errors import check
from ._inside import Serial
from ._loop import Bell, Loop
from ._model import too_long
from ._workers import Worker, Workers
from .record import Served

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket

    from .._spawn import Child
    from ..errors import IPCError
    from ._model import Job
    from .listening import Listener

_BOARD_ENTRY = 128
_ENTRY = Struct(f"qHH{_BOARD_ENTRY - 12}s")  # since when, and whom: `Served.packed()`
_BEGUN = Struct("q")


class _Board:
    """Memory in which each worker notes what it serves, and since when; and what all of them are to do.

    Attributes:
        finishing: Whether they are to go, once they have served who is queued.
        given_away: By its bits, which listeners somebody else has taken over.
    """

    def __init__(self, places: int, listeners: int) -> None:
        self._memory = mmap(-1, places * _BOARD_ENTRY + 1 + listeners // 8 + 1)
        self._orders = places * _BOARD_ENTRY

    def begins(self, place: int, served: Served) -> None:
        _ENTRY.pack_into(self._memory, place * _BOARD_ENTRY, served.begun, *served.packed())

    def ends(self, place: int) -> None:
        _BEGUN.pack_into(self._memory, place * _BOARD_ENTRY, 0)

    def begun(self, place: int) -> int:
        begun: int = _BEGUN.unpack_from(self._memory, place * _BOARD_ENTRY)[0]
        return begun

    def served(self, place: int) -> Served | None:
        begun, *packed = _ENTRY.unpack_from(self._memory, place * _BOARD_ENTRY)
        if not begun:
            return None
        served = Served.unpacked(*packed)
        served.begun = begun
        return served

    @property
    def finishing(self) -> bool:
        return bool(self._memory[self._orders])

    @finishing.setter
    def finishing(self, finishing: bool) -> None:
        self._memory[self._orders] = finishing

    @property
    def given_away(self) -> int:
        return int.from_bytes(self._memory[self._orders + 1 :], "little")

    @given_away.setter
    def given_away(self, which: int) -> None:
        self._memory[self._orders + 1 :] = which.to_bytes(len(self._memory) - self._orders - 1, "little")

    def close(self) -> None:
        self._memory.close()


class Prefork(Workers):
    """Workers that accept for themselves, each one connection after the other.

    They and we have a pipe between us that nobody reads: a byte in it tells them to look at the board, and
    its end that we are dead.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._board = _Board(job.most, len(job.listeners))
        self._hears, self._tells = Handle._empty(), Handle._empty()
        self._late: dict[int, int] = {}  # who was killed for a connection, and when that had begun

    def begin(self, loop: Loop) -> None:
        self.loop = loop
        for listener in self.job.listeners:
            listener.setblocking(False)
        check(ops.now_pipe(False, self._hears, self._tells), "make a pipe")
        for worker in self._workers:
            self._start(worker)
        if self.job.timeout is not None:
            loop.at(monotonic_ns() + self.job.timeout, self._cut_late)

    def _fork(self, worker: Worker) -> Child:
        return _fork.start(self._be_worker, worker.place)

    # ---- in the worker ----

    def _be_worker(self, place: int) -> None:
        terminated: list[bool] = []
        self.job.become_child(lambda: terminated.append(True), True)
        bell = Bell()
        bell.ring_at_signals()
        self._tells.close()
        work = _Work(self.job, self._board, place)
        over: list[bool] = []
        loop = Loop()

        def done() -> None:
            over.append(True)

        def told() -> None:
            loop.forget(self._hears)
            if self._board.finishing:
                work.let_go_in_worker(self._board.given_away)
                work.finish(done)
            else:  # nobody has the listeners: who comes next binds anew
                work.leave(done)

        def ended() -> None:
            bell.hear()
            if terminated:
                work.finish(done)

        loop.watch(self._hears, told)
        loop.watch(bell, ended)
        _at_end_of(self._hears, work.orphaned)
        if terminated:  # before there was a bell
            bell.ring()
        work.begin(loop)
        while not over:
            loop.turn()

    # ---- here ----

    def _gone(self, worker: Worker, failure: IPCError | None) -> bool:
        served = self._board.served(worker.place)
        late = self._late.pop(worker.place, None)
        if served is not None:
            self._board.ends(worker.place)
            served.end(too_long(served) if late == served.begun else failure)
            self.job.tell(served)
        self._go_if_all_have()
        return served is not None

    def _go_if_all_have(self) -> None:
        if self._leaving and self._done is not None and not any(worker.child for worker in self._workers):
            self._done()

    def _cut_late(self) -> None:
        assert self.job.timeout is not None
        now = monotonic_ns()
        following = now + self.job.timeout
        for worker in self._workers:
            begun = self._board.begun(worker.place)
            if not begun or worker.place in self._late:
                continue
            if begun + self.job.timeout > now:
                following = min(following, begun + self.job.timeout)
            elif worker.child is not None:
                self._late[worker.place] = begun
                worker.child.kill()
        self.loop.at(following, self._cut_late)

    def let_go(self, listeners: Sequence[Listener]) -> None:
        places = [place for place, one in enumerate(self.job.listeners) if one in listeners]
        self._board.given_away = sum(1 << place for place in places)

    def finish(self, done: Callable[[], object]) -> None:
        self._done = done
        self._leaving = True
        self._board.finishing = True
        os.write(self._tells.fileno(), b"\0")
        for place, listener in enumerate(self.job.listeners):
            if not self._board.given_away >> place & 1:
                listener._close_socket()  # theirs are open until nobody is queued
        self._go_if_all_have()

    def end(self) -> None:
        self._done = None
        self._end_workers()
        self._hears.close()
        self._tells.close()
        self._board.close()


class _Work(Serial):
    """What one worker does."""

    def __init__(self, job: Job, board: _Board, place: int) -> None:
        super().__init__(job.without_timeout())  # which our parent sees to, and who can kill us
        self._board = board
        self._place = place

    # A connection that comes wakes one of them; and who is at it takes no other.
    events = EPOLLIN | EPOLLEXCLUSIVE

    def let_go_in_worker(self, which: int) -> None:
        listeners = [one for place, one in enumerate(self.job.listeners) if which >> place & 1]
        self.let_go(listeners)
        for listener in listeners:
            listener._let_go_in_child()

    def orphaned(self) -> None:
        """Our parent has died, in the middle of anything: who holds on to us does not keep the address."""
        if self._board.begun(self._place):  # else the loop is told at once
            self.door.close_listeners()

    def serve(self, connection: socket, served: Served) -> None:
        self._board.begins(self._place, served)
        failure = self.job.call(connection)
        self._board.ends(self._place)  # but not if that has ended this process, in whatever way
        served.end(failure)
        self.job.tell(served)


def _at_end_of(pipe: Handle, call: Callable[[], object]) -> None:
    """Call that, whatever we are at, once nobody can write to the pipe any more (O_ASYNC of open(2))."""
    # A description of our own: who gets the signals of the pipe's is one for all who have it.
    number = os.open(f"/proc/self/fd/{pipe.fileno()}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    ends = poll()
    ends.register(number, 0)

    def told(signal_number: int, frame: object) -> None:
        if ends.poll(0):  # else it is not its end, but a byte in it
            call()

    signal(SIGIO, told)
    fcntl(number, F_SETOWN, os.getpid())
    fcntl(number, F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
