"""Tables for people: aligned, cut to the terminal, coloured where that is welcome."""

from __future__ import annotations

import os
import sys
from shutil import get_terminal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"

_LEAST = 8  # columns for what is cut


def room() -> int | None:
    """How many columns the terminal has that we print on; None if it is none."""
    return get_terminal_size().columns if sys.stdout.isatty() else None


def _is_colourful() -> bool:
    """Whether colour is welcome where we print (no-color.org)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in (None, "", "dumb")
    return wanted and sys.stdout.isatty()


def paint(text: str, colour: str) -> str:
    """The text in that colour, if colour is welcome."""
    return f"\033[{colour}m{text}\033[0m" if colour and _is_colourful() else text


def show(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int],
    cut: int,
    whole: int,
    spare: Sequence[int],
    colours: Sequence[str],
) -> None:
    """Print a table. On a terminal, columns without a text are left out, and each row is one line.

    Args:
        head: The names of its columns.
        rows: Their texts.
        right: Which columns are numbers.
        cut: Which column is cut at last, on a terminal that is too narrow.
        whole: How wide that one stays while there is a column to spare.
        spare: Those, the first to be left out first.
        colours: The colour of each row's last column.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    kept, gap = list(range(len(head))), 2
    columns = room()
    if columns is not None:
        if rows:
            kept = [place for place in kept if any(row[place] for row in rows)]
        missing = _total(widths, kept, gap) - columns
        if missing > 0:
            gap = 1
        least = min(widths[cut], whole)
        for place in spare:
            if _total(widths, kept, gap) - widths[cut] + least <= columns:
                break
            kept = [one for one in kept if one != place]
        missing = max(0, _total(widths, kept, gap) - columns)
        widths[cut] = max(min(_LEAST, widths[cut]), widths[cut] - missing)
    between = " " * gap
    print(paint(between.join(_cells(head, kept, widths, right)).rstrip(), BOLD))
    for row, colour in zip(rows, colours):
        *cells, last = _cells(row, kept, widths, right)
        print(between.join([*cells, paint(last.rstrip(), colour)]))


def _total(widths: Sequence[int], kept: Sequence[int], gap: int) -> int:
    return sum(widths[place] for place in kept) + gap * (len(kept) - 1)


def _cells(
    texts: Sequence[str], kept: Sequence[int], widths: Sequence[int], right: Sequence[int]
) -> list[str]:
    return [cell(texts[place], widths[place], place in right) for place in kept]


def cell(text: str, width: int, right: bool) -> str:
    """A text at one side of so many columns; if there are too few of them, its beginning and its end."""
    if len(text) > width:
        end = (width - 1) // 2
        text = f"{text[: width - 1 - end]}…{text[len(text) - end :]}"
    return text.rjust(width) if right else text.ljust(width)


def size(number: int | None) -> str:
    """Bytes, as people say it: 4.0K, 1.5M."""
    if number is None:
        return ""
    value, unit = float(number), ""
    for unit in ("", "K", "M", "G", "T"):
        if value < 1000:
            break
        if unit != "T":
            value /= 1024
    return f"{number}" if not unit else f"{value:.1f}{unit}"


def age(seconds: int | None) -> str:
    """A time that has passed: 42s, 7m, 3h, 12d."""
    if seconds is None:
        return ""
    for most, unit, per in ((120, "s", 1), (7200, "m", 60), (172800, "h", 3600)):
        if seconds < most:
            return f"{seconds // per}{unit}"
    return f"{seconds // 86400}d"


def user(uid: int | None) -> str:
    """The name of a user, or its number."""
    if uid is None:
        return ""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def printable(text: Any) -> str:
    """A name that cannot move the cursor, or be no text at all."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in _text(text))


def _text(value: Any) -> str:
    return os.fsencode(value).decode("utf-8", "backslashreplace") if isinstance(value, str) else str(value)
