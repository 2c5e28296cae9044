"""What is sent, and how the rows are made of a way to send and a way to receive.

A way is a generator function, `way(size, senders)`. It makes what carries messages of *size* bytes, yields
two functions, and removes what it made. The two are called in the process that sends and in the one that
receives, and each gives a function: `send(message)`, and `receive()`, which returns the next message.

In the rows of batches these send a list, and return one of some messages. In those of payloads,
`receive(look)` calls `look(view)` while the message lies where it arrived; and `send(fill)`, where nothing
is copied, calls `fill(view)`.
"""

from __future__ import annotations

import pickle
from contextlib import ExitStack, contextmanager
from time import perf_counter_ns as clock

SMALL = (bytes(range(64)), bytes(range(64, 128)))
KIB = tuple(message * 16 for message in SMALL)
MIB = 1 << 20
BATCH = 64
SENDERS = 4
PAGE = 4096

# How many large messages can be on their way.
LARGE = 4


def wrong():
    raise AssertionError("what came is not what was sent")


def nothing():
    pass


class Half:
    """Takes its ends when it is called first: in its own process."""

    def __init__(self, loop, *takes):
        self.loop, self.takes, self.ends = loop, takes, None

    def __call__(self, n):
        if self.ends is None:
            self.ends = [take() for take in self.takes]
        return self.loop(n, *self.ends)


def one_way(way, size, sends, receives, senders=1):
    """The receiver comes first if many send, so that they have the other CPU."""
    with contextmanager(way)(size, senders) as (sending, receiving):
        halves = [Half(sends, sending) for _ in range(senders)]
        receiver = Half(receives, receiving)
        yield (*halves, receiver) if senders == 1 else (receiver, *halves)


# ---- one at a time ----


