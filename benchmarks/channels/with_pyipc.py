"""The rows of channels, by pyipc."""

from __future__ import annotations

from channels.halves import LARGE, batches, in_place, objects, payloads, rows
from pyipc.channels import Channel, Queue


def one(size, senders):
    with Channel(slot_size=size) as channel:
        yield lambda: channel.send, lambda: channel.recv


def many(size, senders):
    with Channel(slot_size=size) as channel:
        yield lambda: channel.send_many, lambda: channel.recv_many


def looking(channel):
    def receive(look):
        with channel.peek() as message:
            look(message.buf)

    return receive


def copied(size, senders):
    with Channel(capacity=LARGE * size) as channel:
        yield lambda: channel.send, lambda: looking(channel)


def lent(size, senders):
    with Channel(capacity=LARGE * size) as channel:

        def send(fill):
            with channel.reserve(size) as message:
                fill(message.buf)

        yield lambda: send, lambda: looking(channel)


def queue(size, senders):
    queue = Queue(capacity=max(LARGE * size, 1 << 20))
    yield lambda: queue.put, lambda: queue.get
    queue.close()


globals().update(**rows(one), **batches(many), **payloads(copied), **in_place(lent), **objects(queue))
