"""Channels by name: a Unix socket hands out their descriptors.

Who connects says in one packet which end it wants, and gets one packet with the descriptors of that end.
Both look at the other's uid, as the kernel has it.
"""

from __future__ import annotations

import atexit
import os
from errno import EACCES, EPROTO
from socket import AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET, socket
from threading import Thread
from time import sleep

from .. import _deadline, _unix_path, fds
from .._backend import ops
from .._member import reopened
from ..errors import check, error
from .channel import Channel, Reader, Writer
from .ends import End

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any, Union

    Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

_ASKS = b"pyipc channel 1 "
_ENDS: dict[bytes, type[End]] = {b"both": Channel, b"reader": Reader, b"writer": Writer}
_GIVES = b"pyipc channel 1"

# How long a client may take to say what it wants, and how many may be at it: one more, and the first goes.
_CLIENT_HAS_SECONDS = 5.0
_MOST_CLIENTS = 64

_RETRY_SECONDS = 0.05


# Those of this process that are open.
_servers: set[Server] = set()


def _forked() -> None:
    """A child has no thread that answers; with the socket, it would keep a dead server's path alive."""
    for server in list(_servers):
        server._drop()
        if server._bound is not None:
            server._bound.remove()  # which only lets go, in a child


os.register_at_fork(after_in_child=_forked)


def _allowed(allow: Collection[int] | None) -> frozenset[int]:
    """Whom to trust with a channel: our own user and root, unless told otherwise."""
    return frozenset((os.geteuid(), 0) if allow is None else allow)


class _Clients:
    """Those who are connected to a server, and have not said yet what they want."""

    def __init__(self, *others: int) -> None:
        from select import POLLIN, poll

        self._poll = poll()
        self._events = POLLIN
        self._all: dict[int, tuple[socket, int]] = {}  # and until when they may; who came first is the first
        for number in others:
            self._poll.register(number, POLLIN)

    def add(self, client: socket) -> None:
        client.setblocking(False)
        if len(self._all) == _MOST_CLIENTS:
            self.take(next(iter(self._all))).close()
        self._all[client.fileno()] = client, _deadline.after(_CLIENT_HAS_SECONDS)
        self._poll.register(client, self._events)

    def take(self, number: int) -> socket:
        self._poll.unregister(number)
        return self._all.pop(number)[0]

    def ready(self) -> list[int]:
        """Wait until some are, of these or of the others; who has said nothing in time is let go."""
        first = next(iter(self._all.values()), None)
        wait = None if first is None else max(0.0, _deadline.left(first[1])) * 1000 + 1
        ready = [number for number, _ in self._poll.poll(wait)]
        for number, (_, until) in list(self._all.items()):
            if number not in ready and _deadline.left(until) < 0:
                self.take(number).close()
        return ready

    def close(self) -> None:
        for number in list(self._all):
            self.take(number).close()


