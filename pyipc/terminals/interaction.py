"""A program given to whoever sits at our own terminal."""

from __future__ import annotations

import os
import signal
from errno import EAGAIN, EIO
from select import POLLIN, POLLOUT, poll
from threading import current_thread, main_thread

from .._backend import ops
from .pairs import attributes_of, is_terminal, raw, set_attributes, size_of
from .patterns import to_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn, Optional

    from .terminal import Terminal

    Filter = Optional[Callable[[bytes], bytes]]

_AT_ONCE = 1024  # bytes of input
_LOOK_MS = 1000  # how often a thread that gets no signals looks at the size

# What ends a process that does nothing about it; it would leave its terminal in raw mode.
_DEADLY = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)


class _DeadlySignal(BaseException):
    """One has come."""


class Interaction:
    """One call of `Terminal.interact`."""

    def __init__(
        self, terminal: Terminal, input: int, output: int, input_filter: Filter, output_filter: Filter
    ) -> None:
        self._terminal = terminal
        self._input = input
        self._output = output
        self._input_filter = input_filter
        self._output_filter = output_filter
        self._typed = b""  # what the program has no room for yet
        self._ended = False  # the input
        self._sized = next(filter(is_terminal, (input, output)), -1)
        self._size: tuple[int, int] | None = None

    def run(self, escape: bytes | str | None) -> bool:
        """Copy both ways, until *escape* is typed (true) or the program has gone (false)."""
        key = None if escape is None else to_bytes(escape)
        if key is not None and len(key) != 1:
            raise ValueError(f"escape is one byte or None, not {escape!r}")
        with _Handlers(self._pass_size):
            if not is_terminal(self._input):
                return self._copy(key)
            before = attributes_of(self._input)
            try:
                set_attributes(self._input, raw(before))
                return self._copy(key)
            finally:
                set_attributes(self._input, before)

    def _copy(self, escape: bytes | None) -> bool:
        number = self._terminal.fileno()
        self._show(self._terminal._cut(len(self._terminal._unread)))
        while True:
            self._pass_size()
            ready = self._poll(number)
            if number in ready:
                came = self._terminal._receive(0)
                self._show(self._terminal._cut(len(self._terminal._unread)))
                if came == 0:
                    return False
            if self._input in ready and self._read(escape):
                self._type()
                return True
            self._type()

    def _poll(self, number: int) -> dict[int, int]:
        poller = poll()
        poller.register(number, POLLIN | (POLLOUT if self._typed else 0))
        if not self._typed and not self._ended:
            poller.register(self._input, POLLIN)
        return dict(poller.poll(_LOOK_MS))

    def _read(self, escape: bytes | None) -> bool:
        """Take what is typed; true of *escape*, after which nothing counts."""
        try:
            data = os.read(self._input, _AT_ONCE)
        except OSError as problem:
            if problem.errno == EAGAIN:
                return False
            if problem.errno != EIO:  # our terminal has been hung up
                raise
            data = b""
        if not data:
            self._ended = True
            self._typed = self._terminal._master.end_character
            return False
        if self._input_filter is not None:
            data = bytes(self._input_filter(data))
        self._typed, found, _ = data.partition(escape) if escape else (data, b"", b"")
        return bool(found)

    def _type(self) -> None:
        if self._typed:
            put = ops.now_pty_write(self._terminal._master, self._typed)
            if put > 0:  # that nobody is there any more, the next read says
                self._terminal._log_sent(self._typed[:put])
                self._typed = self._typed[put:]

    def _show(self, data: bytes) -> None:
        if self._output_filter is not None and data:
            data = self._output_filter(data)
        while data:
            try:
                data = data[os.write(self._output, data) :]
            except BlockingIOError:  # somebody has made it so
                poller = poll()
                poller.register(self._output, POLLOUT)
                poller.poll()

    def _pass_size(self) -> None:
        if self._sized >= 0:
            size = size_of(self._sized)
            if size != self._size and size != (0, 0):  # one that nobody has set
                self._terminal.size = self._size = size


class _Handlers:
    """Signal handlers while our terminal is in raw mode: for its size, and for what would end us."""

    def __init__(self, pass_size: Callable[[], None]) -> None:
        self._pass_size = pass_size
        self._before: list[tuple[int, Any]] = []
        self._deadly = 0

    def __enter__(self) -> None:
        if current_thread() is not main_thread():
            return
        if signal.getsignal(signal.SIGWINCH) is not None:  # of one set in C, we could not put it back
            self._handle(signal.SIGWINCH, lambda number, frame: self._pass_size())
        for number in _DEADLY:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._handle(number, self._end)

    def _handle(self, number: int, handler: Callable[[int, FrameType | None], object]) -> None:
        self._before.append((number, signal.getsignal(number)))
        signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> NoReturn:
        self._deadly = number
        raise _DeadlySignal

    def __exit__(self, *problem: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)
        if self._deadly:
            signal.raise_signal(self._deadly)
