"""Programs that run, and our ends of their pipes."""

from __future__ import annotations

from _signal import SIGPIPE
from errno import EAGAIN, EBADF, EPIPE, EREMOTEIO, ETIMEDOUT

from .. import _deadline
from .._waiters import Waited
from ..errors import IPCError, ProgramFailedError, error
from ._ends import each
from ._feed import MOST_PENDING, encoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import TypeVar

    from .._exit import Exit
    from .._spawn import Child
    from ._ends import Ends
    from ._feed import Data, Output
    from .command import Command

    Self = TypeVar("Self", bound="Running")

_ENOUGH = {"out": MOST_PENDING, "err": MOST_PENDING}
_PAST = 0  # a deadline that has passed: look, do not wait


class Running(Waited):
    """The programs of one pipeline, which run: what its block begins, and its end ends.

    Leaving the block without an exception closes their input, waits until all of them have ended, and raises
    `ProgramFailedError` unless they ended well. An exception in it kills them, with their process groups.
    Either way they are reaped.

    One thread at a time reads, writes or waits; others may meanwhile `kill()`, or `close()`, which ends that.

    Attributes:
        children: A handle on each, in the order of the pipeline.
    """

    __slots__ = ("__weakref__", "_closed", "_commands", "_ends", "_waiting", "children")

    def __init__(self, commands: Sequence[Command], children: list[Child], ends: Ends) -> None:
        self._waiting: list[int] = []
        self._closed = False
        self._commands = commands
        self._ends = ends
        self.children = children

    @property
    def closed(self) -> bool:
        """Whether it has ended, and was reaped."""
        return self._closed

    # ---- the end ----

    def kill(self) -> None:
        """SIGKILL them all, and their process groups."""
        for child in self.children:
            child.kill()

    def wait(self, timeout: float | None = None) -> tuple[Exit, ...]:
        """Close their input and wait until all have ended; what they still write is thrown away.

        Returns:
            How each of them ended, whatever it was.

        Raises:
            TimedOutError: Some of them still run.
        """
        deadline = _deadline.by(timeout)
        was_closed = self._closed
        if self._ends.into is not None:
            if self._ends.feed.next() is None:
                self._ends.close_input()
            self._ends.feed.ended = True
        while self._ends.into is not None or self._ends.outs:
            self._turn(deadline, _ENOUGH, "wait for")
            for output in self._ends.outputs.values():
                output.take(len(output))
        exits = self._reap(deadline)
        if self._closed and not was_closed:  # which has killed them, in another thread
            raise error(EBADF, f"wait for {self}")
        return exits

    def _reap(self, deadline: int) -> tuple[Exit, ...]:
        # The first last: as long as it is not reaped, the group's number is theirs.
        exits = [child.wait_until(deadline) for child in reversed(self.children)]
        return tuple(reversed(exits))

    def finish(self, timeout: float | None = None) -> tuple[Exit, ...]:
        """As `wait()`, and let go of everything.

        Raises:
            ProgramFailedError: One of them ended otherwise than its `ok` says. That those before the last
                were killed by SIGPIPE, since the next had enough, is no failure.
            TimedOutError: Some of them still run.
        """
        exits = self.wait(timeout)
        self.close()
        check_ends(self._commands, exits)
        return exits

    def close(self) -> None:
        """Let go of everything; kill and reap those that still run."""
        self._closed = True
        # All are killed first: none is to see another's end, or ours, and complain of it.
        killing, reaping = (
            (child.end for child in self.children),
            (child.close for child in reversed(self.children)),
        )
        each([*killing, self._ends.close, *reaping, self._wake_waiters])

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self._closed:
                self._leave()
        finally:
            self.close()

    def _leave(self) -> None:
        self.finish()

    def __repr__(self) -> str:
        return (
            f"<{' | '.join(command.name for command in self._commands)}{' closed' if self._closed else ''}>"
        )

    # ---- input ----

    def _turn(self, deadline: int, most: dict[str, int], doing: str) -> bool:
        """Serve them once: False if there is nothing to do."""
        if deadline == _PAST:
            result = self._ends.turn(_PAST, most)
            result = -EAGAIN if result == -ETIMEDOUT else result
        else:
            result = self._wait_until(lambda until: self._ends.turn(until, most), deadline, doing)
        if result < 0:
            raise error(EBADF if self._closed else -result, f"{doing} {self}")
        return result > 0

    def _send(self, data: Data, timeout: float | None) -> None:
        deadline = _deadline.by(timeout)
        view = encoded(data)
        size = len(view)
        feed = self._ends.feed
        if self._closed or self._ends.into is None or feed.ended:
            raise error(EBADF if self._closed else EPIPE, f"write to {self}")
        try:
            feed.add(view)
            while feed.size:
                if self._is_full():  # then it may read nothing until we do, who are here
                    if self._ends.turn(_PAST, {}) == -ETIMEDOUT:
                        raise error(EAGAIN, f"write to {self}, whose output nobody reads")
                elif not self._turn(deadline, _ENOUGH, "write to"):
                    break
        except BaseException as problem:  # a signal handler's, too: what has not gone will not go later
            if isinstance(problem, IPCError):
                problem.characters_written = size - feed.size
            feed.forget()
            raise
        if self._closed or self._ends.refused:
            raise error(EBADF if self._closed else EPIPE, f"write to {self}")

    def _is_full(self) -> bool:
        """Whether so much of what it wrote lies here that no more is read."""
        return any(len(self._ends.outputs[name]) >= MOST_PENDING for name in self._ends.outs)


