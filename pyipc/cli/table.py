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

_GAP = "  "
_LEAST = 8  # columns for what is cut


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
    right: Sequence[int] = (),
    cut: int,
    colours: Sequence[str] = (),
) -> None:
    """Print a table.

    Args:
        head: The names of its columns.
        rows: Their texts.
        right: Which columns are numbers.
        cut: Which column gives way, on a terminal that is too narrow.
        colours: The colour of each row's last column.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    if sys.stdout.isatty():
        most = get_terminal_size().columns
        total = sum(widths) + len(_GAP) * (len(widths) - 1)
        widths[cut] = max(_LEAST, widths[cut] - max(0, total - most))
    print(paint(_line(head, widths, right), BOLD))
    for place, row in enumerate(rows):
        line = _line(row[:-1], widths, right)
        last = row[-1]
        print(f"{line}{_GAP}{paint(last, colours[place]) if colours else last}".rstrip())


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    cells = []
    for place, (text, width) in enumerate(zip(texts, widths)):
        if len(text) > width:
            text = text[: width - 1] + "…"
        cells.append(text.rjust(width) if place in right else text.ljust(width))
    return _GAP.join(cells).rstrip() if len(texts) == len(widths) else _GAP.join(cells)


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
