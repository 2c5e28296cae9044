"""The rows of channels, by multiprocessing.Pipe."""

from __future__ import annotations

from multiprocessing import Pipe

from channels.halves import objects, rows


def one(size, senders):
    reader, writer = Pipe(False)
    with reader, writer:
        yield lambda: writer.send_bytes, lambda: reader.recv_bytes


def of_objects(size, senders):
    reader, writer = Pipe(False)
    with reader, writer:
        yield lambda: writer.send, lambda: reader.recv


globals().update(**rows(one), **objects(of_objects))
del globals()["fan_in_64"]  # its writers have no lock
