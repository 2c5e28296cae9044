"""The parts that other processes play at the stop of locks; each has a connection to say facts over."""

from __future__ import annotations

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from typing import Any

    from pyipc import sync


def hold(here: Connection, lock: Any) -> None:
    """Take the lock, and never get to the end of the block."""
    with lock:
        here.send("has it")
        signal.pause()


def spend_half(here: Connection, lock: sync.Lock, accounts: Any) -> None:
    """Take 10 from the one, and be killed before they are with the other."""
    with lock:
        accounts[0] -= 10
        here.send("took 10")
        signal.pause()


def take(here: Connection, semaphore: sync.Semaphore, count: int) -> None:
    """Take so many permits, and keep them."""
    for _ in range(count):
        semaphore.acquire()
    here.send(f"took {count}")
    signal.pause()


def wait_for_news(here: Connection, condition: sync.Condition) -> None:
    """Wait to be notified."""
    with condition:
        here.send("waits")
        condition.wait()
    here.send("woken")
