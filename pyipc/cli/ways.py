"""The ways by which `pyipc bench` lets two processes talk."""

from __future__ import annotations

import os
import socket
from struct import Struct

from .. import channels, sysv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTH = Struct("=I")
_ANY = 1 << 30
_LARGEST_OF_SYSV = 8000  # MSGMAX is 8192, unless somebody has changed it


class Pair:
    """Two processes' ways to each other, made before the fork.

    Attributes:
        largest: The longest message, in bytes.
    """

    def __init__(
        self,
        there: tuple[Callable[[bytes], object], Callable[[], bytes]],
        back: tuple[Callable[[bytes], object], Callable[[], bytes]],
        close: Callable[[], object],
        largest: int = _ANY,
    ) -> None:
        self.send_there, self.receive_there = there
        self.send_back, self.receive_back = back
        self.close = close
        self.largest = largest


def _channel() -> Pair:
    there, back = channels.Channel(slot_size=1 << 16), channels.Channel(slot_size=1 << 16)

    def close() -> None:
        there.close()
        back.close()

    return Pair((there.send, there.recv), (back.send, back.recv), close)


def _pipes() -> Pair:
    """A length before each message, since a pipe has no bounds."""
    (there_read, there_write), (back_read, back_write) = os.pipe(), os.pipe()

    def close() -> None:
        for number in (there_read, there_write, back_read, back_write):
            os.close(number)

    return Pair(
        (lambda data: _write(there_write, data), lambda: _read(there_read)),
        (lambda data: _write(back_write, data), lambda: _read(back_read)),
        close,
    )


def _write(number: int, data: bytes) -> None:
    view = memoryview(_LENGTH.pack(len(data)) + data)
    while view:
        view = view[os.write(number, view) :]


def _read(number: int) -> bytes:
    (left,) = _LENGTH.unpack(_exactly(number, _LENGTH.size))
    return _exactly(number, left)


def _exactly(number: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(number, size)
        if not part:
            raise EOFError("the other process has gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _sockets() -> Pair:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def close() -> None:
        ours.close()
        theirs.close()

    return Pair(
        (ours.send, lambda: theirs.recv(1 << 17)),
        (theirs.send, lambda: ours.recv(1 << 17)),
        close,
    )


def _system_v() -> Pair:
    there, back = sysv.MessageQueue.create(), sysv.MessageQueue.create()

    def close() -> None:
        there.close()
        back.close()

    return Pair(
        (there.send, lambda: there.receive().data),
        (back.send, lambda: back.receive().data),
        close,
        _LARGEST_OF_SYSV,
    )


def _multiprocessing_pipe() -> Pair:
    import multiprocessing

    ours, theirs = multiprocessing.Pipe()

    def close() -> None:
        ours.close()
        theirs.close()

    return Pair((ours.send_bytes, theirs.recv_bytes), (theirs.send_bytes, ours.recv_bytes), close)


def _multiprocessing_queue() -> Pair:
    import multiprocessing

    there: multiprocessing.Queue[bytes] = multiprocessing.Queue(1000)
    back: multiprocessing.Queue[bytes] = multiprocessing.Queue(1000)

    def close() -> None:
        for queue in (there, back):
            queue.close()
            queue.join_thread()

    return Pair((there.put, there.get), (back.put, back.get), close)


WAYS: dict[str, Callable[[], Pair]] = {
    "pyipc channel": _channel,
    "pyipc sysv queue": _system_v,
    "pipe": _pipes,
    "seqpacket sockets": _sockets,
    "multiprocessing.Pipe": _multiprocessing_pipe,
    "multiprocessing.Queue": _multiprocessing_queue,
}
