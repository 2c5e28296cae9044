"""`pyipc ls`: every IPC object of this machine in one table."""

from __future__ import annotations

import json

from .objects import everything
from .objects.found import IDLE, IN_USE, ORPHAN
from .table import GREEN, RED, YELLOW, age, printable, show, size, user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from .objects import Found

KINDS = (
    *("sysv shm", "sysv sem", "sysv msg", "posix shm", "posix sem", "posix mq"),
    *("memfd", "channel", "unix socket", "fifo"),
)
_HEAD = ("KIND", "ID", "KEY", "OWNER", "MODE", "SIZE", "COUNT", "WAIT", "HOLDERS", "AGE", "STATE")
_RIGHT = (5, 6, 7, 9)
_CUT = 1
COLOURS = {IN_USE: GREEN, IDLE: YELLOW, ORPHAN: RED}
_MOST_HOLDERS = 3


def add_arguments(parser: ArgumentParser) -> None:
    """What it can be told."""
    parser.description = (
        "List System V and POSIX shared memory, semaphores and message queues, memfds, channels, Unix "
        "sockets and FIFOs: whose they are, who has them, and whether anybody still does. What other users' "
        "processes hold, only root sees."
    )
    parser.add_argument("--json", action="store_true", help="print a JSON array instead of a table")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only these; may be said again")
    parser.add_argument(
        "--orphans", action="store_true", help="only what nobody has, and nobody will come for"
    )


def run(arguments: Namespace) -> int:
    """Print them."""
    chosen = [
        found
        for found in everything()
        if (not arguments.kind or found.kind in arguments.kind)
        and (not arguments.orphans or found.verdict == ORPHAN)
    ]
    if arguments.json:
        print(json.dumps([found.as_dict() for found in chosen], indent=1))
    else:
        print_table(chosen)
    return 0


def print_table(objects: Sequence[Found]) -> None:
    """For people."""
    show(
        _HEAD,
        [_row(found) for found in objects],
        right=_RIGHT,
        cut=_CUT,
        colours=[COLOURS[found.verdict] for found in objects],
    )


def _row(found: Found) -> tuple[str, ...]:
    return (
        found.kind,
        printable(found.id),
        "" if found.key is None else f"{found.key:#x}" if found.key else "private",
        user(found.uid),
        "" if found.mode is None else f"{found.mode:03o}",
        size(found.size),
        "" if found.count is None else str(found.count),
        "" if found.waiters is None else str(found.waiters),
        _holders(found.holders),
        age(found.age),
        found.verdict,
    )


def _holders(pids: Sequence[int]) -> str:
    more = len(pids) - _MOST_HOLDERS
    return " ".join(map(str, pids[:_MOST_HOLDERS])) + (f" +{more}" if more > 0 else "")
