"""The parts that other processes play at the stop of POSIX objects; each is told a name."""

from __future__ import annotations

from contextlib import closing

from pyipc import posix

from .second import tell, wait_for_word

ORDERS = (("sweep the floor", 0), ("the house burns", 9), ("answer the letter", 3))


def answer(name: str, text: str, reply: str) -> None:
    """Read what is in the memory, and write a reply over it."""
    with posix.SharedMemory.open(name) as memory:
        tell(f"{memory.size} bytes")
        tell(memory.read(len(text)).decode())
        memory.write(reply.encode())
    tell("answered")


def make_shorter(name: str, size: str) -> None:
    """Leave so many bytes of it."""
    with posix.SharedMemory.open(name) as memory:
        memory.resize(int(size))
    tell("done")


def wait_for_permits(name: str, count: str) -> None:
    """Take permits, one after the other, waiting for each."""
    with closing(posix.Semaphore.open(name)) as semaphore:
        tell("waits")
        for _ in range(int(count)):
            semaphore.acquire()
            tell("has one")


def send_orders(name: str) -> None:
    """Send the least urgent first."""
    with posix.MessageQueue.open(name) as queue:
        for text, priority in ORDERS:
            queue.send(text.encode(), priority)
    tell("sent")


def send_at_a_word(name: str, text: str) -> None:
    """Send one message, when told to."""
    with posix.MessageQueue.open(name, read=False) as queue:
        wait_for_word()
        queue.send(text.encode())
