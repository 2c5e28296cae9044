"""The rows of channels, by kickmsg: waiting in its receive(), and calling try_receive() again.

Its ring loses what is not received in time; so who receives says in shared memory how far it is.
"""

from __future__ import annotations

import mmap
import os

import kickmsg

from channels.halves import LARGE, MIB, in_place, objects, payloads, pickled, rows

FOR_LONG = 60.0
SLOTS = 256
_made = 0


class Ring:
    def __init__(self, size):
        global _made
        _made += 1
        self.name = f"/benchmark-{os.getpid()}-{_made}"
        self.slots = SLOTS if size < MIB else 2 * LARGE
        config = kickmsg.Config()
        config.max_subscribers = 1
        config.sub_ring_capacity = self.slots
        config.pool_size = 2 * self.slots
        config.max_payload_size = size
        self.region = kickmsg.SharedRegion.create(self.name, kickmsg.ChannelType.PubSub, config)
        self.received = memoryview(mmap.mmap(-1, 4096)).cast("Q")

    def sends(self, publish_by):
        """`publish_by(publisher)(message)`, when there is room."""
        self.mine = kickmsg.SharedRegion.open(self.name)
        publish = publish_by(kickmsg.Publisher(self.mine))
        counter, most, sent, free = self.received, self.slots - self.slots // 4, 0, 0

        def send(message):
            nonlocal sent, free
            while sent >= free:
                free = counter[0] + most
            publish(message)
            sent += 1

        return send

    def receives(self, receive_by):
        self.mine = kickmsg.SharedRegion.open(self.name)
        receive = receive_by(kickmsg.Subscriber(self.mine))
        counter, each, received = self.received, self.slots // 8, 0

        def receive_and_tell(*given):
            nonlocal received
            message = receive(*given)
            received += 1
            if received % each == 0:
                counter[0] = received
            return message

        return receive_and_tell

    def close(self):
        self.region.unlink()


def polled(try_receive):
    def poll():
        while (message := try_receive()) is None:
            pass
        return message

    return poll


def waited(receive):
    return lambda: receive(FOR_LONG)


def fills(publisher):
    def publish(fill):
        slot = publisher.allocate()
        view = memoryview(slot).cast("B")
        fill(view)
        size = len(view)
        view.release()
        slot.publish(size)

    return publish


def copies(publisher):
    publish = fills(publisher)

    def publish_copy(payload):
        def fill(view):
            view[: len(payload)] = payload

        publish(fill)

    return publish_copy


def ways(waiting):
    def ring(size, publish_by, receive_by):
        ring = Ring(size)
        yield lambda: ring.sends(publish_by), lambda: ring.receives(receive_by)
        ring.close()

    def receive_by(subscriber):
        return waited(subscriber.receive) if waiting else polled(subscriber.try_receive)

    def look_by(subscriber):
        receive = waited(subscriber.receive_view) if waiting else polled(subscriber.try_receive_view)

        def receive_and_look(look):
            message = receive()
            with memoryview(message) as view:
                look(view)
            message.release()

        return receive_and_look

    def one(size, senders):
        return ring(size, lambda publisher: publisher.send, receive_by)

    def copied(size, senders):
        return ring(size, copies, look_by)

    def lent(size, senders):
        return ring(size, fills, look_by)

    found = {**rows(one), **payloads(copied), **in_place(lent), **objects(pickled(one))}
    del found["fan_in_64"]  # who sends cannot know how far the others are
    return found


globals().update(ways(waiting=True))
