"""Programs on pseudo-terminals, beside pexpect, ptyprocess and a loop by hand; by the clock on the wall."""

from __future__ import annotations

import sys
from pathlib import Path

from contest import HERE, Bound, Contestant, Row, python

WAYS = {
    "pyipc": ("with_pyipc", "pyipc"),
    "pexpect": ("with_pexpect", "pexpect"),
    "ptyprocess": ("with_ptyprocess", "ptyprocess"),
    "pty by hand": ("with_pty", "pty"),
}


def rows(scratch: Path) -> list[Row]:
    return [
        Row(
            "terminal-prompt",
            "a line typed, its answer from cat waited for",
            _contestants(),
            [Bound(0.4, "pexpect"), Bound(1.2, "pty by hand")],
            pinned=False,
        ),
        Row(
            "terminal-output",
            "20 MB until what is waited for, all kept and given in one piece",
            [_once(one) for one in _contestants()],
            [Bound(0.3, "pexpect"), Bound(1.15, "pty by hand")],
            pinned=False,
        ),
        Row(
            "terminal-spawn",
            "/bin/true on a terminal, and its end",
            _contestants(),
            [Bound(0.35, "pexpect")],
            pinned=False,
        ),
        Row(
            "terminal-spawn-2gib",
            "the same, from a process that has 2 GiB in use",
            _contestants(),
            [Bound(0.02, "pexpect")],
            pinned=False,
        ),
    ]


def _contestants() -> list[Contestant]:
    return [
        python(name, f"terminals.{module}", needs, how="across-free")
        for name, (module, needs) in WAYS.items()
    ]


def _once(contestant: Contestant) -> Contestant:
    *_, module = contestant.command
    return contestant._replace(command=[sys.executable, str(HERE / "terminals/long_output.py"), module])
