"""A program on a pseudo-terminal: type, read, wait for what it says."""

from __future__ import annotations

import os
from errno import EAGAIN, ENOSPC, EPIPE, ETIMEDOUT
from time import monotonic_ns

from .. import _deadline, _spawn
from .._backend import ops
from .._wait import wait
from ..errors import check, error, limit_error
from .pairs import open_pair
from .patterns import EOF, WINDOW, Match, Search, to_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Any, Callable

    from .._exit import Exit
    from .pairs import Master
    from .patterns import Looked

#: How much output is kept unread, in bytes, unless `max_unread` says something else.
MAX_UNREAD = 1 << 26

_GATHERED = 1 << 16  # bytes that are read before they are searched, if they are there
_SMALL = 1024  # after so few bytes at once, no more is there
_LONGEST_LINE = 4095  # N_TTY_BUF_SIZE - 1; MAX_CANON says 255, and no kernel of ours has that
_SHOWN = 200  # bytes of output in a message
_TO_HANG_UP = 1.0  # seconds
_TO_DIE = 10.0


def spawn(
    *argv: str | bytes | os.PathLike[Any],
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    size: tuple[int, int] = (24, 80),
    echo: bool = True,
    max_unread: int = MAX_UNREAD,
) -> Terminal:
    """Run a program on a pseudo-terminal of its own, in a session of its own, without a shell.

    Args:
        argv: The program, looked for in PATH, and its arguments.
        env: Its whole environment; that of this process, if None.
        cwd: Where it starts.
        size: Rows and columns of the terminal.
        echo: Whether what is typed is shown, as on every terminal; the program may change that.
        max_unread: How many bytes of its output are kept until they are matched or read.

    Raises:
        NotFoundError: There is no such program.
        AccessError: It may not be run.
        LimitError: kernel.pty.max, RLIMIT_NOFILE, RLIMIT_NPROC.
    """
    if max_unread < 1:
        raise ValueError(f"max_unread is at least 1 byte, not {max_unread}")
    master, peer = open_pair()
    try:
        with peer:
            master.size = size
            if not echo:
                master.echo = False
            number = peer.fileno()
            child = _spawn.spawn(
                [os.fspath(word) for word in argv],
                env=env,
                directory=cwd,
                descriptors={0: number, 1: number, 2: number},
                new_session=True,
                own_terminal=True,
            )
    except BaseException:  # a signal handler's too
        master.close()
        raise
    return Terminal(master, child, os.fsdecode(argv[0]), max_unread)


