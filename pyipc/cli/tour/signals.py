"""The stop of signals: what they interrupt, what they bring, who is alive, how children end."""

from __future__ import annotations

import fcntl
import os
import time

from pyipc import TimedOutError, signals

from . import signals_partners as others
from .stage import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Stage

TITLE = "Signals: deadlines, signals as data, children"

_SECONDS = 0.2
_CHILDREN = 200


def give_up_a_lock(stage: Stage) -> None:
    """Wait for a lock that another process keeps, but not for ever."""
    path = os.path.join(stage.folder(), "lock")
    with open(path, "w") as file:
        other = stage.python(others.keep_a_lock, path)
        other.expect("has it")
        stage.say(other, "locks a file")
        began = time.monotonic()
        try:
            with signals.deadline(_SECONDS):
                fcntl.flock(file, fcntl.LOCK_EX)
        except TimedOutError:
            took = time.monotonic() - began
            stage.say("python", f"waits in flock(2), which knows no timeout, and is out after {took:.2f} s")
        else:
            stage.check(False, "the lock was had though another process has it")
        other.go_on()
        other.end()
        with signals.deadline(stage.left()):
            fcntl.flock(file, fcntl.LOCK_EX)
        stage.say("python", "has the lock, once that process has gone")


def bring_values(stage: Stage) -> None:
    """Send numbers by signals to a process that reads them."""
    other = stage.python(others.read_signals, 3)
    other.expect("reads")
    for value in 1, 2, -3:
        signals.send(other.pid, "RTMIN+1", value)
    stage.say("python", "sends 1, 2 and -3 by three signals at once")
    for value in 1, 2, -3:
        other.expect(f"SIGRTMIN+1 with {value} from {os.getpid()}")
    other.end()
    stage.say(other, f"reads all three, in order, each from process {os.getpid()}; nothing is interrupted")


def tell_the_living(stage: Stage) -> None:
    """Ask for a process that ends, and is not reaped yet."""
    other = stage.python(others.live)
    other.expect("lives")
    who = signals.Identity.of(other.pid)
    stage.check(signals.alive(who) is signals.Life.ALIVE, f"{who} is {signals.alive(who)}")
    stage.say("python", f"process {other.pid} is {signals.alive(who)}")
    signals.send(who, "KILL")
    stage.wait_until(lambda: not signals.alive(who), f"{who} lives on")
    os.kill(other.pid, 0)
    stage.say("kernel", "kill(2) finds it still: a zombie, until its parent asks how it ended")
    stage.say("python", f"to alive(), it is {signals.alive(who)}")


def reap_at_once(stage: Stage) -> None:
    """Let many children end at once, beside one of another library."""
    other = stage.python(others.reap, _CHILDREN)
    other.expect(f"{_CHILDREN} reaped")
    stage.say(other, f"has {_CHILDREN} children that end at once, and knows how each of them did")
    other.expect("subprocess has 9")
    other.expect("0 left")
    other.end()
    stage.say(other, "leaves the child of subprocess to subprocess")


_WHY = "it needs ctypes, on a machine whose system calls it knows"

STEPS = [
    Step(
        "Out of any wait",
        "Some calls wait for ever: flock(2), say. A block of code gets a deadline.",
        "It ends in time, whatever it waits in.",
        give_up_a_lock,
        needs=("signals", _WHY),
    ),
    Step(
        "Signals as data",
        "A signal can bring a number, and says who has sent it. The other process reads them from a queue.",
        "None is lost, and none comes in the middle of something.",
        bring_values,
        needs=("signals", _WHY),
    ),
    Step(
        "Who is alive",
        "A process ends, but its parent has not asked for it yet.",
        "A zombie is not taken for the living, nor the next one with its number for it.",
        tell_the_living,
    ),
    Step(
        "Children, and no others",
        "perlipc's REAPER takes every child of the process. Here are two hundred of ours, and one that "
        "belongs to somebody else.",
        "Ours are reaped, all of them; the other is not.",
        reap_at_once,
    ),
]
