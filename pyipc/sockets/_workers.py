"""Connections that children serve who were forked before: they accept for themselves, or get them passed."""

from __future__ import annotations

import os
from _signal import SIGIO, signal
from collections import deque
from errno import EPIPE, EREMOTEIO
from fcntl import F_SETFL, F_SETOWN, fcntl
from mmap import mmap
from select import EPOLLEXCLUSIVE, EPOLLIN, poll
from struct import Struct
from time import monotonic_ns

from .. import _fork, fds
from .._backend import ops
from .._descriptor import Handle
from ..errors import IPCError, PeerGoneError, check
from ._children import failure_of
from ._inside import Serial
from ._loop import Bell, Loop
from ._model import Model, too_long
from .record import Served

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket

    from .._spawn import Child
    from ._model import Job
    from .listening import Listener

_SOON_NS = 1_000_000_000  # a worker that ends within that has a fault that the next will have, too
_FIRST_PAUSE_NS = 50_000_000
_LONGEST_PAUSE_NS = 5_000_000_000


class _Worker:
    """One place for a worker, and who has it."""

    __slots__ = ("begun", "child", "pause", "place", "served", "sock")

    def __init__(self, place: int) -> None:
        self.place = place
        self.child: Child | None = None
        self.begun = 0
        self.pause = 0  # before the next, in nanoseconds
        self.served: Served | None = None  # what it serves, where that is known here
        self.sock: socket | None = None  # by which it is told


