"""The tour on a terminal: plain ASCII, at most 79 columns, colour only where it is welcome."""

from __future__ import annotations

import os
from textwrap import wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from .stage import Outcome, Step

_WIDTH = 79
_INDENT = " " * 3
_WHO = 10  # columns for the name of who does something, or the verdict
_TIME = 12  # columns for the time a step took

_BOLD, _DIM, _RED, _GREEN, _YELLOW = "1", "2", "31", "32", "33"
_VERDICTS = {"ok": ("ok", _GREEN), "skipped": ("skipped", _YELLOW), "failed": ("FAILED", _RED)}


class Terminal:
    """Shows what happens to a person; with no stream to write to, to nobody."""

    def __init__(self, out: TextIO | None) -> None:
        self._out = out
        self._colourful = (
            out is not None
            and out.isatty()
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM") not in (None, "", "dumb")
        )

    def _line(self, text: str = "") -> None:
        if self._out is not None:
            print(text, file=self._out, flush=True)

    def _paint(self, text: str, colour: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self._colourful else text

    def hello(self, about: dict[str, Any]) -> None:
        """Before the first stop: where all this runs."""
        other = "" if about["implementation"] == "cpython" else f" ({about['implementation']})"
        here = f"backend {about['backend']}, Python {about['python']}{other}, Linux {about['kernel']}"
        for line in wrap(f"pyipc {about['pyipc']}, {here}", _WIDTH):
            self._line(line)
        self._line()
        if about["perl"]:
            self._line("python is this process; perl and python 2 are others, started by it.")
        else:
            self._line("python is this process; python 2 is another, started by it.")
            self._line("There is no perl here: python 2 takes its part.")
        self._line("The times include starting them.")
        if about["backend"] == "fallback":
            self._line("The compiled core is not in use: steps that need it are skipped.")

    def arrive(self, title: str) -> None:
        """A stop begins."""
        self._line()
        self._line(self._paint(title, _BOLD))
        self._line(self._paint("=" * len(title), _BOLD))

    def begin(self, number: int, step: Step) -> None:
        """A step begins."""
        self._line()
        self._line(self._paint(f"{number}. {step.name}", _BOLD))
        for line in wrap(step.what, _WIDTH - len(_INDENT)):
            self._line(_INDENT + self._paint(line, _DIM))

    def say(self, who: str, what: str) -> None:
        """Somebody has done something."""
        self._row(who, "", what)

    def end(self, outcome: Outcome) -> None:
        """A step has ended."""
        word, colour = _VERDICTS[outcome.status]
        time = f"{outcome.milliseconds:.1f} ms"
        self._row(word, colour, outcome.reason or outcome.step.proves, time)

    def _row(self, label: str, colour: str, text: str, time: str = "") -> None:
        room = _WIDTH - len(_INDENT) - _WHO - (_TIME if time else 0)
        lines = wrap(text, room) or [""]
        for number, line in enumerate(lines, 1):
            cell = label.ljust(_WHO)
            right = line.ljust(room) + time.rjust(_TIME) if time and number == len(lines) else line
            self._line(_INDENT + (self._paint(cell, colour) if colour else cell) + right)
            label = ""

    def goodbye(self, steps: list[dict[str, Any]]) -> None:
        """After the last stop."""
        counts = {status: sum(step["status"] == status for step in steps) for status in _VERDICTS}
        parts = [
            self._paint(f"{counts[status]} {status}", colour)
            for status, (_, colour) in _VERDICTS.items()
            if counts[status] or status == "ok"
        ]
        total = sum(step["milliseconds"] for step in steps)
        self._line()
        self._line(f"{len(steps)} steps in {total:.0f} ms: {', '.join(parts)}.")
