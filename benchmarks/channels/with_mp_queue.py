"""The rows of channels, by multiprocessing.Queue."""

from __future__ import annotations

from multiprocessing import Queue

from channels.halves import objects, rows


def queue(size, senders):
    queue = Queue()
    yield lambda: queue.put, lambda: queue.get
    queue.close()


globals().update(**rows(queue), **objects(queue))