class _Workers(Model):
    """Workers that are forked before, and again when one has died."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._workers = [_Worker(place) for place in range(job.most)]
        self._leaving = False  # no more are to be forked

    def _start(self, worker: _Worker) -> None:
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

    def _start_later(self, worker: _Worker) -> None:
        worker.pause = min(2 * worker.pause or _FIRST_PAUSE_NS, _LONGEST_PAUSE_NS)
        self.loop.at(monotonic_ns() + worker.pause, lambda: self._start(worker))

    def _fork(self, worker: _Worker) -> Child:
        raise NotImplementedError  # each kind has its own

    def _say(self, problem: OSError) -> None:
        """No connection has failed, but somebody should know."""
        served = Served(0, "")
        served.end(problem)
        self.job.tell(served)

    def _died(self, worker: _Worker, child: Child) -> None:
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

    def _gone(self, worker: _Worker, failure: IPCError | None) -> bool:
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


# ---- who accept for themselves ----

_BOARD_ENTRY = 128
_ENTRY = Struct(f"qHH{_BOARD_ENTRY - 12}s")  # since when, and whom: `Served.packed()`
_BEGUN = Struct("q")
_ON, _FINISH = 0, 1


class _Board:
    """Memory in which each worker notes what it serves, and since when; and what all of them are to do.

    Attributes:
        order: What they are to do.
        given_away: By its bits, which listeners somebody else has taken over.
    """

    def __init__(self, places: int, listeners: int) -> None:
        self._memory = mmap(-1, places * _BOARD_ENTRY + 8 + listeners // 8 + 1)
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
    def order(self) -> int:
        order: int = _BEGUN.unpack_from(self._memory, self._orders)[0]
        return order

    @order.setter
    def order(self, order: int) -> None:
        _BEGUN.pack_into(self._memory, self._orders, order)

    @property
    def given_away(self) -> int:
        return int.from_bytes(self._memory[self._orders + 8 :], "little")

    @given_away.setter
    def given_away(self, which: int) -> None:
        self._memory[self._orders + 8 :] = which.to_bytes(len(self._memory) - self._orders - 8, "little")

    def close(self) -> None:
        self._memory.close()


class Prefork(_Workers):
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

    def _fork(self, worker: _Worker) -> Child:
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
            if self._board.order == _FINISH:
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

    def _gone(self, worker: _Worker, failure: IPCError | None) -> bool:
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

    def finish(self, done: Callable[[], object]) -> None:
        self._order(_FINISH, done)

    def let_go(self, listeners: Sequence[Listener]) -> None:
        places = [place for place, one in enumerate(self.job.listeners) if one in listeners]
        self._board.given_away = sum(1 << place for place in places)

    def _order(self, order: int, done: Callable[[], object]) -> None:
        self._done = done
        self._leaving = True
        self._board.order = order
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


# ---- to whom they are passed ----

_HERE = b"c"
_DONE = b"+"
_GONE = b"~"
_FAILED = b"-"
_LONGEST_WORD = 4096


class Dispatch(_Workers):
    """Workers to whom each connection is passed by descriptor, as soon as one has nothing to do."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._free: deque[_Worker] = deque()

    def begin(self, loop: Loop) -> None:
        self.loop = loop
        for worker in self._workers:
            self._start(worker)
        super().begin(loop)
        if not self.has_room():
            self.door.shut("full")

    def has_room(self) -> bool:
        return bool(self._free)

    def _fork(self, worker: _Worker) -> Child:
        ours, theirs = fds.socketpair()
        try:
            child = _fork.start(self._be_worker, ours, theirs)
        except BaseException:  # a signal handler's too
            ours.close()
            raise
        finally:
            theirs.close()
        worker.sock = ours
        self.loop.watch(ours, lambda: self._heard(worker))
        self._free.append(worker)
        if len(self._free) == 1 and hasattr(self, "door"):
            self.go_on()
        return child

    # ---- in the worker ----

    def _be_worker(self, ours: socket, sock: socket) -> None:
        self.job.become_child(bool, True)  # its server sees to the end
        ours.close()  # else it would never see its server's end
        for worker in self._workers:
            if worker.sock is not None:
                worker.sock.close()
        if hasattr(self, "door"):
            self.door.forget_in_child()
        for listener in self.job.listeners:
            listener._let_go_in_child()
        while True:
            try:
                message = fds.receive(sock)
            except PeerGoneError:
                return  # the end of the server, however it came
            with message:
                connection = _connection_of(message)
            failure = self.job.call(connection)
            try:
                fds.send(sock, _word_of(failure))
            except PeerGoneError:
                return

    # ---- here ----

    def serve(self, connection: socket, served: Served) -> None:
        while self._free:
            worker = self._free.popleft()
            assert worker.sock is not None
            try:
                fds.send(worker.sock, _HERE, [connection], 0)
            except PeerGoneError:
                continue  # it has died, which its pidfd will tell
            except IPCError:  # too many descriptors are on their way in this user's sockets
                self._free.appendleft(worker)
                self.door.put_back(connection, served)
                self.door.pause()
                return
            connection.close()
            worker.served = served
            self.take(served, worker)
            return
        self.door.put_back(connection, served)
        self.door.shut("full")

    def _heard(self, worker: _Worker) -> None:
        assert worker.sock is not None
        try:
            with fds.receive(worker.sock, None, 0) as message:
                word = message.data
        except PeerGoneError:
            self._forget(worker)
            return  # it has died, which its pidfd will tell
        served, worker.served = worker.served, None
        self._free.append(worker)
        if served is not None:
            self.over(served, _failure_in(word))

    def _forget(self, worker: _Worker) -> None:
        if worker.sock is not None:
            self.loop.forget(worker.sock)
            worker.sock.close()
            worker.sock = None
        if worker in self._free:
            self._free.remove(worker)

    def _gone(self, worker: _Worker, failure: IPCError | None) -> bool:
        self._forget(worker)
        served, worker.served = worker.served, None
        if served is not None:
            self.over(served, failure)
        return served is not None

    def cut(self, served: Served, by: _Worker) -> None:
        if by.child is not None:
            by.child.kill()

    def end(self) -> None:
        super().end()
        self._end_workers()


def _word_of(failure: Exception | None) -> bytes:
    """What a worker says once it has served."""
    if failure is None:
        return _DONE
    kind = _GONE if isinstance(failure, ConnectionError) else _FAILED
    return kind + repr(failure).encode(errors="replace")[:_LONGEST_WORD]


def _failure_in(word: bytes) -> IPCError | None:
    if word == _DONE:
        return None
    text = word[1:].decode(errors="replace")
    return PeerGoneError(EPIPE, text) if word[:1] == _GONE else IPCError(EREMOTEIO, text)


def _connection_of(message: fds.Message) -> socket:
    import socket

    return socket.socket(fileno=message.fds[0].detach())
