#!/usr/bin/env python3
"""Measure pyipc beside its peers, in one run, and print Markdown: see README.md."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Optional

import machine
import report
import rounds
from channels import rows as channels
from compat import posix_rows as compat_posix
from compat import rows as compat
from contest import FALLBACK, Row
from fds import rows as fds
from fifos import rows as fifos
from imports import rows as imports
from memory import rows as memory
from posix_objects import rows as posix
from processes import rows as processes
from signals import rows as signals
from sockets import datagrams, servers
from sync import rows as sync
from sync import values as sync_values
from sysv import rows as sysv
from terminals import rows as terminals

CHAPTERS = (
    *(sysv, posix, fds, memory, signals, fifos, processes, servers, datagrams),
    *(sync, sync_values, channels),
    *(compat, compat_posix, terminals, imports),
)

# Set by isolate(): the IPC namespace we came from.
_OUTSIDE = "PYIPC_BENCHMARKS_OUTSIDE"


def isolate() -> None:
    """Start again in an IPC namespace of our own, where root may make one."""
    if _OUTSIDE in os.environ or os.geteuid() != 0 or not shutil.which("unshare"):
        return
    unshare = ["unshare", "--ipc"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0:
        os.environ[_OUTSIDE] = _namespace()
        os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def _namespace() -> str:
    return os.readlink("/proc/self/ns/ipc")


def alone() -> bool:
    return os.environ.get(_OUTSIDE, _namespace()) != _namespace()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="ROW,...", help="rows whose ids begin so")
    parser.add_argument("--rounds", type=int, help="how many count (11, quick 3)")
    parser.add_argument("--seconds", type=float, help="of each measurement (0.15, quick 0.03)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: half a minute")
    parser.add_argument("--fallback", action="store_true", help="measure pyipc's fallback too")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure there")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the tables there, not here")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 11)
    options.seconds = options.seconds or (0.03 if options.quick else 0.15)
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds are above 0")
    return options


def chosen(scratch: Path, only: Optional[str]) -> list[Row]:
    rows = [
        row._replace(chapter=chapter.__name__.partition(".")[0])
        for chapter in CHAPTERS
        for row in chapter.rows(scratch)
    ]
    if only is None:
        return rows
    found = [row for row in rows if row.id.startswith(tuple(only.split(",")))]
    if not found:
        sys.exit(f"no such row; there are: {', '.join(row.id for row in rows)}")
    return found


def take_part(row: Row, fallback: bool) -> Row:
    """The row with those contestants that are here and asked for."""
    asked = [one for one in row.contestants if fallback or one.name != FALLBACK]
    return row._replace(contestants=asked)


def measure(row: Row, options: argparse.Namespace) -> rounds.Measured:
    present = [one for one in row.contestants if not one.missing]
    return rounds.measure(row._replace(contestants=present), options.rounds, options.seconds, alone=alone())


def main() -> int:
    options = arguments()
    isolate()
    begun = time.monotonic()
    facts = machine.describe()
    judged = []
    with tempfile.TemporaryDirectory() as scratch:
        rows = [take_part(row, options.fallback) for row in chosen(Path(scratch), options.only)]
        for row in rows:
            print(f"{row.id} ...", file=sys.stderr, flush=True)
            judged.append(report.judge(row, measure(row, options)))
    run = {
        "rounds": f"{options.rounds} of {options.seconds} s, and one before them that does not count",
        "namespace": "its own, empty after each measurement" if alone() else "the machine's",
        "took": f"{time.monotonic() - begun:.0f} s",
    }
    everything = {"machine": facts, "run": run, "rows": judged}
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(report.markdown(everything))
    else:
        sys.stdout.write(report.markdown(everything))
    return 1 if any(row["failures"] for row in judged) else 0


if __name__ == "__main__":
    sys.exit(main())