class Server:
    """Hands out a channel at a path; see `serve()`. Closing it removes the path; the channel lives on.

    Attributes:
        refused: How many were turned away, since their uid is not allowed.
    """

    def __init__(self, path: Path, channel: Channel, allow: frozenset[int], mode: int) -> None:
        self._allow = allow
        self._channel = channel
        self.refused = 0
        self._listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK)
        self._stop_reading, self._stop_writing = ops.Descriptor(), ops.Descriptor()
        self._bound: _unix_path.BoundPath | None = None
        _servers.add(self)
        try:
            check(ops.now_pipe(False, self._stop_reading, self._stop_writing), "make a pipe")
            self._bound = _unix_path.bind(self._listener, path, mode=mode, backlog=64)
        except BaseException:  # a signal handler's too
            self._drop()
            raise
        self._thread = Thread(target=self._run, name=f"pyipc channel at {path!r}", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _run(self) -> None:
        stop, listener = self._stop_reading.fileno(), self._listener.fileno()
        clients = _Clients(stop, listener)
        try:
            while stop not in (ready := clients.ready()):
                for number in ready:
                    if number != listener:
                        with clients.take(number) as client:
                            self._give(client)
                if listener in ready:  # last: who comes may put an end to one who is ready
                    self._accept(clients)
        finally:
            clients.close()

    def _accept(self, clients: _Clients) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return  # it is gone already
        except OSError:
            sleep(_RETRY_SECONDS)  # no descriptors: it is still there, and poll(2) says so at once
            return
        try:
            with fds.peer(client) as peer:
                allowed = peer.uid in self._allow
        except OSError:
            client.close()
            return
        if allowed:
            clients.add(client)
        else:
            self.refused += 1
            client.close()

    def _give(self, client: socket) -> None:
        try:
            with fds.receive(client, 64, 0) as message:
                asked = message.data
            if asked.startswith(_ASKS) and asked[len(_ASKS) :] in _ENDS:
                self._send_end(client, _ENDS[asked[len(_ASKS) :]])
        except OSError:
            pass  # that client's loss

    def _send_end(self, client: socket, cls: type[End]) -> None:
        memory = reopened(self._channel._part().life.fileno(), os.O_RDWR)
        try:
            pipes = [self._channel._pipe(role) for role in cls.roles]
            fds.send(client, _GIVES, [memory.fileno(), *pipes], 0)
        finally:
            memory._close()

    def _drop(self) -> None:
        _servers.discard(self)
        self._listener.close()
        ops.close_all([self._stop_reading, self._stop_writing])

    def close(self) -> None:
        """Hand it out no more, and remove the path. A forked child has let go already."""
        if self._listener.fileno() < 0:
            return
        os.write(self._stop_writing.fileno(), b"\0")
        self._thread.join()
        if self._bound is not None:
            self._bound.remove()
        atexit.unregister(self.close)
        self._drop()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        self.close()


def serve(path: Path, channel: Channel, *, allow: Collection[int] | None = None, mode: int = 0o600) -> Server:
    """Let others take part in a channel, by a path: `with channels.serve(path, channel): ...`.

    A thread hands it out until the server is closed. A path that a dead server has left is taken over; a
    living one keeps it.

    Args:
        path: Where; the socket is there only for whom *mode* lets in.
        channel: What to hand out. It may be closed only after the server.
        allow: The uids that may have it; None is our own and root.
        mode: The socket's; connecting takes the right to write (unix(7)).

    Raises:
        AlreadyExistsError: Somebody serves there, or the path is something else.
        AccessError, NotFoundError: Of the directory.
    """
    return Server(path, channel, _allowed(allow), mode)


def connect(
    path: Path, end: str = "both", timeout: float | None = None, *, allow: Collection[int] | None = None
) -> Any:
    """Take part in the channel that is served at a path.

    Args:
        path: Where.
        end: "reader", "writer", or "both" for a `Channel`.
        timeout: How many seconds the server may take to answer.
        allow: The uids that may be the server's; None is our own and root.

    Raises:
        NotFoundError: Nothing is there.
        PeerGoneError: Its server is dead, or does not want us.
        AccessError: We may not connect, or the server is not one of *allow*.
        TimedOutError: It did not answer in time.
    """
    if end.encode() not in _ENDS:
        raise ValueError(f'end is "reader", "writer" or "both", not {end!r}')
    cls = _ENDS[end.encode()]
    deadline = _deadline.by(timeout)
    doing = f"connect to the channel at {os.fsdecode(path)}"
    with socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK) as sock:
        _unix_path.connect(sock, path, deadline, doing)
        with fds.peer(sock) as server:
            if server.uid not in _allowed(allow):
                raise error(EACCES, f"{doing}, which user {server.uid} serves")
        fds.send(sock, _ASKS + end.encode())
        left = None if deadline == _deadline.FOREVER else max(0.0, _deadline.left(deadline))
        with fds.receive(sock, 64, left) as message:
            if message.data != _GIVES or len(message.fds) != 1 + len(cls.roles):
                raise error(EPROTO, doing)
            numbers = [handle.fileno() for handle in message.fds]
            return cls._attach(numbers[0], numbers[1:])
