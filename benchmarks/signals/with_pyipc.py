from __future__ import annotations

import os

from pyipc import signals


def wrong():
    raise AssertionError("not what was sent")


def signal_scope():
    seen = []
    pid = os.getpid()

    def block(n):
        for _ in range(n):
            with signals.handling("USR1", lambda number, frame: seen.append(number)):
                os.kill(pid, 10)
        if seen != [10] * n:
            wrong()
        seen.clear()

    yield block


def signal_deadline():
    def block(n):
        with signals.deadline(1000):
            for _ in range(n):
                with signals.deadline(100):
                    pass

    yield block


def signal_queue():
    pid = os.getpid()
    number = signals.number("RTMIN+1")
    with signals.SignalQueue(number) as queue:

        def block(n):
            send, get = signals.send, queue.get
            for value in range(n):
                send(pid, number, value)
                info = get()
                if info.value != value or info.signal != number:
                    wrong()

        yield block
