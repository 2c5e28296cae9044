"""What is waited for in a program's output, and how it is found there without looking twice.

Output comes in pieces of whatever length, and a match may lie across them. A literal can only end in
what is new, so the search begins its length before that. A regex cannot be taken up where it stopped:
it is tried again from `window` bytes before what is new, so what it finds is at most that long, for sure;
the cost is one pass over the output, and one over the window for each piece.

Of several, that one counts that is complete first. For literals this does not depend on the pieces; by
where they begin, it would: of "login: failed" and "failed", the first is only found if it comes whole.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from re import Pattern
    from typing import Any, Union

    Looked = Union[bytes, str, Pattern[bytes], "Mark"]

#: How long a match of a regex may be, in bytes, unless `window` says something else.
WINDOW = 4096

_SMALL = 4096


class Mark:
    """What can be waited for beside output: `EOF` and `TIMEOUT`."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


#: The end: nobody has the terminal open any more, or the program has been hung up.
EOF = Mark("EOF")
#: The timeout has passed: a match, and not an error.
TIMEOUT = Mark("TIMEOUT")


class Match:
    """What `expect` has found.

    `match[0]` is what matched; of a regex, `match[1]`, `match["name"]` are its groups.

    Attributes:
        index: Which of the patterns it was.
        groups: The groups of a regex, None for those that took no part; of others ().
    """

    __slots__ = ("_end", "_names", "_start", "_text", "groups", "index")

    def __init__(
        self,
        index: int,
        text: bytes | bytearray,
        start: int,
        end: int,
        groups: tuple[bytes | None, ...] = (),
        names: Any = None,
    ) -> None:
        self.index = index
        self.groups = groups
        self._text = text
        self._start = start
        self._end = end
        self._names = names

    # The text may be megabytes, and nobody wants them: so it is copied when it is asked for.

    @property
    def before(self) -> bytes:
        """The output before it, since the last match."""
        if self._start < _SMALL:
            return bytes(self._text[: self._start])
        with memoryview(self._text) as text:  # of much, one copy and not two
            return bytes(text[: self._start])

    @property
    def match(self) -> bytes:
        """What matched; nothing, of EOF and TIMEOUT."""
        return bytes(self._text[self._start : self._end])

    def __getitem__(self, group: int | str) -> bytes | None:
        """A group by its number or name; 0 is all that matched."""
        number: int = (self._names or {})[group] if isinstance(group, str) else group
        if number < 0:
            raise IndexError("no such group")
        return self.groups[number - 1] if number else self.match

    def __repr__(self) -> str:
        return f"<match {self.index}: {self.match[:100]!r} after {self._start} bytes>"


class Search:
    """One wait: the patterns, and how much of the output they were not found in."""

    __slots__ = ("_literals", "_looked", "_regexes", "_window", "on_end", "on_timeout", "patterns")

    def __init__(self, patterns: Sequence[Looked], window: int | None) -> None:
        self.patterns = patterns
        self.on_end = self.on_timeout = -1
        self._looked = 0
        self._window = window
        self._literals: list[tuple[int, bytes]] = []
        self._regexes: list[tuple[int, Pattern[bytes]]] = []
        for index, pattern in enumerate(patterns):
            if isinstance(pattern, (bytes, str)):
                if not pattern:
                    raise ValueError("an empty pattern is everywhere")
                self._literals.append((index, to_bytes(pattern)))
            elif pattern is EOF:
                self.on_end = index
            elif pattern is TIMEOUT:
                self.on_timeout = index
            else:
                self._regexes.append((index, _regex(pattern)))
        if window is not None and window < 1:
            raise ValueError(f"window is a number of bytes or None, not {window}")

    def look(self, output: bytearray) -> Match | None:
        """Find the one that is complete first, in output of which only the end is new; it is not cut."""
        if not self._regexes and len(self._literals) == 1:  # as is most common
            index, text = self._literals[0]
            start = output.find(text, max(0, self._looked - len(text) + 1))
            self._looked = len(output)
            return None if start < 0 else Match(index, output, start, start + len(text))
        found: tuple[int, int, int] | None = None  # end, start, index
        limit = len(output)
        for index, text in self._literals:
            start = output.find(text, max(0, self._looked - len(text) + 1), limit)
            if start >= 0 and (found is None or (start + len(text), start) < found[:2]):
                limit = start + len(text)
                found = limit, start, index
        groups: tuple[bytes | None, ...] = ()
        names = None
        begin = 0 if self._window is None else max(0, self._looked - self._window)
        for index, regex in self._regexes:
            match = regex.search(output, begin)
            if match and (found is None or (match.end(), match.start()) < found[:2]):
                found = match.end(), match.start(), index
                groups, names = match.groups(), regex.groupindex
        self._looked = len(output)
        return None if found is None else Match(found[2], output, found[1], found[0], groups, names)

    def __str__(self) -> str:
        texts = [repr(getattr(pattern, "pattern", pattern)) for pattern in self.patterns]
        return " or ".join(texts)


def to_bytes(text: bytes | str) -> bytes:
    """Text goes to programs as UTF-8."""
    if isinstance(text, str):
        return text.encode()
    return text if isinstance(text, bytes) else bytes(memoryview(text))


def _regex(pattern: Any) -> Pattern[bytes]:
    text = getattr(pattern, "pattern", None)
    if isinstance(text, str):
        raise TypeError(f"output is bytes, so a regex is re.compile(rb...), not of text: {pattern!r}")
    if text is None:
        raise TypeError(f"a pattern is bytes, str, a compiled regex, EOF or TIMEOUT, not {pattern!r}")
    regex: Pattern[bytes] = pattern
    return regex
