"""Programs: started, connected, talked to and read, beside subprocess, the shell and C."""

from __future__ import annotations

import os
from pathlib import Path

from contest import HERE, Bound, Contestant, Row, compiled, python

GIB = 1 << 30
_OF_A_FORK = 0.02  # of 2 GiB


def _ballast() -> int:
    """How much memory a big parent has: 2 GiB, or half of what this machine has to give."""
    with open("/proc/meminfo") as lines:
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    return min(2 * GIB, free // 2)


def rows(scratch: Path) -> list[Row]:
    limit = compiled("C, vfork and execve", HERE / "processes/limit.c", scratch)
    ballast = _ballast()
    size = f"{ballast / GIB:.2g} GiB"
    found = [*_spawns(limit, "small parent", ""), *_spawns(limit, f"parent that has {size}", str(ballast))]
    return [*found, *_talks()]


def _spawns(limit: Contestant, parent: str, ballast: str) -> list[Row]:
    suffix = "-big" if ballast else ""
    ours, theirs, plain = (
        python(name, f"processes.{module}", "pyipc", how="children", BALLAST=ballast)
        for name, module in _WAYS.items()
    )
    limit = limit._replace(environment={"BALLAST": ballast})
    no_fork = [Bound(1.0, "subprocess.Popen")]
    instead_of_fork = [Bound(_OF_A_FORK if ballast else 1.0, "subprocess.Popen")]
    as_root = [] if os.geteuid() == 0 else [one._replace(missing="only root") for one in (ours, theirs)]
    return [
        Row(f"spawn{suffix}", f"start /bin/true and wait; {parent}", [ours, theirs, plain, limit], no_fork),
        Row(
            f"spawn-session{suffix}", f"the same with a session of its own; {parent}", [ours, theirs], no_fork
        ),
        Row(
            f"spawn-user{suffix}",
            f"the same as another user, without groups; {parent}",
            as_root or [ours, theirs],
            instead_of_fork,
        ),
        Row(
            f"spawn-die{suffix}",
            f"the same, to die with its parent (preexec_fn); {parent}",
            [ours, theirs],
            instead_of_fork,
        ),
    ]


_WAYS = {
    "pyipc": "with_pyipc",
    "subprocess.Popen": "with_subprocess",
    "os.posix_spawn": "with_posix_spawn",
}


def _talks() -> list[Row]:
    def who(how: str = "once", **modules: str) -> list[Contestant]:
        return [
            python(name.replace("_", " "), f"processes.{module}", "pyipc", how=how)
            for name, module in modules.items()
        ]

    ours, theirs = "with_pyipc", "with_subprocess"
    return [
        Row(
            "pipeline",
            "cat FILE | cat | cksum, of 256 MiB",
            [*who(pyipc=ours, the_shell="with_shell", subprocess=theirs)],
            [Bound(1.05, "the shell")],
            least_rounds=15,
            pinned=False,
        ),
        Row(
            "both-ways",
            "1 GiB through cat and back, by pieces, under 50 MiB of memory",
            who(pyipc=ours, subprocess_and_a_thread=theirs),
            [Bound(1.2, "subprocess and a thread", aim=True)],
            pinned=False,
        ),
        Row(
            "lines",
            "100,000 lines of 47 bytes, one by one (os.popen: as text)",
            who("children", pyipc=ours, subprocess=theirs, os_popen="with_shell"),
            [Bound(1.0, "subprocess"), Bound(1.0, "os popen")],
        ),
    ]
