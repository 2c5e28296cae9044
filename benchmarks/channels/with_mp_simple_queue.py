"""The rows of channels, by multiprocessing.SimpleQueue."""

from __future__ import annotations

from multiprocessing import SimpleQueue

from channels.halves import objects, rows


def queue(size, senders):
    queue = SimpleQueue()
    yield lambda: queue.put, lambda: queue.get
    queue.close()


globals().update(**rows(queue), **objects(queue))
