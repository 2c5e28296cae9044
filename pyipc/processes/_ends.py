"""Our ends of a program's pipes, served together by one thread."""

from __future__ import annotations

import os
from errno import EINTR, EPIPE, ETIMEDOUT
from select import POLLIN, POLLNVAL, POLLOUT, poll
from time import monotonic_ns

from .._backend import ops
from .._descriptor import Handle
from ._feed import Feed, Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SLICE_NS = 10**9  # after which a wait looks whether it was closed


def each(calls: Iterable[Callable[[], object]]) -> None:
    """All of these, whatever some of them raise; the first that was raised is raised at the end."""
    first = None
    for call in calls:
        try:
            call()
        except BaseException as problem:  # a signal handler's, too
            first = first or problem
    try:
        if first is not None:
            raise first
    finally:
        first = None  # else it has this frame, which has it: what it holds would stay open


class Ends:
    """What we write to a program, and what it writes to us.

    Attributes:
        into: Where its input goes; None if that is not ours, closed at its end.
        feed: What goes there.
        outs: By name, where its output comes from, as long as it may come.
        outputs: By name, what came.
        refused: Whether the program has closed its input, or ended, before it had all.
    """

    __slots__ = ("feed", "into", "outputs", "outs", "refused")

    def __init__(self, into: Handle | None, feed: Feed, outs: dict[str, Handle]) -> None:
        self.into = into
        self.feed = feed
        self.outs = outs
        self.refused = False
        self.outputs = {name: Output() for name in outs}
        for handle in (into, *outs.values()):
            if handle is not None:
                os.set_blocking(handle.fileno(), False)  # of our end alone

    def close(self) -> None:
        """Let go of all, and of what was to be written or read."""
        each([self.close_input, *(handle.close for handle in self.outs.values())])
        for output in self.outputs.values():
            output.drop()

    def close_input(self) -> None:
        """It has read its last."""
        into = self.into
        if into is not None:
            into.close()
            self.into = None  # not before: a signal handler may raise
        self.feed.drop()

    def turn(self, deadline: int, most: dict[str, int]) -> int:
        """Write or read some; wait until that can be done, but not past the deadline.

        Args:
            deadline: Until when.
            most: By name, how much output may lie here before no more of it is read.

        Returns:
            How many ends it has served: 0 if there is nothing to do. Or `-errno` of the wait.
        """
        chunk = self._next_chunk()
        reading = [name for name in self.outs if len(self.outputs[name]) < most.get(name, 0)]
        if chunk is None and len(reading) == 1:
            return self._read_only(reading[0], deadline)
        if chunk is not None and not reading:
            return self._write_only(deadline)
        if chunk is None:
            return self._poll(None, reading, deadline) if reading else 0
        return self._poll(chunk, reading, deadline)

    def _next_chunk(self) -> memoryview | None:
        """What to write now. At the end of it, the program is told."""
        if self.into is None:
            return None
        chunk = self.feed.next()
        if chunk is None and self.feed.done:
            self.close_input()
        return chunk

    def _read_only(self, name: str, deadline: int) -> int:
        if self._read(name):
            return 1
        result = ops.fd_wait(self.outs[name].fileno(), ops.READABLE, deadline)
        return result if result < 0 else int(self._read(name)) or -EINTR

    def _write_only(self, deadline: int) -> int:
        assert self.into is not None
        if self._write():
            return 1
        result = ops.fd_wait(self.into.fileno(), ops.WRITABLE, deadline)
        return result if result < 0 else int(self._write()) or -EINTR

    def _poll(self, chunk: memoryview | None, reading: Iterable[str], deadline: int) -> int:
        poller, names = poll(), {}
        for name in reading:
            if self.outputs[name].came:  # a handler has raised before it was kept
                return int(self._read(name))
            number = self.outs[name].fileno()
            names[number] = name
            poller.register(number, POLLIN)
        if chunk is not None and self.into is not None:
            poller.register(self.into.fileno(), POLLOUT)
        left = max(0, deadline - monotonic_ns())
        found = poller.poll(min(left, _SLICE_NS) / 1e6)
        if not found:
            return -ETIMEDOUT if left <= _SLICE_NS else -EINTR
        served = 0
        for number, event in found:
            if event & POLLNVAL:  # closed by another thread
                return -EINTR
            if number in names:
                served += self._read(names[number])
            elif chunk is not None:
                served += self._write()
        return served or -EINTR

    def _read(self, name: str) -> bool:
        try:
            self.outputs[name].read(self.outs[name].fileno())
        except BlockingIOError:
            return False
        if self.outputs[name].ended:
            self.outs.pop(name).close()
        return True

    def _write(self) -> bool:
        assert self.into is not None
        try:
            self.feed.write(self.into.fileno())
        except BlockingIOError:
            return False
        except BrokenPipeError as problem:
            if problem.errno != EPIPE:  # a signal handler's
                raise
            self.refused = True
            self.close_input()
        return True
