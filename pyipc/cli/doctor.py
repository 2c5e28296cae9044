"""`pyipc doctor`: what on this machine will stand in the way, and how to mend it."""

from __future__ import annotations

import json

from .checks import all_checks
from .table import BOLD, DIM, GREEN, RED, YELLOW, paint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

_COLOURS = {"ok": GREEN, "note": DIM, "warning": YELLOW, "problem": RED}
_INDENT = " " * 10


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
            print(
                paint(one.status.ljust(len(_INDENT)), _COLOURS[one.status])
                + paint(one.what, BOLD)
                + f": {one.found}"
            )
            if one.mend:
                print(_INDENT + paint("mend: ", DIM) + one.mend)
    return int(any(one.status == "problem" for one in findings))
