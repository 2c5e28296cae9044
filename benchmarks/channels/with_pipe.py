"""The rows of channels, by os.pipe; messages are short enough to be written whole, and of one length."""

from __future__ import annotations

import os
from functools import partial

from channels.halves import BATCH, batches, rows


def one(size, senders):
    reading, writing = os.pipe()
    yield lambda: partial(os.write, writing), lambda: partial(os.read, reading, size)
    os.close(reading)
    os.close(writing)


def many(size, senders):
    """Batches that are joined, in pieces that are written whole (pipe(7))."""
    at_once = 4096 // size
    reading, writing = os.pipe()

    def send(batch):
        for at in range(0, BATCH, at_once):
            os.write(writing, b"".join(batch[at : at + at_once]))

    def receive():
        came = os.read(reading, BATCH * size)
        return [came[at : at + size] for at in range(0, len(came), size)]

    yield lambda: send, lambda: receive
    os.close(reading)
    os.close(writing)


globals().update(**rows(one), **batches(many))
