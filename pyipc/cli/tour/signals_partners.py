"""The parts that other processes play at the stop of signals."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

from pyipc import signals

from .second import tell, wait_for_word


def keep_a_lock(path: str) -> None:
    """Lock a file, until there is word."""
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        tell("has it")
        wait_for_word()


def read_signals(count: str) -> None:
    """Read that many from a queue."""
    with signals.SignalQueue("RTMIN+1") as queue:
        tell("reads")
        for _ in range(int(count)):
            came = queue.get()
            tell(f"{came.name} with {came.value} from {came.pid}")


def live() -> None:
    """Do so, until there is word."""
    tell("lives")
    wait_for_word()


def reap(count: str) -> None:
    """Have that many children, and one by another library."""
    heard, held = os.pipe()
    with signals.Reaper() as reaper:
        for number in range(int(count)):
            pid = os.fork()
            if not pid:
                _end_with_the_others(heard, held, number % 256)
            reaper.add(pid)
        with subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(9)"]) as other:
            os.close(held)
            ended = sum(end.signal is None for end in reaper)
            tell(f"{ended} reaped")
            tell(f"subprocess has {other.wait()}")
    os.close(heard)
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        tell(f"{len(children.read().split())} left")


def _end_with_the_others(heard: int, held: int, status: int) -> None:
    try:
        os.close(held)
        os.read(heard, 1)  # until the last who could write has closed
    finally:
        os._exit(status)
