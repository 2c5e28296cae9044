"""Connections, with the API of `multiprocessing.Pipe`'s."""

from __future__ import annotations

from errno import EBADF

from .. import _deadline, _pickling
from ..errors import error
from . import objects
from .channel import CAPACITY, Channel, Reader, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, NoReturn

_SLOTS = 64
_SLOT_SIZE = 1008


class Connection:
    """One end of a pipe of objects and of bytes; made by `Pipe`.

    `EOFError` at the end, and `BrokenPipeError` when nobody receives any more, are both `PeerGoneError`
    here. Unlike `multiprocessing`'s, it can be used by several threads.

    Attributes:
        readable: Whether it can receive.
        writable: Whether it can send.
    """

    def __init__(self, reader: Reader | None, writer: Writer | None) -> None:
        self._reader = reader
        self._writer = writer
        self.readable = reader is not None
        self.writable = writer is not None

    def _receives(self) -> Reader:
        reader = self._reader
        if reader is None:
            self._refuse("receive")
        return reader

    def _sends(self) -> Writer:
        writer = self._writer
        if writer is None:
            self._refuse("send")
        return writer

    def _refuse(self, doing: str) -> NoReturn:
        if self.closed:
            raise error(EBADF, f"{doing} by a connection")
        raise OSError(f"this connection does not {doing}")

    def send(self, obj: object) -> None:
        """Send an object, waiting for room.

        Raises:
            PeerGoneError: Nobody receives any more.
            LimitError: It is longer than the pipe's capacity.
        """
        objects.send(self._sends(), *objects.dumps(obj), None)

    def recv(self) -> Any:
        """Receive an object, waiting for one.

        Raises:
            PeerGoneError: Nobody sends any more: the end.
        """
        return objects.loads(self._receives()._recv_data(None))

    def send_bytes(self, buf: Any, offset: int = 0, size: int | None = None) -> None:
        """Send the bytes of a buffer, or *size* of them from *offset* on, as one message."""
        view = memoryview(buf)
        view = view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())
        if offset < 0:
            raise ValueError("offset is negative")
        if len(view) < offset:
            raise ValueError("buffer length < offset")
        if size is None:
            size = len(view) - offset
        elif size < 0:
            raise ValueError("size is negative")
        elif offset + size > len(view):
            raise ValueError("buffer length < offset + size")
        self._sends().send(view[offset : offset + size])

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """Receive a message as bytes.

        Raises:
            OSError: It is longer than *maxlength*; it is still there.
            PeerGoneError: The end.
        """
        if maxlength is None:
            data: bytes = self._receives().recv()
            return data
        if maxlength < 0:
            raise ValueError("negative maxlength")
        with self._receives().recv(ack=True) as message:
            if len(message) > maxlength:
                raise OSError(f"a message of {len(message)} bytes, which are more than {maxlength}")
            return bytes(message)

    def recv_bytes_into(self, buf: Any, offset: int = 0) -> int:
        """Receive a message into a writable buffer, from *offset* on: how many bytes it has.

        Raises:
            multiprocessing.BufferTooShort: It does not fit; the exception has it as its argument.
            PeerGoneError: The end.
        """
        view = memoryview(buf).cast("B")
        if offset < 0:
            raise ValueError("negative offset")
        if offset > len(view):
            raise ValueError("offset too large")
        with self._receives().recv(ack=True) as message:
            size = len(message)
            if size <= len(view) - offset:
                view[offset : offset + size] = message.buf
                return size
            data = bytes(message)
        from multiprocessing import BufferTooShort

        raise BufferTooShort(data)

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Wait so many seconds until there is something to receive, or the end: whether there is."""
        reader = self._receives()
        deadline = 0 if timeout is not None and timeout <= 0 else _deadline.after(timeout)
        return reader._is_ready_by(deadline)

    def fileno(self) -> int:
        """For select(2) and the like: readable when a message waits, or at the end; at worst in vain."""
        end = self._reader or self._writer
        if end is None:
            self._refuse("use")
        return end.fileno()

    def _is_ready(self) -> bool:
        end = self._reader or self._writer
        if end is None:
            self._refuse("wait")
        return end._is_ready()

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._reader is None and self._writer is None

    def close(self) -> None:
        """Let go of it; when all who have this end have, the other end is told."""
        reader, writer = self._reader, self._writer
        self._reader = self._writer = None
        for end in (reader, writer):
            if end is not None:
                end.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self.closed:
            self._refuse("pickle")
        _pickling.refuse_elsewhere()
        return type(self), (self._reader, self._writer)

    def __repr__(self) -> str:
        return f"<connection{', closed' if self.closed else ''}>"

    def __del__(self) -> None:
        if hasattr(self, "_writer"):
            self.close()


def _ends(capacity: int) -> tuple[Reader, Writer]:
    with Channel(_SLOTS, _SLOT_SIZE, capacity) as channel:
        return channel.split()


def Pipe(duplex: bool = True, *, capacity: int = CAPACITY) -> tuple[Connection, Connection]:  # noqa: N802 (its name)
    """Two connected ends, as `multiprocessing.Pipe` gives them.

    Args:
        duplex: Whether both can send and receive; else the first only receives, and the second only sends.
        capacity: How many bytes of messages longer than 1008 can wait, each way.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        OutOfMemoryError, LimitError: As for a `Channel`; it takes six descriptors an end, or three.
    """
    reader, writer = _ends(capacity)
    if not duplex:
        return Connection(reader, None), Connection(None, writer)
    try:
        there, back = _ends(capacity)
    except BaseException:  # a signal handler's too
        reader.close()
        writer.close()
        raise
    return Connection(reader, back), Connection(there, writer)