def check_ends(commands: Sequence[Command], exits: tuple[Exit, ...]) -> None:
    """Raise `ProgramFailedError` unless all have ended well; see `Running.finish()`."""
    last = len(exits) - 1
    bad = [
        f"{command.name!r} {how}"
        for place, (command, how) in enumerate(zip(commands, exits))
        if how.status not in command.ok and (how.signal != SIGPIPE or place == last)
    ]
    if bad:
        problem = ProgramFailedError(EREMOTEIO, "; ".join(bad))
        problem.exits = exits
        raise problem


class Writer(Running):
    """What a program reads: `with Command("lpr").writer() as w: w.write(...)`."""

    __slots__ = ()

    def write(self, data: Data, timeout: float | None = None) -> None:
        """Give it all of this to read; text as UTF-8.

        Raises:
            PeerGoneError: It reads no more, or has ended.
            TimedOutError: It did not read all of it in time; `characters_written` says how much.
        """
        self._send(data, timeout)

    def write_line(self, text: Data, timeout: float | None = None) -> None:
        """The same, and the end of a line."""
        self._send(bytes(encoded(text)) + b"\n", timeout)


class Reader(Running):
    """What a program writes: `for line in reader`.

    At the end of it, leaving the block waits for the program, and raises unless it ended well. Before, it
    kills it: nobody wants the rest.
    """

    __slots__ = ()

    def read(self, size: int | None = None, timeout: float | None = None) -> bytes:
        """So many bytes, fewer only at the end of its output; all until then, if *size* is None.

        Raises:
            TimedOutError: They did not come in time. Those that did come are there for the next call.
        """
        if size is not None and size < 0:
            raise ValueError(f"a size is None or at least 0, not {size}")
        deadline = _deadline.by(timeout)
        output = self._ends.outputs["out"]
        most = {"out": 1 << 62 if size is None else size}
        while not output.ended and (size is None or len(output) < size):
            self._turn(deadline, most, "read from")
        self._refuse_closed()
        return output.take(len(output) if size is None else size)

    def read_available(self, timeout: float | None = None) -> bytes:
        """What there is, at least a byte; b"" at the end of its output."""
        deadline = _deadline.by(timeout)
        output = self._ends.outputs["out"]
        while not output and not output.ended:
            self._turn(deadline, _ENOUGH, "read from")
        self._refuse_closed()
        return output.take(len(output))

    def read_line(self, timeout: float | None = None) -> bytes:
        r"""A line with its \n; b"" at the end of its output.

        Raises:
            TimedOutError: No whole line came in time. What did come is there for the next call.
            LimitError: A line of more than a MiB.
        """
        output = self._ends.outputs["out"]
        line = output.take_line()
        if line is None:
            deadline = _deadline.by(timeout)
            while line is None:
                self._turn(deadline, _ENOUGH, "read from")
                line = output.take_line()
        self._refuse_closed()
        return line

    def __iter__(self) -> Iterator[bytes]:
        # A loop that is broken off leaves the lines that it has not seen where they are.
        output = self._ends.outputs["out"]
        while True:
            lines = output.take_lines()
            self._refuse_closed()
            if lines is not None:
                for line in lines:  # noqa: UP028 ("yield from" would close them with the loop)
                    yield line
            elif output.ended:
                return
            else:
                self._turn(_deadline.FOREVER, _ENOUGH, "read from")

    def _refuse_closed(self) -> None:
        if self._closed:
            raise error(EBADF, f"read from {self}")

    def _leave(self) -> None:
        if not self._ends.outs:  # it has written its last
            self.finish()


