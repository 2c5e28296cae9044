"""A program on a pseudo-terminal: type, read, wait for what it says."""

from __future__ import annotations

import os
from _thread import RLock
from errno import EAGAIN, EMSGSIZE, EPIPE, ETIMEDOUT
from time import monotonic_ns

from .. import _deadline, _spawn
from .._backend import ops
from .._descriptor import Handle
from .._wait import wait
from ..errors import IPCError, error, limit_error
from .output import MAX_UNREAD, Output, late, log
from .pairs import Master, open_pair
from .patterns import to_bytes
from .session import end_groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any

    from .._exit import Exit
    from .._spawn import Child

_AT_ONCE = 1 << 16  # bytes that are typed, before we look whether there is something to read
_LONGEST_LINE = 4095  # N_TTY_BUF_SIZE - 1; MAX_CANON says 255, and no kernel of ours has that
_PATIENCE = 1.0  # seconds
_LOOK_AGAIN = 1.0


class Terminal(Output):
    r"""A program on a pseudo-terminal, and its output that nobody has taken yet.

    It is made by `spawn`. `with` ends the program, if it has not ended: it is hung up, and if that
    does not help, killed. What is typed can be text, which goes as UTF-8, or bytes; output is bytes, as it
    came: a terminal turns the newlines that a program writes into "\r\n".

    One thread at a time reads; another may type meanwhile.

    Attributes:
        log_received: A binary file to which all output is written as it is read; or None.
        log_sent: The same for all that is typed.
    """

    def __init__(self, master: Master, child: Child, name: str, max_unread: int) -> None:
        super().__init__(master, child, name, max_unread)
        self.log_sent: Any = None
        self._closing = RLock()

    # ---- the program ----

    @property
    def pid(self) -> int:
        """The program's pid, which is also that of its session and its first process group."""
        return self._child.pid

    @property
    def exit(self) -> Exit | None:
        """How the program has ended; None as long as nobody has waited for it."""
        return self._child.exit

    def wait(self, timeout: float | None = None) -> Exit:
        """Wait until the program has ended, and say how; its output is read meanwhile, and kept.

        Raises:
            WouldBlockError: With `timeout=0`: it is running.
            TimedOutError: It did not end in time.
            LimitError: There is more output than `max_unread`.
        """
        deadline = _deadline.by(timeout)
        while (end := self._child.poll()) is None:
            came = self._receive(0)
            left = _deadline.left(deadline)
            if left <= 0:
                raise error(late(timeout), f"wait for the end of {self._who}")
            if came < 0:
                wait([self._child, self._master], left)
            elif came == 0:  # it would always be ready; but the program may open it again
                wait([self._child], min(left, _LOOK_AGAIN))
        return end

    def is_alive(self) -> bool:
        """Whether the program is running."""
        return self._child.poll() is None

    def kill(self, signal: int) -> None:
        """Send the program a signal, if it has not ended; `send_control` reaches all in the foreground."""
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
        data = text if type(text) is bytes else to_bytes(text)
        if len(data) > _LONGEST_LINE:
            self._refuse_long_lines(data)
        if timeout is not None:
            _deadline.valid(timeout)
        put = ops.now_pty_write(self._master, data)
        if put != len(data):
            self._send_rest(data, put, _deadline.by(timeout), timeout)
        self._log_sent(data)

    def _log_sent(self, data: bytes) -> None:
        if self.log_sent is not None:
            log(self.log_sent, data)

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
                came = self._receive(0)
                if came == 0:
                    raise self._master._error(-EPIPE, "type on")
                if came < 0:
                    came = self._master.wait_for(ops.READABLE | ops.WRITABLE, deadline)
                if came == -ETIMEDOUT or monotonic_ns() >= deadline:
                    raise error(late(timeout), f"type on the terminal of {self._who}")
                put = ops.now_pty_write(self._master, data[sent : sent + _AT_ONCE])
        except IPCError as problem:
            problem.characters_written = sent
            raise

    def _refuse_long_lines(self, data: bytes) -> None:
        longest = max(map(len, data.replace(b"\r", b"\n").split(b"\n")))
        if longest > _LONGEST_LINE and self._master.by_lines:
            doing = f"type a line of {longest} bytes on the terminal of {self._who}"
            raise limit_error(EMSGSIZE, doing, "of a line", _LONGEST_LINE, None)

    def send_line(self, text: bytes | str = b"", timeout: float | None = None) -> None:
        """Type this and a newline; see `send`."""
        data = text if type(text) is bytes else to_bytes(text)
        self.send(data + b"\n", timeout)

    def send_control(self, key: str, timeout: float | None = None) -> None:
        r"""Type a key with the control key: a letter, or one of `@[\]^_?`.

        To a terminal that is not in raw mode, "c" sends SIGINT, "z" SIGTSTP, "\" SIGQUIT to all processes
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

    # ---- the terminal ----

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
                doing = f"wait for echo to go {'on' if on else 'off'}"
                raise error(late(timeout), f"{doing}: {self._who}, {self._tail()}")
            nap = 0.0 if came > 0 else _deadline.nap(nap, deadline)

    def set_raw(self) -> None:
        r"""Let every byte through both ways as it is: no echo, no lines, no signals, no "\r"."""
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

        Our terminal is in raw mode meanwhile, and as it was before afterwards, whatever happens. Its changes
        of size are passed on. Output that was not read yet is shown first. At the end of *input*, which need
        be no terminal, end of file is typed.

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

    def close(self, patience: float = _PATIENCE) -> None:
        """Hang up, as when a window is closed, and wait for the program's end; closing again does nothing.

        The kernel sends SIGHUP to the program, and to what is in the foreground. What is left *patience*
        seconds later is killed: the program, its process group, and the one in the foreground. Other process
        groups of its session, which are in the background, and what has left the session, live on. Of a
        program that has ended by itself nothing is killed.
        """
        deadline = _deadline.by(patience)
        if self._child._parent != os.getpid():  # a fork's copy, whose lock may be another thread's for ever
            self._let_go()
            return
        with self._closing:  # another thread that closes it, too, comes when that has been done
            try:
                groups = self._groups()
                self._master.close()
                if groups:
                    wait([self._child], patience)
                    end_groups(groups, self.pid, deadline)
            finally:
                self._let_go()

    def _let_go(self) -> None:
        try:
            self._master.close()
        finally:
            self._child.close()

    def _groups(self) -> set[int]:
        """The process groups that end with the program."""
        if self._master.closed:
            return set()
        return {self.pid, self._master.foreground} if self.is_alive() else set()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<terminal {'closed' if self.closed else self.fileno()} of {self._name}>"


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
    master, peer, child = Master._empty(), Handle._empty(), _spawn.Child.unborn()
    try:
        open_pair(master, peer)
        with peer:
            master.size = size
            if not echo:
                master.echo = False
            number = peer.fileno()
            _spawn.spawn(
                [os.fspath(word) for word in argv],
                env=env,
                directory=cwd,
                descriptors={0: number, 1: number, 2: number},
                new_session=True,
                own_terminal=True,
                child=child,
            )
        return Terminal(master, child, os.fsdecode(argv[0]), max_unread)
    except BaseException:  # a signal handler's too
        master.close()
        child.close()
        raise