def sends_each(messages):
    def sends(n, send):
        a, b = messages
        for _ in range(n // 2):
            send(a)
            send(b)

    return sends


def receives_each(messages):
    def receives(n, receive):
        a, b = messages
        for _ in range(n // 2):
            if receive() != a:
                wrong()
            if receive() != b:
                wrong()

    return receives


def receives_from_many(n, receive):
    a, b = SMALL
    for _ in range(n * SENDERS):
        message = receive()
        if message != a and message != b:
            wrong()


def answers(n, receive, send):
    for _ in range(n):
        send(receive())


def asks(n, send, receive):
    a, b = SMALL
    for _ in range(n // 2):
        send(a)
        if receive() != a:
            wrong()
        send(b)
        if receive() != b:
            wrong()


def asks_by_the_clock(n, send, receive):
    each = []
    add = each.append
    start = clock()
    for i in range(n):
        message = SMALL[i & 1]
        send(message)
        if receive() != message:
            wrong()
        end = clock()
        add(end - start)
        start = end
    return each


def trip(way, ask):
    with ExitStack() as stack:
        there, back = (stack.enter_context(contextmanager(way)(64, 1)) for _ in range(2))
        yield Half(ask, there[0], back[1]), Half(answers, there[1], back[0])


def rows(way):
    """The generators of worker.py, by name."""
    return {
        "trip_64": lambda: trip(way, asks_by_the_clock),
        "trip_64_free": lambda: trip(way, asks),
        "trip_64_one_cpu": lambda: trip(way, asks),
        "trip_64_polling": lambda: trip(way, asks),
        "stream_64": lambda: one_way(way, 64, sends_each(SMALL), receives_each(SMALL)),
        "stream_1k": lambda: one_way(way, 1024, sends_each(KIB), receives_each(KIB)),
        "fan_in_64": lambda: one_way(way, 64, sends_each(SMALL), receives_from_many, SENDERS),
    }


# ---- batches ----


def sends_batches(messages):
    batch = list(messages) * (BATCH // 2)

    def sends(n, send):
        for _ in range(n):
            send(batch)

    return sends


def receives_batches(messages):
    expected = list(messages) * 1024

    def receives(n, receive):
        left, odd = n * BATCH, 0
        while left:
            came = receive()
            if came != expected[odd : odd + len(came)]:
                wrong()
            left -= len(came)
            odd = (odd + len(came)) & 1

    return receives


def receives_batches_from_many(n, receive):
    a, b = SMALL
    left = n * BATCH * SENDERS
    while left:
        came = receive()
        if came.count(a) + came.count(b) != len(came):
            wrong()
        left -= len(came)


def batches(way):
    return {
        "stream_64_batch": lambda: one_way(way, 64, sends_batches(SMALL), receives_batches(SMALL)),
        "stream_1k_batch": lambda: one_way(way, 1024, sends_batches(KIB), receives_batches(KIB)),
        "fan_in_64_batch": lambda: one_way(
            way, 64, sends_batches(SMALL), receives_batches_from_many, SENDERS
        ),
    }


# ---- large payloads: a byte of each page is another one each time, and looked at ----


def marks_of(size):
    pages = size // PAGE
    return tuple(bytes((page * 7 + which) & 255 for page in range(pages)) for which in (1, 2))


def payloads_of(size):
    found = []
    for marks in marks_of(size):
        payload = bytearray(size)
        payload[::PAGE] = marks
        found.append(payload)
    return found


def sends_copies(size):
    payloads = []

    def sends(n, send):
        if not payloads:
            payloads.extend(payloads_of(size))
        for i in range(n):
            send(payloads[i & 1])

    return sends


def fills(size):
    def filling(marks):
        def fill(view):
            view[:size:PAGE] = marks

        return fill

    both = [filling(marks) for marks in marks_of(size)]

    def sends(n, send):
        for i in range(n):
            send(both[i & 1])

    return sends


def looks(size):
    def looking(marks):
        def look(view):
            if bytes(view[:size:PAGE]) != marks:
                wrong()

        return look

    both = [looking(marks) for marks in marks_of(size)]

    def receives(n, receive):
        for i in range(n):
            receive(both[i & 1])

    return receives


def payloads(way):
    def row(size):
        return lambda: one_way(way, size, sends_copies(size), looks(size))

    return {"payload_1m": row(MIB), "payload_64m": row(64 * MIB)}


def in_place(way):
    def row(size):
        return lambda: one_way(way, size, fills(size), looks(size))

    return {"in_place_1m": row(MIB), "in_place_64m": row(64 * MIB)}


# ---- objects ----


def a_dict(i):
    return {
        "number": i,
        "name": f"sensor {i}",
        "celsius": 20.5 + i,
        "good": True,
        "tags": ["first", "second", "third"],
        "place": (1.5, 2.5, 3.5),
        "count": 1000 * i,
        "unit": "degrees",
        "parent": None,
        "raw": b"12345678",
    }


DICTS = (a_dict(1), a_dict(2))
LISTS = tuple([i, *range(100_000, 100_999)] for i in (1, 2))


def sends_arrays(size):
    arrays = []

    def sends(n, send):
        if not arrays:
            import numpy

            arrays.extend(numpy.frombuffer(payload, numpy.uint8) for payload in payloads_of(size))
        for i in range(n):
            send(arrays[i & 1])

    return sends


def looks_at_arrays(size):
    both = marks_of(size)

    def receives(n, receive):
        for i in range(n):
            array = receive()
            if array.nbytes != size or array[::PAGE].tobytes() != both[i & 1]:
                wrong()

    return receives


def objects(way):
    """A way of which send() and receive() are of objects; *size* is how long a pickle may be."""

    def arrays(size):
        return lambda: one_way(way, size + PAGE, sends_arrays(size), looks_at_arrays(size))

    return {
        "object_dict": lambda: one_way(way, 1024, sends_each(DICTS), receives_each(DICTS)),
        "object_list": lambda: one_way(way, 8192, sends_each(LISTS), receives_each(LISTS)),
        "array_1m": arrays(MIB),
        "array_64m": arrays(64 * MIB),
    }


def pickled(way):
    """Objects, by a way for bytes of any length up to *size*."""

    def objects_way(size, senders):
        with contextmanager(way)(size, senders) as (sending, receiving):

            def sending_objects():
                send, dumps = sending(), pickle.dumps
                return lambda obj: send(dumps(obj, 5))

            def receiving_objects():
                receive, loads = receiving(), pickle.loads
                return lambda: loads(receive())

            yield sending_objects, receiving_objects

    return objects_way
