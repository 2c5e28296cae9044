"""Workers to whom connections are passed by descriptor (SCM_RIGHTS of unix(7))."""

from __future__ import annotations

from collections import deque
from errno import EPIPE, EREMOTEIO

from .. import _fork, fds
from ..errors import IPCError, PeerGoneError
from ._workers import Worker, Workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from .._spawn import Child
    from ._loop import Loop
    from ._model import Job
    from .record import Served

_HERE = b"c"
_DONE = b"+"
_GONE = b"~"
_FAILED = b"-"
_LONGEST_WORD = 4096


class Dispatch(Workers):
    """Workers to whom each connection is passed by descriptor, as soon as one has nothing to do."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._free: deque[Worker] = deque()

    def begin(self, loop: Loop) -> None:
        self.loop = loop
        for worker in self._workers:
            self._start(worker)
        super().begin(loop)
        if not self.has_room():
            self.door.shut("full")

    def has_room(self) -> bool:
        return bool(self._free)

    def _fork(self, worker: Worker) -> Child:
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

    def _heard(self, worker: Worker) -> None:
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

    def _forget(self, worker: Worker) -> None:
        if worker.sock is not None:
            self.loop.forget(worker.sock)
            worker.sock.close()
            worker.sock = None
        if worker in self._free:
            self._free.remove(worker)

    def _gone(self, worker: Worker, failure: IPCError | None) -> bool:
        self._forget(worker)
        served, worker.served = worker.served, None
        if served is not None:
            self.over(served, failure)
        return served is not None

    def cut(self, served: Served, by: Worker) -> None:
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
