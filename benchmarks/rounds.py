"""Rounds: every contestant of a row once, one after another, again and again.

Each measurement is a process of its own. What disturbs the machine for a while then disturbs all
contestants alike, and what is luck of one process (where its memory lies) differs in each round.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from typing import NamedTuple

from contest import Contestant, Row

TIME_LIMIT = 60.0

_CPUS = sorted(os.sched_getaffinity(0))


class Measured(NamedTuple):
    """Nanoseconds per operation, a list over the rounds for each name; and who fell out, and why."""

    series: dict[str, list[float]]
    failures: dict[str, str]


class FailedError(Exception):
    """A contestant ended with an error, or left something behind."""


def measure(row: Row, rounds: int, seconds: float, *, alone: bool) -> Measured:
    """Run the row, and one round before it that does not count.

    Args:
        row: Who takes part, in this order.
        rounds: How many that count.
        seconds: For how long one measurement runs.
        alone: Nobody else uses this IPC namespace, so what appears in it is a contestant's.
    """
    series: dict[str, list[float]] = {}
    failures: dict[str, str] = {}
    _pin(row.pinned)
    for round in range(1 + max(rounds, row.least_rounds)):
        for contestant in row.contestants:
            if contestant.name in failures:
                continue
            try:
                figures = _run(contestant, row, seconds, alone)
            except FailedError as problem:
                failures[contestant.name] = str(problem)
                continue
            if round:
                for name, figure in figures.items():
                    label = f"{contestant.name}, {name}" if name else contestant.name
                    series.setdefault(label, []).append(figure / row.calls)
    _pin(False)
    return Measured(series, failures)


def _pin(pinned: bool) -> None:
    """Children inherit it. This process sleeps while they run, so it may share their CPU."""
    os.sched_setaffinity(0, _CPUS[-1:] if pinned else _CPUS)


def _run(contestant: Contestant, row: Row, seconds: float, alone: bool) -> dict[str, float]:
    before = _objects() if alone else set()
    done = _finished(contestant, [*contestant.command, row.id, str(seconds)], TIME_LIMIT + seconds)
    if done.returncode:
        raise FailedError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    left = _objects() - before if alone else set()
    if left:
        raise FailedError(f"left {len(left)} objects behind, such as {min(left)}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _finished(contestant: Contestant, command: list[str], limit: float) -> subprocess.CompletedProcess[str]:
    """What it printed. It is given a session, so that all its processes end in time."""
    with subprocess.Popen(
        command,
        env={**_environment(), **contestant.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired as problem:
            raise FailedError(f"not done within {limit:.0f} s") from problem
        finally:
            if process.returncode != 0:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _environment() -> dict[str, str]:
    """Without what changes how Python runs (PYTHONDEVMODE, PYTHONDONTWRITEBYTECODE, ...)."""
    keep = ("PYTHONPATH", "PYTHONHOME")
    return {
        name: value for name, value in os.environ.items() if name in keep or not name.startswith("PYTHON")
    }


def _objects() -> set[str]:
    found = set()
    for table in ("shm", "sem", "msg"):
        with open(f"/proc/sysvipc/{table}") as lines:
            next(lines)
            found.update(f"{table} {line.split()[1]}" for line in lines)
    found.update(f"/dev/shm/{name}" for name in os.listdir("/dev/shm") if "pyipc-bench-" in name)
    return found
