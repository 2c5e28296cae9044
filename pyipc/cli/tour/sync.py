"""The stop of locks: whoever dies with one is in nobody's way."""

from __future__ import annotations

import mmap

from pyipc import OwnerDiedError, sync

from . import sync_partners as others
from .stage import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Stage

TITLE = "Locks: nobody waits for the dead"

_NEEDS = ("sync.locks", "there are no locks in shared memory")


def take_over(stage: Stage) -> None:
    """Take a lock from a process that was killed with it."""
    lock = stage.held(sync.Lock())
    other = stage.forked(others.hold, lock)
    other.expect("has it")
    stage.say(other, "takes the lock")
    stage.check(not lock.acquire(timeout=0.1), "two have it at once")
    stage.say("python", "tries for a tenth of a second, in vain")
    other.kill()
    stage.say(other, "is killed")
    stage.check(lock.acquire(timeout=stage.left()), "the lock went with it")
    stage.check(lock.recovered, "nobody says that its owner has died")
    stage.say("python", "has it, and is told: recovered")
    lock.release()


def bring_in_order(stage: Stage) -> None:
    """Repair what a process left half done."""
    lock = stage.held(sync.Lock(strict=True))
    with mmap.mmap(-1, 4096) as memory, memoryview(memory).cast("q") as accounts:
        accounts[0], accounts[1] = 100, 0
        other = stage.forked(others.spend_half, lock, accounts)
        other.expect("took 10")
        stage.say(other, "moves 10 from one account to the other, and is killed in between")
        other.kill()
        try:
            lock.acquire(timeout=stage.left())
        except OwnerDiedError:
            stage.say("python", "wants the lock: OwnerDiedError")
        else:
            stage.check(False, "the lock does not say that its owner has died")
        stage.check(lock.recover(stage.left()), "it cannot be recovered")
        accounts[1] = 100 - accounts[0]
        lock.release()
        stage.check(lock.acquire(False), "it is not usable again")
        stage.say("python", f"recovers it; the accounts: {accounts[0]} and {accounts[1]}")
        lock.release()


def get_permits_back(stage: Stage) -> None:
    """Count the permits of a semaphore, two of which a process had that was killed."""
    semaphore = stage.held(sync.Semaphore(3))
    other = stage.forked(others.take, semaphore, 2)
    other.expect("took 2")
    value = semaphore.get_value()
    stage.check(value == 1, f"{value} are left, not 1")
    stage.say(other, "takes two permits of three")
    other.kill()
    value = semaphore.get_value()
    stage.check(value == 3, f"{value} are there, not 3")
    stage.say("kernel", "it is killed: its place in the roster is free")
    stage.say("python", f"counts {value} permits")


def wake_the_living(stage: Stage) -> None:
    """Notify one of those who wait, the first of whom was killed."""
    condition = stage.held(sync.Condition())
    waiting = []
    for _ in range(2):
        waiting.append(stage.forked(others.wait_for_news, condition))
        waiting[-1].expect("waits")
        with condition:  # so it has let go of the lock, and waits
            pass
    stage.say("python", "two others wait; the first of them is killed")
    waiting[0].kill()
    with condition:
        condition.notify()
    waiting[1].expect("woken")
    waiting[1].end()
    stage.say("python", "notifies one")
    stage.say(waiting[1], "is woken, the second")


STEPS = [
    Step(
        "Its owner dies",
        "Another process takes a lock, and is killed with it. With multiprocessing.Lock we would wait "
        "for ever.",
        "A lock is never lost, and who gets it knows.",
        take_over,
        _NEEDS,
    ),
    Step(
        "Half done",
        "What a lock protects may be half changed when its owner dies. A strict lock insists that "
        "somebody looks.",
        "Nobody goes on by mistake.",
        bring_in_order,
        _NEEDS,
    ),
    Step(
        "Permits come back",
        "Another process takes two of three permits of a semaphore, and is killed.",
        "What the dead had counts as free.",
        get_permits_back,
        _NEEDS,
    ),
    Step(
        "A wake for the living",
        "Two processes wait for a condition. The first is killed; then we notify one.",
        "No notify is wasted on the dead.",
        wake_the_living,
        _NEEDS,
    ),
]
