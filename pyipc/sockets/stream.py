"""A connection that is read and written under one deadline."""

from __future__ import annotations

from _io import BytesIO
from _socket import MSG_DONTWAIT, SHUT_WR, SOCK_STREAM
from errno import EAGAIN, EBADF, EINTR, EMSGSIZE, ENOTCONN, EPIPE, ETIMEDOUT
from functools import partial
from time import monotonic_ns

from .. import _deadline
from .._backend import ops
from .._linux import MSG_NOSIGNAL
from .._waiters import Waited
from ..errors import ClosedError, error, limit_error
from .addresses import printable, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from socket import socket
    from types import TracebackType
    from typing import Any, TypeVar

    Result = TypeVar("Result", bytes, int)

_AT_ONCE = 65536  # bytes that one recv(2) asks for, and a line may have unless told otherwise
_NO_LINES = BytesIO()


class Stream(Waited):
    """Reads and writes a connected stream socket, all of it under one deadline.

    The deadline is for the whole exchange: who sends a byte now and then does not move it. After it, what was
    read before can still be had; whatever would ask the kernel for more is a `TimedOutError`. Nothing is lost
    by an error: what has come stays for the next call, after a `restart`, say.

    The socket's timeout and O_NONBLOCK do not matter, and stay as they are. One thread may read while another
    writes; `close()` ends the waits of both. What was read ahead lies here, so that nobody else should read
    from the socket; `pyipc.wait` knows of it, select(2) does not.

    Args:
        sock: Such as `connect()` gives, or a `Server` its handlers. It is closed with the stream, but not
            when the stream is dropped: a handler needs no `with` block, its server closes the connection.
        timeout: How many seconds the exchange may take from now on. With 0, no call waits.

    Attributes:
        socket: The socket.
    """

    # What was read ahead: first whole lines, whose ends a BytesIO finds in a tenth of the time; then the
    # rest. After each step of the interpreter a signal handler may raise: from one to the other is one step.
    __slots__ = ("_deadline", "_lines", "_searched", "_unread", "_waiting", "socket")

    def __init__(self, sock: socket, timeout: float | None = None) -> None:
        if getattr(sock, "type", None) != SOCK_STREAM:
            raise ValueError(f"not a stream socket: {sock!r}")
        self._deadline = _deadline.by(timeout)
        self._waiting = []
        self._lines = _NO_LINES
        self._unread = bytearray()
        self._searched = 0  # so many bytes of it have no newline among them
        self.socket = sock

    def restart(self, timeout: float | None) -> None:
        """Begin another exchange on this connection, which may take so many seconds from now on."""
        self._deadline = _deadline.by(timeout)

    # ---- reading ----

    def read(self, max_size: int = _AT_ONCE) -> bytes:
        """What is there, up to so many bytes; waits until something is.

        Returns:
            At least one byte; at the end none.

        Raises:
            TimedOutError: The deadline has passed.
            WouldBlockError: With `timeout=0`: nothing is there.
            PeerGoneError: The connection was reset.
            ClosedError: The stream was closed, perhaps in another thread meanwhile.
        """
        _at_least(1, max_size, "max_size")
        if self._in_lines():
            return self._lines.read(max_size)
        if self._unread:
            return self._cut(min(max_size, len(self._unread)))
        return self._receive(min(max_size, _AT_ONCE))

    def read_exactly(self, size: int) -> bytes:
        """So many bytes.

        Raises:
            PeerGoneError: The end came before; how many bytes came it says, and they can be read.
            TimedOutError, WouldBlockError, ClosedError: As of `read`.
        """
        _at_least(0, size, "size")
        if size <= self._in_lines():
            return self._lines.read(size)
        self._join()
        while len(self._unread) < size:
            if not self._read_ahead():
                raise error(EPIPE, f"read {size} bytes from {self}, of which {len(self._unread)} came")
        return self._cut(size)

    def read_line(self, max_size: int = _AT_ONCE) -> bytes:
        r"""The next line, with its b"\n".

        Returns:
            Without b"\n" the last one before the end; at the end nothing.

        Raises:
            LimitError: It has more than *max_size* bytes. They can be read by other means.
            PeerGoneError, TimedOutError, WouldBlockError, ClosedError: As of `read`.
        """
        if type(max_size) is not int or max_size < 1:  # a call takes as long as all the rest
            _at_least(1, max_size, "max_size")
        line = self._lines.readline()
        if 0 < len(line) <= max_size:
            return line
        self._put_back(line)
        return self._find_line(max_size)

    def lines(self, max_size: int = _AT_ONCE) -> Iterator[bytes]:
        r"""Each line as `read_line` gives it, to the end."""
        _at_least(1, max_size, "max_size")
        while True:
            for line in self._lines:
                if len(line) > max_size:
                    self._put_back(line)
                    break
                yield line
            line = self.read_line(max_size)
            if not line:
                return
            yield line

    def _find_line(self, max_size: int) -> bytes:
        """The next line, of which all or some is not among the whole ones."""
        self._join()
        while True:
            found = self._unread.find(b"\n", self._searched) + 1
            if (found or len(self._unread)) > max_size:
                raise limit_error(EMSGSIZE, f"read a line from {self}", "max_size", max_size, None)
            if found:
                line = self._cut(found)
                self._split()
                return line
            self._searched = len(self._unread)
            if not self._read_ahead():
                return self._cut(len(self._unread))

    def read_all(self, max_size: int) -> bytes:
        """All that comes before the end.

        Raises:
            LimitError: It is more than *max_size* bytes. What has come can be read by other means.
            PeerGoneError, TimedOutError, WouldBlockError, ClosedError: As of `read`.
        """
        _at_least(0, max_size, "max_size")
        self._join()
        while self._read_ahead():
            if len(self._unread) > max_size:
                raise limit_error(EMSGSIZE, f"read to the end of {self}", "max_size", max_size, None)
        return self._cut(len(self._unread))

    def _read_ahead(self) -> bool:
        """Have some more; False at the end."""
        more = self._receive(_AT_ONCE)
        self._unread += more
        return bool(more)

    def _cut(self, size: int) -> bytes:
        taken = bytes(self._unread[:size])
        self._searched = max(0, self._searched - size)
        del self._unread[:size]  # which moves nothing: a bytearray begins anywhere
        return taken

    def _in_lines(self) -> int:
        """How many bytes are in whole lines that were set aside."""
        return self._lines.getbuffer().nbytes - self._lines.tell()

    def _put_back(self, line: bytes) -> None:
        self._lines.seek(-len(line), 1)

    def _split(self) -> None:
        """Set the whole lines aside."""
        end = self._unread.rfind(b"\n", self._searched) + 1
        if end:
            lines = BytesIO(self._unread[:end])
            self._searched = 0
            one = partial(setattr, self, "_lines", lines)
            any(map(partial.__call__, (one, partial(self._unread.__delitem__, slice(end)))))

    def _join(self) -> None:
        """Let nothing be set aside."""
        if self._in_lines():
            self._searched = 0
            any(map(self._unread.__setitem__, (slice(0, 0),), map(self._lines.read, (-1,))))
        self._lines = _NO_LINES  # which lets the memory go

    def _receive(self, size: int) -> bytes:
        result = self._call(self.socket.recv, size, MSG_DONTWAIT, ops.READABLE)
        if isinstance(result, int):
            raise error(-result, f"read from {self}")
        return result

    def _is_ready(self) -> bool:
        return bool(self._unread or self._in_lines()) or ops.fd_wait(self.fileno(), ops.READABLE, 0) == 0

    # ---- writing ----

    def write(self, data: Any) -> None:
        """Write all the bytes of *data*, any bytes-like object; waits while there is no room.

        Raises:
            PeerGoneError: The other side has closed, or has gone. There is no SIGPIPE.
            TimedOutError: The deadline has passed.
            WouldBlockError: With `timeout=0`: there is no room for all of it.
            ClosedError: The stream was closed, perhaps in another thread meanwhile. All of them have
                `characters_written`, how many bytes went.
        """
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest:
            result = self._call(self.socket.send, rest, MSG_DONTWAIT | MSG_NOSIGNAL, ops.WRITABLE)
            if result < 0:
                problem = error(-result, f"write {size} bytes to {self}")
                problem.characters_written = size - len(rest)
                raise problem
            rest = rest[result:]

    def end_writing(self) -> None:
        """Let the other side find the end after what was written; reading goes on (SHUT_WR, shutdown(2)).

        Raises:
            PeerGoneError: The connection was reset, or is not there.
            ClosedError: The stream is closed.
        """
        try:
            self.socket.shutdown(SHUT_WR)
        except OSError as problem:
            if getattr(problem.__traceback__, "tb_next", None) is not None:
                raise  # a signal handler's
            number = EPIPE if problem.errno == ENOTCONN else problem.errno or EPIPE
            raise error(number, f"end what is written to {self}") from problem

    # ---- both ----

    def _call(self, method: Callable[[Any, int], Result], what: Any, flags: int, events: int) -> Result | int:
        """What recv(2) or send(2) gives, once it need not wait, or `-errno`."""
        deadline = self._deadline
        if deadline and monotonic_ns() >= deadline:  # there may be more to read at any time, for ever
            return -ETIMEDOUT
        result = self._try(method, what, flags, events)
        if result != -EAGAIN or not deadline:
            return result

        def attempt(deadline: int) -> Result | int:
            waited = ops.fd_wait(self.socket.fileno(), events, deadline)
            result = waited if waited < 0 else self._try(method, what, flags, events)
            return -EINTR if result == -EAGAIN else result  # another was quicker: wait again

        try:
            return self._wait_until(attempt, deadline, "use")
        except ClosedError:
            if not self.closed:
                raise  # a signal handler's
            return -EBADF

    def _try(self, method: Callable[[Any, int], Result], what: Any, flags: int, events: int) -> Result | int:
        if self.socket.gettimeout():  # else the method would wait that long, whatever the flags say
            result = ops.fd_wait(self.socket.fileno(), events, 0)
            if result < 0:
                return -EAGAIN if result == -ETIMEDOUT else result
        try:
            return method(what, flags)
        except OSError as problem:
            if getattr(problem.__traceback__, "tb_next", None) is not None:
                raise  # a signal handler's
            return -(problem.errno or EAGAIN)

    @property
    def closed(self) -> bool:
        """Whether it, or its socket, was closed."""
        return self.socket.fileno() < 0

    def fileno(self) -> int:
        """The number of the socket's descriptor; -1 once it is closed."""
        return self.socket.fileno()

    def close(self) -> None:
        """Close the socket; threads that wait for it get `ClosedError`. Again: nothing."""
        self.socket.close()
        self._wake_waiters()

    def __repr__(self) -> str:
        if self.closed:
            return "<stream closed>"
        try:
            peer = f" with {printable(text_of(self.socket.family, SOCK_STREAM, self.socket.getpeername()))}"
        except OSError:
            peer = ""  # it has gone
        return f"<stream {self.fileno()}{peer}>"

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _at_least(least: int, size: int, what: str) -> None:
    if not isinstance(size, int):
        raise TypeError(f"{what} is an int, not {type(size).__name__}")
    if size < least:
        raise ValueError(f"{what} is at least {least}, not {size}")
