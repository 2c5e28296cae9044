"""`pyipc ls`: every IPC object of this machine in one table."""

from __future__ import annotations

import json

from .objects import everything
from .objects.found import IDLE, IN_USE, ORPHAN
from .table import DIM, GREEN, RED, YELLOW, age, paint, printable, room, show, size, user

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
_SPARE = tuple(
    _HEAD.index(name) for name in ("MODE", "WAIT", "COUNT", "OWNER", "HOLDERS", "KEY", "SIZE", "AGE")
)
_WHOLE = 24
COLOURS = {IN_USE: GREEN, IDLE: YELLOW, ORPHAN: RED}
_NARROW, _FEW_HOLDERS, _MOST_HOLDERS = 100, 1, 3


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
        if room() is not None:
            print(paint(summary(chosen), DIM))
    return 0


def print_table(objects: Sequence[Found], whole: int = _WHOLE) -> None:
    """For people; names of up to *whole* characters are cut only if there is nothing else to leave out."""
    most = _FEW_HOLDERS if (room() or _NARROW) < _NARROW else _MOST_HOLDERS
    show(
        _HEAD,
        [_row(found, most) for found in objects],
        right=_RIGHT,
        cut=_CUT,
        whole=whole,
        spare=_SPARE,
        colours=[COLOURS[found.verdict] for found in objects],
    )


def summary(objects: Sequence[Found]) -> str:
    """All of them in one line."""
    counts = {one: sum(found.verdict == one for found in objects) for one in COLOURS}
    states = ", ".join(f"{count} {one}" for one, count in counts.items())
    total = size(sum(found.size or 0 for found in objects))
    return f"{len(objects)} object{'' if len(objects) == 1 else 's'} of {total} bytes: {states}"


def _row(found: Found, most: int) -> tuple[str, ...]:
    return (
        found.kind,
        printable(found.id),
        "" if found.key is None else f"{found.key:#x}" if found.key else "private",
        user(found.uid),
        "" if found.mode is None else f"{found.mode:03o}",
        size(found.size),
        "" if found.count is None else str(found.count),
        "" if found.waiters is None else str(found.waiters),
        _holders(found.holders, most),
        age(found.age),
        found.verdict,
    )


def _holders(pids: Sequence[int], most: int) -> str:
    more = len(pids) - most
    return " ".join(map(str, pids[:most])) + (f" +{more}" if more > 0 else "")
