"""A program's output: what has come of it and nobody has taken yet."""

from __future__ import annotations

from _thread import RLock
from errno import EAGAIN, ENOBUFS, EPIPE, ETIMEDOUT
from time import monotonic_ns

from .. import _deadline
from .._backend import ops
from ..errors import error, limit_error
from .patterns import EOF, WINDOW, Match, Search

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from .._spawn import Child
    from .pairs import Master
    from .patterns import Looked

#: How much output is kept unread, in bytes, unless `max_unread` says something else.
MAX_UNREAD = 1 << 26

_GATHERED = 1 << 16  # bytes that are read before they are searched, if they are there
_SMALL = 1024  # after so few bytes at once, no more is there
_SOON_NS = 100_000  # twice what a sleep costs (SLEEP_COSTS_NS of csrc/terminal.c)
_SHOWN = 200  # bytes of output in a message


@ops.accelerate("terminal.expect")
class Output:
    """The output of a program on a terminal: wait for something in it, or read it.

    Attributes:
        log_received: A binary file to which all output is written as it is read; or None.
    """

    _match_type = Match

    def __init__(self, master: Master, child: Child, name: str, max_unread: int) -> None:
        self._master = master
        self._child = child
        self._name = name
        self._max_unread = max_unread
        self._unread = bytearray()
        self._lock = RLock()
        self._soon = True  # the next output may come before we were asleep
        self.log_received: Any = None

    def fileno(self) -> int:
        """Our end of the pseudo-terminal, for select(2) and termios(3); it does not block."""
        return self._master.fileno()

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._master.closed

    @property
    def unread(self) -> bytes:
        """The output that was received and neither matched nor read; it stays."""
        return bytes(self._unread)

    def expect(self, pattern: Looked, timeout: float | None = None, *, window: int | None = WINDOW) -> Match:
        """Wait for this in the output, and take the output up to its end.

        Args:
            pattern: bytes or text, literally; a compiled regex of bytes; or `EOF`.
            timeout: How many seconds to wait; 0: only look at what is there.
            window: How many bytes a match of a regex may be long; one that is longer may be missed. With
                None any, and the cost is quadratic in the output.

        Raises:
            TimedOutError: It did not come; all output is still there.
            WouldBlockError: The same, with `timeout=0`.
            PeerGoneError: The program's output is at its end, without it; all is still there.
            LimitError: More output than `max_unread` has come, without it; all is still there.
        """
        return self._expect(Search((pattern,), window), timeout)

    def expect_any(
        self, patterns: Sequence[Looked], timeout: float | None = None, *, window: int | None = WINDOW
    ) -> Match:
        """Wait for the one that is complete first; of those that end together, the one that begins first.

        Args:
            patterns: As for `expect`; with `EOF` and `TIMEOUT` among them, these are matches, not errors:
                that of EOF takes all output, that of TIMEOUT none.
            timeout: See `expect`.
            window: See `expect`.

        Raises:
            IPCError: See `expect`.
        """
        if isinstance(patterns, (bytes, str)):
            raise TypeError(f"a list of patterns, not {patterns!r}")
        if not patterns:
            raise ValueError("there are no patterns")
        return self._expect(Search(patterns, window), timeout)

    def _expect(self, search: Search, timeout: float | None) -> Match:
        deadline = _deadline.by(timeout)
        match = search.look(self._unread) if self._unread else None
        while match is None:
            came = self._receive(deadline)
            if came > 0:
                match = search.look(self._unread)
                if match is None and monotonic_ns() >= deadline > 0:
                    came = -ETIMEDOUT
            if came == 0:
                return self._at_end(search)
            if came < 0:
                return self._too_late(search, timeout)
        return self._take(match)

    def _take(self, match: Match) -> Match:
        """Cut the output off after the match: copy what is less, so that many matches cost as one."""
        with self._lock:
            output, end = self._unread, match._end
            if 2 * end >= len(output):
                self._unread = output[end:]
            else:
                match._text = bytes(output[:end])
                del output[:end]
        return match

    def _at_end(self, search: Search) -> Match:
        if search.on_end < 0:
            raise error(EPIPE, f"wait for {search} from {self._who}, {self._tail()}")
        end = len(self._unread)
        return self._take(Match(search.on_end, self._unread, end, end))

    def _too_late(self, search: Search, timeout: float | None) -> Match:
        if search.on_timeout < 0:
            raise error(late(timeout), f"wait for {search} from {self._who}, {self._tail()}")
        text = self.unread
        return Match(search.on_timeout, text, len(text), len(text))

    def _tail(self) -> str:
        if not self._unread:
            return "which has written nothing new"
        return f"which has written, at last: {bytes(self._unread[-_SHOWN:])!r}"

    @property
    def _who(self) -> str:
        return f"process {self._child.pid} ({self._name})"

    def _receive(self, deadline: int) -> int:
        """Read what is there, waiting for some: how much it was; 0 at the end, or -ETIMEDOUT."""
        if len(self._unread) >= self._max_unread:
            doing = f"read from {self._who}, {self._tail()}"
            raise limit_error(ENOBUFS, doing, "max_unread", self._max_unread, None)
        came = -EAGAIN
        while came == -EAGAIN:
            # Mostly nothing is there yet, and to be told so by a read costs as much as the wait.
            if deadline > 0 and not (self._soon and ops.pty_look(self._master._number, deadline)):
                result = self._sleep(deadline)
                if result < 0:
                    return result
            came = self._read_once()
            if came == -EAGAIN:
                if deadline == 0:
                    return -ETIMEDOUT
                self._soon = False  # another thread has read it
        if came < 0:
            raise self._master._error(came, "read from")
        # To search seldom is cheaper, and a regex finds more; but what has come is not held back for long.
        more = came
        while more > _SMALL and came < _GATHERED:
            more = self._read_once()
            came += max(more, 0)
        return came

    def _sleep(self, deadline: int) -> int:
        began = monotonic_ns()
        result = self._master.wait_for(ops.READABLE, deadline)
        self._soon = monotonic_ns() - began < _SOON_NS
        return result

    def _read_once(self) -> int:
        """Read what is there: how much, 0 at the end, or -errno."""
        with self._lock:  # who types reads, too, when the program must get on
            data = ops.now_pty_read(self._master)
            if isinstance(data, int):
                return data
            self._unread += data
            if self.log_received is not None:
                log(self.log_received, data)
        return len(data)

    def read(self, size: int = -1, timeout: float | None = None) -> bytes:
        """So many bytes of output, or less at its end; without a size, all until its end.

        Raises:
            TimedOutError: They did not come; all output is still there.
            WouldBlockError: The same, with `timeout=0`.
            LimitError: See `expect`.
        """
        deadline = _deadline.by(timeout)
        while size < 0 or len(self._unread) < size:
            came = self._receive(deadline)
            if came == 0:
                break
            if came < 0 or (monotonic_ns() >= deadline > 0 and not 0 <= size <= len(self._unread)):
                raise error(late(timeout), f"read from {self._who}, {self._tail()}")
        return self._cut(len(self._unread) if size < 0 else size)

    def read_available(self, timeout: float | None = None) -> bytes:
        """The output that is there, waiting until some is; nothing at its end.

        Raises:
            TimedOutError: None came.
            WouldBlockError: The same, with `timeout=0`.
        """
        deadline = _deadline.by(timeout)
        if len(self._unread) < self._max_unread:
            came = self._receive(0 if self._unread else deadline)
            if came < 0 and not self._unread:
                raise error(late(timeout), f"read from {self._who}")
        return self._cut(len(self._unread))

    def read_line(self, timeout: float | None = None) -> bytes:
        r"""The next line of output, with its "\r\n"; at the end what is left, and then nothing.

        Raises:
            TimedOutError: It is not complete yet; all output is still there.
            WouldBlockError: The same, with `timeout=0`.
            LimitError: See `expect`.
        """
        match = self.expect_any((b"\n", EOF), timeout)
        return match.before + match.match

    def lines(self, timeout: float | None = None) -> Iterator[bytes]:
        """All lines until the end of the output, each within this timeout; see `read_line`."""
        while line := self.read_line(timeout):
            yield line

    def __iter__(self) -> Iterator[bytes]:
        return self.lines()

    def _cut(self, size: int) -> bytes:
        with self._lock:
            data = bytes(self._unread[:size])
            del self._unread[:size]
        return data


def late(timeout: float | None) -> int:
    """What it is when the time is over."""
    return EAGAIN if timeout == 0 else ETIMEDOUT


def log(file: Any, data: bytes) -> None:
    """Write this to a log, at once."""
    file.write(data)
    file.flush()