class Duplex(Writer, Reader):
    """What a program reads and writes, in turns (open2 of perlipc).

    Programs keep what they write to a pipe until they have a few KiB of it, unless they are told otherwise
    (`cat -u`, `sed -u`, `stdbuf -oL`); on a terminal they do not: `pyipc.terminals`.
    """

    __slots__ = ()

    def close_input(self) -> None:
        """Tell it that no more will come; its output can still be read."""
        self._ends.close_input()

    def send(self, data: Data, timeout: float | None = None) -> None:
        """As `write()`; its output is taken in meanwhile, up to a MiB.

        Raises:
            WouldBlockError: It reads no more until somebody reads its output.
        """
        self._send(data, timeout)

    send_line = Writer.write_line

    def _leave(self) -> None:
        self.finish()


class Streams(Running):
    """What a program reads, writes, and says of errors, all at once (open3 of perlipc)."""

    __slots__ = ("_begun",)

    def __init__(self, commands: Sequence[Command], children: list[Child], ends: Ends) -> None:
        super().__init__(commands, children, ends)
        self._begun = False

    def write(self, data: Data) -> None:
        """Let it read this, as soon as it does: what does not go at once goes while its output is read.

        Raises:
            WouldBlockError: With this, more than a MiB would wait to be read by it: none of it will. For more
                than that at a time, `streams(input)`.
            PeerGoneError: It reads no more, or has ended.
        """
        feed = self._ends.feed
        if self._closed or self._ends.into is None:
            raise error(EBADF if self._closed else EPIPE, f"write to {self}")
        while feed.size and self._ends.turn(_PAST, {}) > 0:
            pass
        view = encoded(data)
        if feed.size + len(view) > MOST_PENDING:
            raise error(EAGAIN, f"write {len(view)} bytes to {self}, which has not read {feed.size}")
        feed.add(bytes(view))
        while feed.size and self._ends.turn(_PAST, {}) > 0:
            pass
        if self._ends.refused:
            raise error(EPIPE, f"write to {self}")

    def close_input(self) -> None:
        """Tell it that no more will come, after what was written."""
        self._ends.feed.ended = True
        if self._ends.feed.next() is None:
            self._ends.close_input()

    def lines(
        self, timeout: float | None = None, *, total: float | None = None
    ) -> Iterator[tuple[str, bytes]]:
        r"""Each line that it writes, with its \n, as ("out", line) or ("err", line), as they come.

        Args:
            timeout: How long to wait for each.
            total: How long for all of them.

        Raises:
            TimedOutError: That has passed.
            LimitError: A line of more than a MiB.
        """
        _deadline.valid(timeout)
        return self._each(lambda output: output.take_lines() or (), timeout, _deadline.by(total))

    def chunks(
        self, timeout: float | None = None, *, total: float | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """The same, whatever comes at a time, up to 64 KiB."""
        _deadline.valid(timeout)
        return self._each(
            lambda output: iter(lambda: output.take(1 << 16), b""), timeout, _deadline.by(total)
        )

    def _each(
        self, taking: Callable[[Output], Iterable[bytes]], timeout: float | None, end: int
    ) -> Iterator[tuple[str, bytes]]:
        self._begun = True
        outputs = self._ends.outputs
        while True:
            for name, output in outputs.items():
                for taken in taking(output):
                    yield name, taken
            if not self._ends.outs:
                return
            self._turn(min(end, _deadline.by(timeout)), _ENOUGH, "read from")

    def _leave(self) -> None:
        if not self._begun or not self._ends.outs:
            self.finish()
