"""What a program will read, and what it has written: both of bounded size."""

from __future__ import annotations

from errno import EFBIG, EPIPE

from ..errors import error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Union

    Data = Union[str, bytes, bytearray, memoryview]

MOST_PENDING = 1 << 20
MOST_LINE = 1 << 20


def encoded(data: Data) -> memoryview:
    """Text as UTF-8; bytes as they are, of whatever kind, without a copy."""
    view = memoryview(data.encode() if isinstance(data, str) else data)
    return view if view.format == "B" and view.contiguous else view.cast("B")


class Feed:
    """What is to be written: what was given to it, and then what an iterable brings, as it is needed."""

    __slots__ = ("_more", "_parts", "ended", "size")

    def __init__(self, more: Iterable[Data] | None, ended: bool) -> None:
        self._parts: list[memoryview] = []
        self._more: Iterator[Data] | None = None if more is None else iter(more)
        self.ended = ended  # nothing will be added to it
        self.size = 0

    def add(self, data: Data) -> None:
        """Write this, too. What it is must not change until then."""
        if self.ended:
            raise error(EPIPE, "write to a program whose input has ended")
        view = encoded(data)
        if view:
            self._parts.append(view)
            self.size += len(view)

    def next(self) -> memoryview | None:
        """What to write now; None if nothing is there."""
        while not self._parts and self._more is not None:
            try:
                view = encoded(next(self._more))
            except StopIteration:
                self._more = None
                break
            if view:
                self._parts.append(view)
                self.size += len(view)
        return self._parts[0] if self._parts else None

    @property
    def done(self) -> bool:
        """Whether there is nothing left, and will be nothing."""
        return self.ended and not self._parts and self._more is None

    def written(self, count: int) -> None:
        """So much of it went."""
        self.size -= count
        rest = self._parts[0][count:]
        if rest:
            self._parts[0] = rest
        else:
            del self._parts[0]

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
    """What a program wrote and nobody has taken yet."""

    __slots__ = ("_data", "_looked", "ended")

    def __init__(self) -> None:
        self._data = bytearray()
        self._looked = 0  # up to here there is no end of a line
        self.ended = False

    def __len__(self) -> int:
        return len(self._data)

    def add(self, data: bytes) -> None:
        """It wrote this."""
        self._data += data

    def take(self, size: int) -> bytes:
        """So many bytes of it, or all."""
        taken = bytes(memoryview(self._data)[:size])
        del self._data[:size]
        self._looked = 0
        return taken

    def take_line(self) -> bytes | None:
        r"""A line with its \n, or what stands after the last one at the end; None if more must come first.

        Raises:
            LimitError: There is no end of the line within `MOST_LINE` bytes.
        """
        end = self._data.find(b"\n", self._looked)
        if end >= 0:
            return self.take(end + 1)
        self._looked = len(self._data)
        if self._looked >= MOST_LINE:
            raise limit_error(EFBIG, "read a line of a program", "MOST_LINE", MOST_LINE, None)
        return self.take(self._looked) if self.ended else None
