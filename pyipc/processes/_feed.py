"""What a program will read, and what it has written: both of bounded size."""

from __future__ import annotations

import os
from errno import EFBIG, EPIPE
from io import BytesIO
from itertools import islice, repeat

from ..errors import error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Union

    Data = Union[str, bytes, bytearray, memoryview]

CHUNK = 65536  # what a pipe holds, unless it was told otherwise
MOST_PENDING = 1 << 20
MOST_LINE = 1 << 20

_OF_LINES = ("_lines", "_size", "_data", "_looked")


def encoded(data: Data) -> memoryview:
    """Text as UTF-8; bytes as they are, of whatever kind, without a copy."""
    view = memoryview(data.encode() if isinstance(data, str) else data)
    return view.cast("B") if view.nbytes else memoryview(b"")  # which cannot cast what has no bytes


class Feed:
    """What is to be written: what was given to it, and then what an iterable brings, as it is needed."""

    __slots__ = ("_more", "_parts", "ended", "size")

    def __init__(self, more: Iterable[Data] | None, ended: bool) -> None:
        # Each with what was written of it, once it is looked at: both or neither, whatever handlers raise.
        self._parts: list[tuple[memoryview, list[int]] | Data] = []
        self._more: Iterator[Data] | None = None if more is None else iter(more)
        self.ended = ended  # nothing will be added to it
        self.size = 0  # of what was added

    def add(self, data: Data) -> None:
        """Write this, too. What it is must not change until then."""
        if self.ended:
            raise error(EPIPE, "write to a program whose input has ended")
        view = encoded(data)
        if view:
            self.size += len(view)
            self._parts.append((view, []))

    def next(self) -> memoryview | None:
        """What to write now; None if nothing is there."""
        while True:
            self._settle()
            if not self._parts and self._more is not None:
                self._parts.extend(islice(self._more, 1))  # one step: nothing is taken from there and lost
                if not self._parts:
                    self._more = None
            if not self._parts:
                return None
            part = self._parts[0]
            if isinstance(part, tuple):
                return part[0]
            view = encoded(part)
            self._parts[:1] = [(view, [])] if view else []

    @property
    def done(self) -> bool:
        """Whether there is nothing left, and will be nothing."""
        return self.ended and not self._parts and self._more is None

    def write(self, number: int) -> None:
        """Write some of what `next()` gave, to this descriptor."""
        part = self._parts[0]
        assert isinstance(part, tuple)
        part[1].extend(map(os.write, (number,), part[:1]))  # one step: it went, and that is known
        self._settle()

    def _settle(self) -> None:
        part = self._parts[0] if self._parts else None
        if isinstance(part, tuple) and part[1]:
            count = part[1][0]
            rest = part[0][count:]
            self.size = max(0, self.size - count)
            self._parts[:1] = [(rest, [])] if rest else []

    def forget(self) -> None:
        """What was given to it will not be written."""
        self._parts.clear()
        self.size = 0

    def drop(self) -> None:
        """Nobody will read it."""
        more, self._more = self._more, None
        self._parts.clear()
        self.size, self.ended = 0, True
        close = getattr(more, "close", None)
        if close is not None:  # a generator
            close()


class Output:
    """What a program wrote and nobody has taken yet: whole lines, handed out by C, and what came since."""

    __slots__ = ("_data", "_lines", "_looked", "_size", "came", "ended")

    def __init__(self) -> None:
        self.came: list[bytes] = []  # what was read, and is not in the data yet
        self._lines = BytesIO()
        self._size = 0  # of the lines
        self._data: bytes | bytearray = b""
        self._looked = 0  # up to here there is no end of a line
        self.ended = False

    def __len__(self) -> int:
        return self._size - self._lines.tell() + len(self._data)

    def read(self, number: int) -> None:
        """Read some of it from this descriptor."""
        if not self.came:
            self.came.extend(map(os.read, (number,), (CHUNK,)))  # one step: it left the pipe, and is here
        self.keep()

    def keep(self) -> None:
        """What came belongs to it."""
        # It goes from there to here in one step, else it might come twice: CPython 3.9 runs signal handlers
        # between any two instructions, later ones at calls and backward jumps alone.
        if not self.came[0]:
            self.ended = True
            del self.came[0]
        elif not self._data:  # as it is: most is taken before more comes
            any(map(_set_data, (self,), map(self.came.pop, (0,))))
        else:
            if not isinstance(self._data, bytearray):
                self._data = bytearray(self._data)
            any(map(self._data.extend, map(self.came.pop, (0,))))

    def take(self, size: int) -> bytes:
        """So many bytes of it, or all."""
        taken, data = self._lines.read(size), self._data
        more = size - len(taken)
        if more >= len(data):
            self._data, self._looked = b"", 0
            return taken + bytes(data)
        if more:
            if not isinstance(data, bytearray):  # of which the rest need not be copied each time
                data = self._data = bytearray(data)
            taken += bytes(memoryview(data)[:more])
            del data[:more]
            self._looked = 0
        return taken

    def take_line(self) -> bytes | None:
        r"""A line with its \n, or what stands after the last one at the end, and then b"".

        None if more must come first.

        Raises:
            LimitError: There is no end of the line within `MOST_LINE` bytes.
        """
        lines = self.take_lines()
        if lines is None:
            return b"" if self.ended else None
        return lines.readline()

    def take_lines(self) -> BytesIO | None:
        """The same, one after the other: who reads a line there takes it. None if there is none."""
        if self._lines.tell() == self._size and not self._find_lines():
            return None
        return self._lines

    def _find_lines(self) -> bool:
        data = self._data
        end = len(data) if self.ended else data.rfind(b"\n", self._looked) + 1
        if not end:
            self._looked = len(data)
            if self._looked >= MOST_LINE:
                raise limit_error(EFBIG, "read a line of a program", "MOST_LINE", MOST_LINE, None)
            return False
        # One step, as above: no signal handler finds a line in both.
        any(map(setattr, repeat(self), _OF_LINES, (BytesIO(data[:end]), end, data[end:], 0)))
        return True

    def drop(self) -> None:
        """Nobody will read it."""
        self._lines.seek(self._size)
        self._data = b""


_set_data: Any = vars(Output)["_data"].__set__
