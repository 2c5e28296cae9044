"""The two ends of a pseudo-terminal, and what one can set there."""

from __future__ import annotations

import termios
from _thread import get_native_id
from errno import EBADF, EINTR, EIO, ENOSPC, ENOTTY, ETIMEDOUT
from fcntl import ioctl

from .._backend import ops
from .._descriptor import Handle, WaitedHandle
from ..errors import check, error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_MOST_PTYS = "/proc/sys/kernel/pty/max"
_LOCAL = 3  # the place of the local modes in what tcgetattr gives; 6 is that of the characters
_CHARACTERS = 6
_SIZE = 8  # of a struct winsize: rows, columns, and the same in pixels, 16 bits each


class Master(WaitedHandle):
    """Our end of a pseudo-terminal; it never blocks."""

    __slots__ = ()
    kind = "terminal"

    def wait_for(self, events: int, deadline: int) -> int:
        """Wait until it is one of these: 0, or -ETIMEDOUT."""
        me = get_native_id()
        try:
            self._waiting.append(me)  # as `_wait_until` does, in a third of the time
            result = ops.fd_wait(self._number, events, deadline)
        finally:
            if me in self._waiting:
                self._waiting.remove(me)
        if result == -EINTR:
            result = self._wait_until(
                lambda until: ops.fd_wait(self._number, events, until), deadline, "wait for"
            )
        if result not in (0, -ETIMEDOUT):
            raise self._error(result, "wait for")
        return result

    def __reduce__(self) -> NoReturn:
        raise TypeError("a terminal stays with the process that spawned the program")

    # The kernel applies what is asked of our end to the other one, where the program is (pty(7)).

    @property
    def echo(self) -> bool:
        """Whether what is typed is shown."""
        return bool(attributes_of(self.fileno())[_LOCAL] & termios.ECHO)

    @echo.setter
    def echo(self, on: bool) -> None:
        attributes = attributes_of(self.fileno())
        flags = attributes[_LOCAL]
        attributes[_LOCAL] = flags | termios.ECHO if on else flags & ~termios.ECHO
        set_attributes(self.fileno(), attributes)

    @property
    def by_lines(self) -> bool:
        """Whether the terminal hands typed text over by whole lines (canonical mode, termios(3))."""
        return bool(attributes_of(self.fileno())[_LOCAL] & termios.ICANON)

    @property
    def end_character(self) -> bytes:
        """What is typed for end of file."""
        character: bytes = attributes_of(self.fileno())[_CHARACTERS][termios.VEOF]
        return character

    def set_raw(self) -> None:
        """Let every byte through both ways as it is (cfmakeraw(3))."""
        set_attributes(self.fileno(), raw(attributes_of(self.fileno())))

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return size_of(self.fileno())

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        rows, columns = size
        if not (0 <= rows < 1 << 16 and 0 <= columns < 1 << 16):
            raise ValueError(f"rows and columns are 0..65535, not {size}")
        size_in_cells = (rows | columns << 16).to_bytes(_SIZE, "little")  # and none in pixels
        _control(self.fileno(), termios.TIOCSWINSZ, size_in_cells, "set the size of")

    @property
    def foreground(self) -> int:
        """The process group in the foreground; 0 if there is none."""
        try:
            return memoryview(_control(self.fileno(), termios.TIOCGPGRP, bytes(4), "look at")).cast("i")[0]
        except OSError as problem:
            if problem.errno in (ENOTTY, EIO):  # nobody's controlling terminal
                return 0
            raise


def open_pair(master: Master, peer: Handle) -> None:
    """Make a new pseudo-terminal: our end of it, and the program's.

    Raises:
        LimitError: kernel.pty.max, or RLIMIT_NOFILE.
    """
    result = ops.pty_open(master)
    if result == -ENOSPC:
        raise limit_error(ENOSPC, "open a pseudo-terminal", "kernel.pty.max", _most_ptys(), _MOST_PTYS)
    check(result, "open a pseudo-terminal (/dev/ptmx)")
    check(ops.pty_peer(peer, master), "open the other end of a pseudo-terminal")


def _most_ptys() -> int | None:
    try:
        with open(_MOST_PTYS) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


# ---- any terminal, by its descriptor ----


def is_terminal(number: int) -> bool:
    """Whether it is one."""
    from os import isatty

    return isatty(number)


def size_of(number: int) -> tuple[int, int]:
    """Rows and columns of this terminal."""
    size = _control(number, termios.TIOCGWINSZ, bytes(_SIZE), "find the size of")
    rows, columns, _, _ = memoryview(size).cast("H")
    return rows, columns


def raw(attributes: list[Any]) -> list[Any]:
    """What cfmakeraw(3) makes of these attributes."""
    incoming, outgoing, control, local, _, _, characters = attributes
    characters = [*characters]
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return [
        incoming
        & ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP)
        & ~(termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON),
        outgoing & ~termios.OPOST,
        control & ~(termios.CSIZE | termios.PARENB) | termios.CS8,
        local & ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN),
        *attributes[4:6],
        characters,
    ]


def attributes_of(number: int) -> list[Any]:
    """tcgetattr(3)."""
    try:
        return termios.tcgetattr(number)
    except termios.error as problem:
        raise error(problem.args[0], f"look at the modes of terminal {number}") from None


def set_attributes(number: int, attributes: list[Any], when: int = termios.TCSANOW) -> None:
    """tcsetattr(3)."""
    try:
        termios.tcsetattr(number, when, attributes)
    except termios.error as problem:
        raise error(problem.args[0], f"set the modes of terminal {number}") from None


def _control(number: int, request: int, argument: bytes, doing: str) -> bytes:
    try:
        return ioctl(number, request, argument)
    except OSError as problem:
        if getattr(problem.__traceback__, "tb_next", None) is not None:  # a signal handler's
            raise
        raise error(problem.errno or EBADF, f"{doing} terminal {number}") from None
