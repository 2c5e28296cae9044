"""The rows of channels, by a ring by hand in multiprocessing.shared_memory, whose two counters are polled."""

from __future__ import annotations

from multiprocessing.shared_memory import SharedMemory

from channels.halves import rows

SLOTS = 256
SENT, RECEIVED, COUNTERS = 0, 16, 256  # where: far enough from each other


def one(size, senders):
    """Right on x86 alone, where stores are seen in their order."""
    shared = SharedMemory(create=True, size=COUNTERS + size * SLOTS)
    counters = shared.buf[:COUNTERS].cast("Q")

    def sending():
        buffer, place, free = shared.buf, 0, SLOTS

        def send(message):
            nonlocal place, free
            while place == free:
                free = counters[RECEIVED] + SLOTS
            start = COUNTERS + place % SLOTS * size
            buffer[start : start + size] = message
            place += 1
            counters[SENT] = place

        return send

    def receiving():
        buffer, place, sent = shared.buf, 0, 0

        def receive():
            nonlocal place, sent
            while place == sent:
                sent = counters[SENT]
            start = COUNTERS + place % SLOTS * size
            message = bytes(buffer[start : start + size])
            place += 1
            counters[RECEIVED] = place
            return message

        return receive

    yield sending, receiving
    counters.release()
    shared.close()
    shared.unlink()


globals().update(**rows(one))
del globals()["fan_in_64"]
