"""`pyipc doctor`: what on this machine will stand in the way, and how to mend it."""

from __future__ import annotations

import json
from textwrap import wrap

from .checks import all_checks
from .table import BOLD, DIM, GREEN, RED, YELLOW, paint, room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

_COLOURS = {"ok": GREEN, "note": DIM, "warning": YELLOW, "problem": RED}
_INDENT = " " * 10
_LEAST = 30


def add_arguments(parser: ArgumentParser) -> None:
    """What it can be told."""
    parser.description = (
        "Look at limits, mounts, permissions, the container and the backend. Exit status: 0 if all is well, "
        "1 if there are problems."
    )
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    parser.add_argument("--quiet", "-q", action="store_true", help="only warnings and problems")


def run(arguments: Namespace) -> int:
    """Look, and tell."""
    findings = [one for one in all_checks() if not arguments.quiet or one.status in ("warning", "problem")]
    if arguments.json:
        print(json.dumps([one.as_dict() for one in findings], indent=1))
    else:
        for one in findings:
            mark = paint(one.status.ljust(len(_INDENT)), _COLOURS[one.status])
            print(mark + _wrapped(one.what, BOLD, one.found))
            if one.mend:
                print(_INDENT + _wrapped("mend", DIM, one.mend))
    return int(any(one.status == "problem" for one in findings))


def _wrapped(name: str, style: str, text: str) -> str:
    """In lines that fit the terminal, each under the first one's beginning."""
    columns = room()
    if columns is None:
        return f"{name}: {text}"
    lines = wrap(f"{name}: {text}", max(columns - len(_INDENT), _LEAST), break_on_hyphens=False)
    return paint(name, style) + f"\n{_INDENT}".join(lines)[len(name) :]