class Terminal:
    """A program on a pseudo-terminal, and its output that nobody has taken yet.

    It is made by `spawn`. `with` ends the program, if it has not ended: it is hung up, and if that
    does not help, killed. What is typed can be text, which goes as UTF-8, or bytes; output is bytes, as it
    came: a terminal turns the newlines that a program writes into "\\r\\n".

    One thread at a time reads; another may type meanwhile.

    Attributes:
        log_received: A binary file to which all output is written as it is read; or None.
        log_sent: The same for all that is typed.
    """

    def __init__(self, master: Master, child: Any, name: str, max_unread: int) -> None:
        self._master = master
        self._child = child
        self._name = name
        self._max_unread = max_unread
        self._unread = bytearray()
        self.log_received: Any = None
        self.log_sent: Any = None

    # ---- the program ----

    @property
    def pid(self) -> int:
        """The program's pid, which is also that of its session and its first process group."""
        pid: int = self._child.pid
        return pid

    def wait(self, timeout: float | None = None) -> Exit:
        """Wait until the program has ended, and say how; its output is read meanwhile, and kept.

        Raises:
            WouldBlockError: With `timeout=0`: it is running.
            TimedOutError: It did not end in time.
            LimitError: There is more output than `max_unread`.
        """
        deadline = _deadline.by(timeout)
        while True:
            came = self._receive(0)
            if not wait([self._child], 0):
                self._sleep_until_it_ends(came, deadline, timeout)
                continue
            while self._receive(0) > 0:  # what it wrote last
                pass
            end: Exit = self._child.wait(0)
            return end

    def _sleep_until_it_ends(self, came: int, deadline: int, timeout: float | None) -> None:
        if came > 0:
            left = 0.0
        else:
            left = _deadline.left(deadline)
        if left <= 0 and monotonic_ns() >= deadline:
            raise error(EAGAIN if timeout == 0 else ETIMEDOUT, f"wait for the end of {self._who}")
        # At the end of its output, the terminal would always be ready.
        wait([self._child] if came == 0 else [self._child, self._master], max(0, min(left, 1e6)))

    def is_alive(self) -> bool:
        """Whether the program is running."""
        return not self._child.closed and not wait([self._child], 0)

    def kill(self, signal: int) -> None:
        """Send the program a signal; see `send_control` for what goes to all that is in the foreground.

        Raises:
            ProcessGoneError: It has ended, and was waited for.
        """
        self._child.send(signal)

    # ---- typing ----

    def send(self, text: bytes | str, timeout: float | None = None) -> None:
        """Type this. While the program does not read and the terminal is full, its output is read and kept.

        Raises:
            PeerGoneError: Nobody has the terminal open any more.
            TimedOutError: It was not taken in time; `characters_written` says how much was.
            WouldBlockError: The same, with `timeout=0`.
            LimitError: A line is longer than the 4095 bytes that a terminal hands over as a line, and the
                rest would be lost (nothing was typed); or there is more output than `max_unread`.
        """
        data = to_bytes(text)
        if len(data) > _LONGEST_LINE:
            self._refuse_long_lines(data)
        deadline = _deadline.by(timeout)
        put = ops.now_pty_write(self._master, data)
        if put != len(data):
            self._send_rest(data, put, deadline, timeout)
        if self.log_sent is not None:
            _log(self.log_sent, data)

    def _send_rest(self, data: bytes, put: int, deadline: int, timeout: float | None) -> None:
        sent = 0
        try:
            while True:
                if put > 0:
                    sent += put
                elif put != -EAGAIN:
                    raise self._master._error(put, "type on")
                if sent == len(data):
                    return
                # It may be waiting for us to read.
                if self._receive(0) < 1:
                    result = self._master.wait_for(ops.READABLE | ops.WRITABLE, deadline)
                    if result == -ETIMEDOUT:
                        raise error(EAGAIN if timeout == 0 else ETIMEDOUT, f"type on the terminal of {self._who}")
                    check(result, f"wait for {self._master}")
                put = ops.now_pty_write(self._master, data[sent : sent + _GATHERED])
        except OSError as problem:
            problem.characters_written = sent
            raise

    def _refuse_long_lines(self, data: bytes) -> None:
        longest = max(map(len, data.split(b"\n")))
        if longest > _LONGEST_LINE and self._master.by_lines:
            doing = f"type a line of {longest} bytes on the terminal of {self._who}"
            raise limit_error(ENOSPC, doing, "of a line", _LONGEST_LINE, None)

    def send_line(self, text: bytes | str = b"", timeout: float | None = None) -> None:
        """Type this and a newline; see `send`."""
        self.send(to_bytes(text) + b"\n", timeout)

    def send_control(self, key: str, timeout: float | None = None) -> None:
        """Type a key with the control key: a letter, or one of `@[\\]^_?`.

        To a terminal that is not in raw mode, "c" sends SIGINT, "z" SIGTSTP, "\\\\" SIGQUIT to all processes
        in the foreground.
        """
        upper = key.upper()
        if len(upper) != 1 or not "?" <= upper <= "_":
            raise ValueError(f"a letter or one of @[\\]^_?, not {key!r}")
        self.send(bytes([ord(upper) ^ 64]), timeout)

    def send_eof(self, timeout: float | None = None) -> None:
        """Type the character for end of file: the program's read ends, if it is at the beginning of a line.

        After part of a line it hands that over; then a second one is the end.
        """
        self.send(self._master.end_character, timeout)

    # ---- reading ----

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
                if match is None and monotonic_ns() >= deadline:
                    came = -ETIMEDOUT
            if came == 0:
                return self._at_end(search)
            if came < 0:
                return self._too_late(search, came, timeout)
        return self._take(match)

    def _take(self, match: Match) -> Match:
        """Cut the output off after the match: copy what is less, so that many matches cost no more than one."""
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

    def _too_late(self, search: Search, result: int, timeout: float | None) -> Match:
        if result != -ETIMEDOUT:
            raise self._master._error(result, "read from")
        if search.on_timeout < 0:
            number = EAGAIN if timeout == 0 else ETIMEDOUT
            raise error(number, f"wait for {search} from {self._who}, {self._tail()}")
        text = self.unread
        return Match(search.on_timeout, text, len(text), len(text))

    def _tail(self) -> str:
        if not self._unread:
            return "which has written nothing new"
        return f"which has written, at last: {bytes(self._unread[-_SHOWN:])!r}"

    @property
    def _who(self) -> str:
        return f"process {self.pid} ({self._name})"

    def _receive(self, deadline: int) -> int:
        """Read what is there, waiting for some: how much it was; 0 at the end, or -ETIMEDOUT."""
        if len(self._unread) >= self._max_unread:
            doing = f"read from {self._who}, {self._tail()}"
            raise limit_error(ENOSPC, doing, "max_unread", self._max_unread, None)
        data = ops.now_pty_read(self._master)
        while data == -EAGAIN:
            if deadline == 0:
                return -ETIMEDOUT
            result = self._master.wait_for(ops.READABLE, deadline)
            if result < 0:
                return result
            data = ops.now_pty_read(self._master)
        if isinstance(data, int):
            raise self._master._error(data, "read from")
        self._keep(data)
        came = len(data)
        # To search seldom is cheaper, and a regex finds more; but what has come is not held back for long.
        while len(data) > _SMALL and came < _GATHERED:
            data = ops.now_pty_read(self._master)
            if isinstance(data, int):
                break
            self._keep(data)
            came += len(data)
        return came

    def _keep(self, data: bytes) -> None:
        self._unread += data
        if self.log_received is not None:
            _log(self.log_received, data)

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
                size = len(self._unread)
            elif came < 0 or monotonic_ns() >= deadline > 0:
                if 0 <= size <= len(self._unread):
                    break
                number = EAGAIN if timeout == 0 else ETIMEDOUT
                raise error(number, f"read from {self._who}, {self._tail()}")
        return self._cut(size)

    def read_available(self, timeout: float | None = None) -> bytes:
        """The output that is there, waiting until some is; nothing at its end.

        Raises:
            TimedOutError: None came.
            WouldBlockError: The same, with `timeout=0`.
        """
        deadline = _deadline.by(timeout)
        if not self._unread or ops.fd_wait(self._master.fileno(), ops.READABLE, 0) == 0:
            came = self._receive(0 if self._unread else deadline)
            if came < 0 and not self._unread:
                number = EAGAIN if timeout == 0 else ETIMEDOUT
                raise error(number, f"read from {self._who}")
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
        with memoryview(self._unread) as output:
            data = bytes(output[:size])
        del self._unread[:size]
        return data

    # ---- the terminal ----

    def fileno(self) -> int:
        """Our end of the pseudo-terminal, for select(2) and termios(3); it does not block."""
        return self._master.fileno()

    @property
    def echo(self) -> bool:
        """Whether the terminal shows what is typed. To set it races with a program that sets it too."""
        return self._master.echo

    @echo.setter
    def echo(self, on: bool) -> None:
        self._master.echo = on

    def wait_for_echo(self, on: bool, timeout: float | None = None) -> None:
        """Wait until the program has switched echo on or off, as it does to ask for a password.

        Output is read meanwhile, and kept. Nothing in Linux tells of the change, so this looks: at once, when
        output comes, and every 20 microseconds to 10 milliseconds.

        Raises:
            PeerGoneError: Nobody has the terminal open any more.
            TimedOutError: It did not.
            WouldBlockError: The same, with `timeout=0`.
        """
        deadline = _deadline.by(timeout)
        nap = 0.0
        while self._master.echo != on:
            came = self._receive(0)
            if came == 0:
                raise error(EPIPE, f"wait for echo from {self._who}")
            if monotonic_ns() >= deadline:
                number = EAGAIN if timeout == 0 else ETIMEDOUT
                raise error(number, f"wait for echo to go {'on' if on else 'off'}: {self._who}, {self._tail()}")
            nap = 0.0 if came > 0 else _deadline.nap(nap, deadline)

    def set_raw(self) -> None:
        """Let every byte through both ways as it is: no echo, no lines, no signals, no "\\r"."""
        self._master.set_raw()

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns; to set them sends SIGWINCH to what is in the foreground."""
        return self._master.size

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._master.size = size

    def interact(
        self,
        *,
        escape: bytes | str | None = b"\x1d",
        input: int = 0,
        output: int = 1,
        input_filter: Callable[[bytes], bytes] | None = None,
        output_filter: Callable[[bytes], bytes] | None = None,
    ) -> bool:
        """Give the program to whoever sits at our own terminal, until they type *escape* or it ends.

        Our terminal is in raw mode meanwhile, and as it was before afterwards, whatever happens. Its changes of
        size are passed on. Output that was not read yet is shown first. At the end of *input*, which need be no
        terminal, end of file is typed.

        Args:
            escape: One byte, by default control-]; None: there is none.
            input: The descriptor that is read.
            output: The descriptor that is written.
            input_filter: Called with what was read, gives what is typed.
            output_filter: Called with output, gives what is shown.

        Returns:
            Whether it was *escape*; if not, nobody has the terminal open any more.
        """
        from .interaction import Interaction

        return Interaction(self, input, output, input_filter, output_filter).run(escape)

    # ---- the end ----

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._master.closed

    def close(self, patience: float = _TO_HANG_UP) -> None:
        """Hang up, as when a window is closed, and wait for the program's end; closing again does nothing.

        The kernel sends SIGHUP to the program, and to what is in the foreground. What has not ended *patience*
        seconds later is killed: the program, its process group, and the one in the foreground. Other process
        groups of its session, which are in the background, and those that have left it, live on.

        Raises:
            TimedOutError: It could not even be killed within ten seconds.
        """
        _deadline.valid(patience)
        if self._child.closed:
            return
        groups = self._groups()
        self._master.close()
        try:
            if groups and not wait([self._child], patience):
                self._kill(groups)
            self._child.wait(_TO_DIE)
        finally:
            self._child.close()

    def _groups(self) -> list[int]:
        """The process groups that end with the program: nobody else's can have their numbers while it runs."""
        if self._master.closed or not self.is_alive():
            return []
        pid, foreground = self.pid, self._master.foreground
        return [pid, foreground] if foreground not in (0, pid) else [pid]

    def _kill(self, groups: list[int]) -> None:
        for group in groups:
            if _is_of_session(group, self.pid):
                _kill_group(group)
        self._child.send(9)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<terminal {'closed' if self.closed else self.fileno()} of {self._name}>"


def _is_of_session(group: int, session: int) -> bool:
    """Whether this number is still that of a group that we know; where its first process is gone, it is."""
    try:
        return os.getsid(group) == session
    except ProcessLookupError:
        return True


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, 9)
    except ProcessLookupError:
        pass
    except PermissionError:  # it has become somebody else: a setuid program
        pass


def _log(file: Any, data: bytes) -> None:
    file.write(data)
    file.flush()
