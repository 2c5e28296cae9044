"""The rows of channels, by faster-fifo: bytes without pickling them, and objects."""

from __future__ import annotations

from functools import partial

from faster_fifo import Queue

from channels.halves import BATCH, LARGE, MIB, batches, objects, rows

FOR_LONG = 60.0


def raw(size):
    return Queue(max(MIB, LARGE * size), loads=bytes, dumps=lambda message: message)


def one(size, senders):
    queue = raw(size)
    yield lambda: partial(queue.put, timeout=FOR_LONG), lambda: partial(queue.get, timeout=FOR_LONG)
    queue.close()


def many(size, senders):
    queue = raw(size)
    yield (
        lambda: partial(queue.put_many, timeout=FOR_LONG),
        lambda: partial(queue.get_many, timeout=FOR_LONG, max_messages_to_get=4 * BATCH),
    )
    queue.close()


def of_objects(size, senders):
    queue = Queue(max(MIB, LARGE * size))
    yield lambda: partial(queue.put, timeout=FOR_LONG), lambda: partial(queue.get, timeout=FOR_LONG)
    queue.close()


globals().update(**rows(one), **batches(many), **objects(of_objects))
