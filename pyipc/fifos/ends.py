"""The two ends of a fifo: bytes, lines and records, with a timeout each."""

from __future__ import annotations

import os
from _io import BytesIO
from errno import EAGAIN, EBADF, EBADMSG, EINTR, EINVAL, EMSGSIZE, EPERM
from fcntl import fcntl
from itertools import repeat

from .. import _deadline
from .._backend import ops
from .._descriptor import WaitedHandle
from ..errors import error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .._backend.protocol import Descriptor
    from ..errors import IPCError

_PIPE_BUF = 4096  # what Linux writes in one piece, on every machine
_HEADER = 4
_LONGEST_RECORD = _PIPE_BUF - _HEADER

#: What the backends read or write in one call, at most.
AT_ONCE = 65536
_F_SETPIPE_SZ, _F_GETPIPE_SZ = 1031, 1032  # which Python names from 3.10 on
_MOST = "/proc/sys/fs/pipe-max-size"

_NO_LINES = BytesIO()
_AHEAD = ("_lines", "_unread")


class _End(WaitedHandle):
    """What both ends have."""

    __slots__ = ()

    def __init__(self, descriptor: int | Descriptor) -> None:
        self._begin()
        super().__init__(descriptor)

    def _begin(self) -> None:
        pass

    @property
    def capacity(self) -> int:
        """How many bytes the pipe holds while nobody reads."""
        return self._fcntl(_F_GETPIPE_SZ, 0, f"learn the capacity of {self}")

    def set_capacity(self, size: int) -> int:
        """Let the pipe hold this many bytes, or a few more; how many, it returns (F_SETPIPE_SZ, fcntl(2)).

        It is the pipe's, for all who have the fifo open, until the last of them closes it.

        Raises:
            LimitError: Only root may have more than /proc/sys/fs/pipe-max-size, or than
                /proc/sys/fs/pipe-user-pages-soft for all pipes of a user.
            InUseError: More than that is in it.
        """
        if not 0 < size < 1 << 31:
            raise ValueError(f"a pipe holds 1..2**31-1 bytes, not {size}")
        return self._fcntl(_F_SETPIPE_SZ, size, f"let {self} hold {size} bytes")

    def _fcntl(self, command: int, size: int, doing: str) -> int:
        number = self.fileno()
        try:
            return fcntl(number, command, size)
        except OSError as problem:
            if getattr(problem.__traceback__, "tb_next", None) is not None:
                raise  # a signal handler's
            if problem.errno == EPERM:
                raise _too_big(size, doing) from None
            # EBADF of one that is open: it is no pipe.
            no_pipe = problem.errno == EBADF and not self.closed
            raise error(EINVAL if no_pipe else problem.errno or EINVAL, doing) from problem

    def detach(self) -> int:
        """Give its number up: from now on it is the caller's to close. Its calls wait again.

        Raises:
            ClosedError: It is closed.
        """
        os.set_blocking(self.fileno(), True)
        return super().detach()


def _too_big(size: int, doing: str) -> IPCError:
    with open(_MOST) as text:
        most = int(text.read())
    if size > most:
        return limit_error(EPERM, doing, "pipe-max-size", most, _MOST)
    path = "/proc/sys/fs/pipe-user-pages-soft"
    with open(path) as text:
        return limit_error(EPERM, doing, "pipe-user-pages-soft", int(text.read()), path)


