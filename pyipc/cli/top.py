"""`pyipc top`: the table of `pyipc ls`, live: what is there, what moves, and keys to act on it."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import time
import tty
from shutil import get_terminal_size

from ..errors import IPCError
from .ls import COLOURS, summary
from .objects import everything
from .objects.found import IDLE, IN_USE, ORPHAN
from .table import BOLD, DIM, age, cell, paint, printable, size, user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from .objects import Found

_HELP = "q quit  ↑↓ choose  s sort  r reverse  / filter  o orphans  d remove  p pause"
_MARKS = " ▁▂▃▄▅▆▇█"
_HISTORY = 16
_COLUMNS = (
    ("KIND", 11, False),
    ("ID", 18, False),  # what is left of a wide terminal goes here
    ("OWNER", 8, False),
    ("SIZE", 6, True),
    ("COUNT", 6, True),
    ("DEPTH", _HISTORY, False),
    ("SENT/s", 7, True),
    ("TRAFFIC", _HISTORY, False),
    ("WAIT", 4, True),
    ("HELD", 4, True),
    ("AGE", 4, True),
    ("STATE", 6, False),
)
_ID = 1
_GRAPHS = (5, 7)
_WIDE = 110  # columns; on what is narrower, graphs are half as long
_SPARE = ("WAIT", "OWNER", "AGE", "HELD", "SIZE", "TRAFFIC", "DEPTH", "SENT/s", "COUNT")
_HAS_DEPTH = ("sysv msg", "posix sem", "channel")  # of others, the count is no matter of the moment
_REST = 30  # a look is followed by so many times what it took of a CPU: with the drawing, under 4 % of one
_SORTS = ("kind", "size", "count", "rate", "age", "state")
_SELECTED = "7"  # in reverse
_ENTER, _LEAVE = "\033[?1049h\033[?25l", "\033[?25h\033[?1049l"
_KEY = re.compile(r"\033[\[O][A-D]|.", re.DOTALL)
_ARROWS = {"\033[A": "up", "\033[B": "down", "\033OA": "up", "\033OB": "down"}


def add_arguments(parser: ArgumentParser) -> None:
    """What it can be told."""
    parser.description = f"Watch the IPC objects of this machine. Keys: {_HELP}."
    parser.add_argument(
        "--interval",
        type=float,
        default=1.0,
        help="seconds between two looks (default 1); more where a look would take more than 4 %% of a CPU",
    )


def run(arguments: Namespace) -> int:
    """Watch, until somebody quits."""
    if not 0.05 <= arguments.interval <= 3600:
        print("pyipc top: --interval is 0.05 to 3600 seconds", file=sys.stderr)
        return 2
    if not (
        sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")
    ):
        print("pyipc top: this is for a terminal with a cursor; pyipc ls is for the rest", file=sys.stderr)
        return 2
    before = termios.tcgetattr(sys.stdin)
    sys.stdout.write(_ENTER)
    try:
        tty.setcbreak(sys.stdin)
        Screen(arguments.interval).watch()
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
    return 0


class View:
    """What is shown of what is there: in which order, which of it, and how it has moved.

    Attributes:
        rows: The objects that are shown, in order.
    """

    def __init__(self) -> None:
        self.sort = "kind"
        self.reverse = False
        self.filter = ""
        self.orphans = False
        self.rows: list[Found] = []
        self._all: list[Found] = []
        self._depths: dict[tuple[str, int | str], list[int]] = {}
        self._rates: dict[tuple[str, int | str], list[int]] = {}
        self._moved: dict[tuple[str, int | str], int] = {}
        self._when = 0.0

    def look(self, objects: list[Found], now: float) -> None:
        """Take in what is there now."""
        past, self._when = now - self._when, now
        depths, rates, moved = {}, {}, {}
        for found in objects:
            key = found.kind, found.id
            if found.count is not None and found.kind in _HAS_DEPTH:
                depths[key] = [*self._depths.get(key, ()), found.count][-_HISTORY:]
            if found.moved is not None:
                moved[key] = found.moved
                if key in self._moved and past > 0:
                    rate = round(max(0, found.moved - self._moved[key]) / past)
                    rates[key] = [*self._rates.get(key, ()), rate][-_HISTORY:]
        self._all, self._depths, self._rates, self._moved = objects, depths, rates, moved
        self.arrange()

    def arrange(self) -> None:
        """Choose and sort anew."""
        text = self.filter.lower()
        self.rows = [
            found
            for found in self._all
            if (not self.orphans or found.verdict == ORPHAN)
            and (not text or text in f"{found.kind} {found.id} {user(found.uid)} {found.verdict}".lower())
        ]
        if self.sort != "kind":
            self.rows.sort(key=self._order, reverse=not self.reverse)
        elif self.reverse:
            self.rows.reverse()

    def _order(self, found: Found) -> float:
        value = {
            "size": found.size,
            "count": found.count,
            "rate": self._rates.get((found.kind, found.id), [-1])[-1],
            "age": found.age,
            "state": (IN_USE, IDLE, ORPHAN).index(found.verdict),
        }[self.sort]
        return -1 if value is None else value

    def cells(self, found: Found) -> list[str]:
        """The texts of its row."""
        key = found.kind, found.id
        rates = self._rates.get(key, [])
        return [
            found.kind,
            printable(found.id),
            user(found.uid),
            size(found.size),
            "" if found.count is None else str(found.count),
            graph(self._depths.get(key, [])),
            str(rates[-1]) if rates else "",
            graph(rates),
            "" if found.waiters is None else str(found.waiters),
            str(len(found.holders) or ""),
            age(found.age),
            found.verdict,
        ]


def graph(values: list[int]) -> str:
    """The last values, as high as they are beside the highest."""
    most = max(values, default=0)
    if not most:
        return ""
    steps = len(_MARKS) - 1
    return "".join(_MARKS[-(-value * steps // most)] for value in values)


class Screen:
    """The terminal, and whoever sits at it."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._view = View()
        self._chosen = self._top = 0
        self._paused = self._typing = False
        self._took = 0.0  # seconds of a CPU, the last look
        self._word = ""  # what the last key has done
        self._doomed: Found | None = None

    def watch(self) -> None:
        """Look and draw, until somebody quits."""
        following = 0.0
        while True:
            now = time.monotonic()
            if now >= following:
                following = time.monotonic() + max(self._interval, _REST * self._look(now))
            self._draw()
            ready, _, _ = select.select([sys.stdin], [], [], max(0.0, following - time.monotonic()))
            if ready and not all(map(self._key, self._keys())):
                return

    def _look(self, now: float) -> float:
        """Look, and give what that takes of a CPU: of two looks the lesser, for the first one imports."""
        before, last = time.process_time(), self._took
        if not self._paused:
            self._view.look(everything(), now)
        self._took = time.process_time() - before
        return min(last, self._took)

    # ---- drawing ----

    def _draw(self) -> None:
        columns, lines = get_terminal_size()
        room = max(1, lines - 4)
        rows = self._view.rows
        self._chosen = max(0, min(self._chosen, len(rows) - 1))
        self._top = max(min(self._top, self._chosen), self._chosen - room + 1)
        kept, widths = _layout(columns)
        heads = _row([name for name, _, _ in _COLUMNS], kept, widths)
        out = ["\033[H", self._line(self._summary(), columns), self._line(self._status(), columns, DIM)]
        out.append(self._line(" ".join(heads), columns, BOLD))
        for place in range(self._top, self._top + room):
            if place >= len(rows):
                out.append("\033[K\n")
                continue
            *cells, state = _row(self._view.cells(rows[place]), kept, widths)
            if place == self._chosen:
                out.append(self._line(" ".join([*cells, state]), columns, _SELECTED))
            else:
                out.append(f"{' '.join(cells)} {paint(state, COLOURS[rows[place].verdict])}\033[K\n")
        out.append(self._line(_HELP, columns, DIM).rstrip("\n"))
        sys.stdout.write("".join(out))
        sys.stdout.flush()

    def _line(self, text: str, columns: int, colour: str = "") -> str:
        text = text[:columns]
        # In reverse even where colours are not welcome: nothing else says which one is chosen.
        shown = f"\033[{colour}m{text}\033[0m" if colour == _SELECTED else paint(text, colour)
        return f"{shown}\033[K\n"

    def _summary(self) -> str:
        return f"pyipc top  {time.strftime('%H:%M:%S')}  {summary(self._view.rows)}"

    def _status(self) -> str:
        if self._typing:
            return f"filter: {self._view.filter}▏"
        if self._doomed is not None:
            return f"remove {self._doomed.kind} {printable(self._doomed.id)}? y/n"
        parts = [f"by {self._view.sort}{' reversed' if self._view.reverse else ''}"]
        parts += [f"filter {self._view.filter!r}"] if self._view.filter else []
        parts += ["orphans only"] if self._view.orphans else []
        parts += ["paused"] if self._paused else []
        return "  ".join([*parts, self._word])

    # ---- keys ----

    def _keys(self) -> list[str]:
        """What was typed, each key by itself, however fast that was."""
        return _KEY.findall(os.read(sys.stdin.fileno(), 1024).decode(errors="replace"))

    def _key(self, text: str) -> bool:
        """Do what a key asks for; False to quit."""
        if self._typing:
            self._type(text)
            return True
        key = _ARROWS.get(text, text)
        self._word = ""
        if self._doomed is not None:
            self._remove(key == "y")
            return True
        if key == "q":
            return False
        if key in ("up", "k"):
            self._chosen -= 1
        elif key in ("down", "j"):
            self._chosen += 1
        elif key == "s":
            self._view.sort = _SORTS[(_SORTS.index(self._view.sort) + 1) % len(_SORTS)]
        elif key == "r":
            self._view.reverse = not self._view.reverse
        elif key == "o":
            self._view.orphans = not self._view.orphans
        elif key == "p":
            self._paused = not self._paused
        elif key == "/":
            self._typing = True
        elif key == "d":
            self._doom()
        self._view.arrange()
        return True

    def _type(self, key: str) -> None:
        if key in "\r\n":
            self._typing = False
        elif key in "\b\x7f":
            self._view.filter = self._view.filter[:-1]
        elif key == "\033":
            self._typing, self._view.filter = False, ""
        elif key.isprintable():
            self._view.filter += key
        self._view.arrange()

    def _doom(self) -> None:
        if not self._view.rows:
            return
        found = self._view.rows[self._chosen]
        if found.remove is None:
            self._word = "it goes with the last process that has it"
        elif found.verdict == IN_USE:
            self._word = "it is in use: pyipc rm --force"
        else:
            self._doomed = found

    def _remove(self, agreed: bool) -> None:
        found, self._doomed = self._doomed, None
        assert found is not None
        assert found.remove is not None  # else _doom() had said so
        if not agreed:
            return
        try:
            found.remove()
            self._word = f"removed {found.kind} {printable(found.id)}"
        except IPCError as problem:
            self._word = str(problem)
        self._view.look(everything(), time.monotonic())


def _layout(columns: int) -> tuple[list[int], list[int]]:
    """Which columns a terminal has room for, and how wide each is."""
    kept, widths = list(range(len(_COLUMNS))), [width for _, width, _ in _COLUMNS]
    names = [name for name, _, _ in _COLUMNS]
    if columns < _WIDE:
        for place in _GRAPHS:
            widths[place] //= 2
    for name in _SPARE:
        if sum(widths[place] + 1 for place in kept) - 1 <= columns:
            break
        kept.remove(names.index(name))
    widths[_ID] = max(1, widths[_ID] + columns - sum(widths[place] + 1 for place in kept) + 1)
    return kept, widths


def _row(texts: list[str], kept: list[int], widths: list[int]) -> list[str]:
    for place in _GRAPHS:
        texts[place] = texts[place][-widths[place] :]  # the last values
    return [cell(texts[place], widths[place], _COLUMNS[place][2]) for place in kept]
