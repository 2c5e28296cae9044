"""The rows of channels, by cloudtoid-interprocess: waiting in receive(), and calling try_receive() again."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile

from cloudtoid_interprocess import Publisher, Subscriber

from channels.halves import BATCH, LARGE, batches, nothing, objects, payloads, pickled, rows

FOR_LONG = 60.0


def ways(waiting):
    """One at a time, in batches, and what lies in a message to be looked at."""

    def receiver(name, capacity, folder):
        subscriber = Subscriber(name, capacity, folder)
        if waiting:
            receive = subscriber.receive
            return lambda: receive(FOR_LONG)
        try_receive = subscriber.try_receive

        def poll():
            while (message := try_receive()) is None:
                pass
            return message

        return poll

    def queue(size, senders, sender_of, receiver_of):
        folder = tempfile.mkdtemp(dir="/dev/shm")
        name = os.path.basename(folder)  # the queue's semaphore has a name that depends on this alone
        capacity = max(1 << 17, LARGE * (size + 4096) // 4096 * 4096)
        let_others = os.sched_yield if senders > 1 else nothing
        yield (
            lambda: sender_of(Publisher(name, capacity, folder), let_others),
            lambda: receiver_of(receiver(name, capacity, folder)),
        )
        shutil.rmtree(folder)
        for path in glob.glob(f"/dev/shm/sem.*{name}"):
            os.unlink(path)

    def sends(publisher, let_others):
        try_send = publisher.try_send

        def send(message):
            while not try_send(message):
                let_others()

        return send

    def sends_batches(publisher, let_others):
        try_send_batch = publisher.try_send_batch

        def send(batch):
            sent = try_send_batch(batch)
            while sent < len(batch):
                let_others()
                sent += try_send_batch(batch[sent:])

        return send

    def one(size, senders):
        return queue(size, senders, sends, lambda receive: receive)

    def many(size, senders):
        def of_some(receive):
            return lambda: [receive() for _ in range(BATCH)]

        return queue(size, senders, sends_batches, of_some)

    def copied(size, senders):
        return queue(size, senders, sends, lambda receive: lambda look: look(receive()))

    return {**rows(one), **batches(many), **payloads(copied), **objects(pickled(one))}


globals().update(ways(waiting=True))