class Reader(_End):
    """The end of a fifo that is read; `Fifo.reader()` gives one.

    Whatever is written into a fifo, one of its readers gets: lines and records are for one that reads
    alone. It is readable, for select(2) and the like, while something is in the pipe, and at its end;
    after a `read_line`, more may have been read than was given, which `pyipc.wait` knows and select(2)
    does not.

    Args:
        descriptor: The number of a fifo or pipe that nobody else will close; or a handle, which gives its
            own up.
    """

    # What was read ahead: first whole lines, which a BytesIO hands out in a tenth of the time; then the rest,
    # in the pieces in which it came. A signal handler may raise after each step of the interpreter: so what
    # goes from the pipe to the one, or from there to the other, goes in one step.
    __slots__ = _AHEAD
    kind = "fifo reader"
    _lines: BytesIO
    _unread: list[bytes]

    @classmethod
    def _empty(cls) -> Reader:
        self = super()._empty()
        self._begin()
        return self

    def _begin(self) -> None:
        self._lines = _NO_LINES
        self._unread = []

    def read(self, size: int = AT_ONCE, timeout: float | None = None) -> bytes:
        """What is there, up to so many bytes; waits until something is.

        Returns:
            At least one byte; none once all who had it open for writing have closed it. After that, more
            may come, from others who open it.

        Raises:
            WouldBlockError: With `timeout=0`: nothing is there.
            TimedOutError: Nothing came in time.
        """
        _deadline.valid(timeout)
        if size < 1:
            raise ValueError(f"size is at least 1, not {size}")
        taken = self._lines.read(size) or self._cut(size)
        if not taken and self._read(size, _deadline.by(timeout)):
            taken = self._cut(size)
        return taken

    def read_line(self, timeout: float | None = None, *, longest: int = AT_ONCE) -> bytes:
        r"""The next line, with its b"\n".

        Args:
            timeout: As for `read`; what has come of a line stays for the next call.
            longest: A line with more bytes comes in pieces.

        Returns:
            Without b"\n" a piece of a long line, or the last one before the end; at the end nothing.
        """
        if timeout is not None:
            _deadline.valid(timeout)
        if longest < 1:
            raise ValueError(f"longest is at least 1, not {longest}")
        return self._lines.readline(longest) or self._find_line(longest, _deadline.by(timeout))

    def _find_line(self, longest: int, deadline: int) -> bytes:
        self._lines = _NO_LINES  # which lets the memory go
        data = b"".join(self._unread)  # which may be in many small pieces
        self._unread = [data] if data else []
        size, new = len(data), self._unread
        while not any(b"\n" in piece for piece in new):
            more = self._read(AT_ONCE, deadline) if size < longest else 0
            if not more:
                return self._cut(longest)
            size, new = size + more, self._unread[-1:]
        self._split()
        return self._lines.readline(longest)

    def _split(self) -> None:
        """Set whole lines aside."""
        data = b"".join(self._unread)
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        any(map(setattr, repeat(self), _AHEAD, (BytesIO(data[:end]), [rest] if rest else [])))

    def _join(self) -> None:
        """Let nothing be set aside."""
        any(map(self._unread.insert, (0,), filter(None, map(self._lines.read, (-1,)))))
        self._lines = _NO_LINES

    def __iter__(self) -> Iterator[bytes]:
        """Its lines, to its end."""
        return iter(self.read_line, b"")

    def read_record(self, timeout: float | None = None) -> bytes | None:
        """The next of what `Writer.write_record` writes; None at the end.

        Raises:
            IPCError: EBADMSG: something else is in the pipe, which stays there for `read`.
            WouldBlockError: With `timeout=0`: none is there.
            TimedOutError: None came in time.
        """
        deadline = _deadline.by(timeout)
        if self._lines is not _NO_LINES:
            self._join()
        head = self._fill(_HEADER, deadline)
        if not head:
            return None
        size = head[0] | head[1] << 8
        if size ^ (head[2] | head[3] << 8) != 0xFFFF or size > _LONGEST_RECORD:
            raise error(EBADMSG, f"read a record from {self}: what is in it is none")
        end = _HEADER + size
        data = self._fill(end, deadline)
        rest = data[end:]
        self._unread = [rest] if rest else []
        return data[_HEADER:end]

    def _fill(self, size: int, deadline: int) -> bytes:
        """At least so many bytes, of which the kernel gives no more, and which stay; none at the end."""
        data = b"".join(self._unread)
        while len(data) < size:
            missing = size - len(data)
            # A frame of Python takes as long as a system call: so first without one.
            if ops.now_fifo_read(self, self._unread, missing) <= 0 and not self._read(missing, deadline):
                if data:
                    raise error(EBADMSG, f"read a record from {self}: it ends within one")
                break
            data = b"".join(self._unread)
        return data

    def _cut(self, size: int) -> bytes:
        data = b"".join(self._unread)
        rest = data[size:]
        self._unread = [rest] if rest else []
        return data[:size]

    def _read(self, size: int, deadline: int) -> int:
        """Have so many bytes more, or fewer: how many; 0 at the end."""
        result = ops.now_fifo_read(self, self._unread, size)
        if result == -EAGAIN and deadline:
            result = self._wait_until(lambda until: self._read_once(size, until), deadline, "read from")
        if result < 0:
            raise self._error(result, "read from")
        return result

    def _read_once(self, size: int, deadline: int) -> int:
        result = ops.fd_wait(self._number, ops.READABLE, deadline)
        return _or_again(ops.now_fifo_read(self, self._unread, size)) if result == 0 else result

    def _is_ready(self) -> bool:
        # Lines that were set aside, or joined again.
        lines = self._lines.getbuffer().nbytes > self._lines.tell() or any(
            b"\n" in piece for piece in self._unread
        )
        return lines or ops.fd_wait(self.fileno(), ops.READABLE, 0) == 0


