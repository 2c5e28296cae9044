"""The rows of channels, by a ring by hand in multiprocessing.shared_memory, with two semaphores."""

from __future__ import annotations

from multiprocessing import Semaphore
from multiprocessing.shared_memory import SharedMemory

from channels.halves import LARGE, in_place, payloads, rows

SLOTS = 256


class Ring:
    """For one who sends and one who receives; `free` and `full` count slots."""

    def __init__(self, size, slots):
        self.size, self.slots = size, slots
        self.shared = SharedMemory(create=True, size=size * slots)
        self.free, self.full = Semaphore(slots), Semaphore(0)

    def sends(self, fill):
        """A function that waits for a slot and fills it: `fill(buffer, start, stop, message)`."""
        size, slots, buffer, place = self.size, self.slots, self.shared.buf, 0
        wait, tell = self.free.acquire, self.full.release

        def send(message):
            nonlocal place
            wait()
            start = place % slots * size
            fill(buffer, start, start + size, message)
            place += 1
            tell()

        return send

    def receives(self, look):
        size, slots, buffer, place = self.size, self.slots, self.shared.buf, 0
        wait, tell = self.full.acquire, self.free.release

        def receive(*given):
            nonlocal place
            wait()
            start = place % slots * size
            message = look(buffer, start, start + size, *given)
            place += 1
            tell()
            return message

        return receive

    def close(self):
        self.shared.close()
        self.shared.unlink()


def copy_in(buffer, start, stop, message):
    buffer[start:stop] = message


def copy_out(buffer, start, stop):
    return bytes(buffer[start:stop])


def give(buffer, start, stop, look):
    """To who fills, or looks."""
    with buffer[start:stop] as view:
        look(view)


def one(size, senders):
    ring = Ring(size, SLOTS)
    yield lambda: ring.sends(copy_in), lambda: ring.receives(copy_out)
    ring.close()


def copied(size, senders):
    ring = Ring(size, LARGE)
    yield lambda: ring.sends(copy_in), lambda: ring.receives(give)
    ring.close()


def lent(size, senders):
    ring = Ring(size, LARGE)
    yield lambda: ring.sends(give), lambda: ring.receives(give)
    ring.close()


globals().update(**rows(one), **payloads(copied), **in_place(lent))
del globals()["fan_in_64"]
