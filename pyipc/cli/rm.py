"""`pyipc rm`: remove IPC objects, by id or name, or those that were left behind."""

from __future__ import annotations

import json
import sys

from ..errors import IPCError
from .ls import KINDS, print_table
from .objects import everything
from .objects.found import IN_USE, ORPHAN
from .table import DIM, paint, room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from .objects import Found

_FAILED, _USAGE = 1, 2


def add_arguments(parser: ArgumentParser) -> None:
    """What it can be told."""
    parser.description = (
        "Remove objects. What is to go is shown before; what is in use is left alone unless forced. "
        "Exit status: 0 if all was removed, 1 if something was not or is not there, 2 for wrong arguments."
    )
    parser.add_argument("id", nargs="*", help="an id, name or path, as `pyipc ls` shows it")
    parser.add_argument("--orphans", action="store_true", help="all that `pyipc ls` calls an orphan")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only these; may be said again")
    parser.add_argument("--force", action="store_true", help="also what is in use")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", "-n", action="store_true", help="only show what would be removed")
    parser.add_argument("--json", action="store_true", help="print a JSON array of what became of each")


def run(arguments: Namespace) -> int:
    """Remove them."""
    if bool(arguments.id) == arguments.orphans:
        print("pyipc rm: either ids, or --orphans", file=sys.stderr)
        return _USAGE
    chosen, missing = _chosen(arguments)
    for name in missing:
        print(f"pyipc rm: there is no {name}", file=sys.stderr)
    going = [found for found in chosen if _may_go(found, arguments.force)]
    kept = [found for found in chosen if not _may_go(found, arguments.force)]
    for found in kept:
        print(f"pyipc rm: {found.kind} {found.id} stays: {_why(found)}", file=sys.stderr)
    if not arguments.json and going:
        print_table(going, whole=sys.maxsize)
    elif arguments.orphans:
        _tell(arguments, "there is no orphan that can be removed")
    if going and not (arguments.yes or arguments.dry_run or arguments.json) and not _agreed(len(going)):
        return _FAILED
    if going and not arguments.dry_run:  # whoever was asked may have taken minutes
        used = _taken_up(going, arguments.force)
        for found in used:
            print(f"pyipc rm: {found.kind} {found.id} stays: {_why(found)}", file=sys.stderr)
        going = [found for found in going if found not in used]
        kept += used
    done = [_removed(found, arguments.dry_run) for found in going]
    if done and not arguments.dry_run:
        _tell(arguments, f"removed {sum(not one['problem'] for one in done)} of {len(done)}")
    if arguments.json:
        print(json.dumps([*done, *(_said(found, _why(found)) for found in kept)], indent=1))
    return _FAILED if missing or kept or any(one["problem"] for one in done) else 0


def _chosen(arguments: Namespace) -> tuple[list[Found], list[str]]:
    of_kind = [found for found in everything() if not arguments.kind or found.kind in arguments.kind]
    if arguments.orphans:
        return [found for found in of_kind if found.verdict == ORPHAN and found.remove is not None], []
    chosen: list[Found] = []
    missing = []
    for name in arguments.id:
        named = [found for found in of_kind if str(found.id) == name]
        if len(named) > 1:
            kinds = ", ".join(found.kind for found in named)
            missing.append(f"one {name}: say --kind, of {kinds}")
        elif not named:
            missing.append(name)
        else:
            chosen += named
    return chosen, missing


def _may_go(found: Found, force: bool) -> bool:
    return found.remove is not None and (force or found.verdict != IN_USE)


def _taken_up(going: list[Found], force: bool) -> list[Found]:
    """Those that were not in use, and are by now."""
    now = {(found.kind, found.id): found.verdict for found in everything()}
    return [found for found in going if not force and now.get((found.kind, found.id)) == IN_USE]


def _why(found: Found) -> str:
    if found.remove is None:
        return "it goes with the last process that has it"
    return f"it is in use by {' '.join(map(str, found.holders)) or 'somebody'} (--force)"


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        print("pyipc rm: nobody to ask; say --yes", file=sys.stderr)
        return False
    answer = input(f"Remove {'it' if count == 1 else f'these {count}'}? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _tell(arguments: Namespace, text: str) -> None:
    """Who sits there; a pipe has no need of it."""
    if not arguments.json and room() is not None:
        print(paint(text, DIM))


def _removed(found: Found, dry: bool) -> dict[str, Any]:
    problem = None
    if not dry:
        assert found.remove is not None  # else it would not be here
        try:
            found.remove()
        except IPCError as one:
            problem = str(one)
            print(f"pyipc rm: {found.kind} {found.id}: {problem}", file=sys.stderr)
    return _said(found, problem)


def _said(found: Found, problem: str | None) -> dict[str, Any]:
    return {"kind": found.kind, "id": found.id, "problem": problem}