class Writer(_End):
    """The end of a fifo that is written; `Fifo.writer()` gives one.

    It is writable, for select(2) and the like, while there is room for 4096 bytes, and when nobody reads
    any more.

    Args:
        descriptor: The number of a fifo or pipe that nobody else will close; or a handle, which gives its
            own up.
    """

    __slots__ = ()
    kind = "fifo writer"
    #: How many bytes a record can have.
    longest_record = _LONGEST_RECORD

    def write(self, data: Any, timeout: float | None = None) -> None:
        """Write all the bytes of *data*, any bytes-like object; waits while there is no room.

        Up to 4096 bytes are written in one piece. Of more, pieces may come between those of others.

        Raises:
            PeerGoneError: Nobody has it open for reading any more. There is no SIGPIPE.
            WouldBlockError: With `timeout=0`: there is no room for all of it.
            TimedOutError: There was not, in time. All three have `characters_written`, how much was.
        """
        deadline = _deadline.by(timeout)
        # Of bytes, a slice that is all of them is no copy, and a view takes as long as a short write.
        rest = data if type(data) is bytes and len(data) <= AT_ONCE else memoryview(data).cast("B")
        size = len(rest)
        while rest:
            result = self._write(rest[:AT_ONCE], deadline)
            if result < 0:
                problem = self._error(result, "write to")
                problem.characters_written = size - len(rest)
                raise problem
            rest = rest[result:]

    def write_record(self, data: Any, timeout: float | None = None) -> None:
        """Write some bytes that `Reader.read_record` gives as they are, in one piece or not at all.

        However many write at once, and whoever of them is killed. Before the bytes there are four: how
        many they are, as 16 bits, the low ones first, and the same with each bit turned round.

        Raises:
            LimitError: More than 4092 bytes, `longest_record` (PIPE_BUF).
            PeerGoneError: Nobody has it open for reading any more.
            WouldBlockError: With `timeout=0`: there is no room.
            TimedOutError: There was none, in time.
        """
        deadline = _deadline.by(timeout)
        if type(data) is not bytes:
            data = memoryview(data).cast("B")
        size = len(data)
        if size > _LONGEST_RECORD:
            doing = f"write a record of {size} bytes to {self}, {_HEADER} more with its head"
            raise limit_error(EMSGSIZE, doing, "PIPE_BUF", _PIPE_BUF, None)
        record = (size | (size ^ 0xFFFF) << 16).to_bytes(_HEADER, "little") + data
        result = ops.now_fifo_write(self, record)
        if result == -EAGAIN:
            result = self._write(record, deadline)
        if result < 0:
            raise self._error(result, "write a record to")

    def _write(self, data: Any, deadline: int) -> int:
        result = ops.now_fifo_write(self, data)
        if result == -EAGAIN and deadline:
            result = self._wait_until(lambda until: self._write_once(data, until), deadline, "write to")
        return result

    def _write_once(self, data: Any, deadline: int) -> int:
        result = ops.fd_wait(self._number, ops.WRITABLE, deadline)
        return _or_again(ops.now_fifo_write(self, data)) if result == 0 else result

    def _is_unread(self) -> bool:
        return ops.now_fifo_is_unread(self) > 0


def _or_again(result: Any) -> Any:
    """Somebody else may have been quicker: then wait again."""
    return -EINTR if result == -EAGAIN else result
