"""The same without what the core knows of CPython: by cffi alone. What the binding costs."""

from __future__ import annotations

from contextlib import closing

from posix_objects.payloads import LARGE, NAME, SMALL, wrong
from pyipc.posix import MessageQueue, Semaphore


def posix_sem():
    with closing(Semaphore.create(NAME, 0)) as semaphore:

        def block(n):
            acquire, release = semaphore._py_acquire, semaphore._py_release
            for _ in range(n):
                release()
                acquire()
            if semaphore.value != 0:
                wrong()

        yield block


def _messages(payloads):
    with MessageQueue.create(NAME, max_messages=10, max_size=8192) as queue:

        def block(n):
            send, receive = queue._py_send, queue._py_receive
            first, second = payloads
            for _ in range(n):
                send(first)
                if receive()[0] != first:
                    wrong()
                send(second)
                if receive()[0] != second:
                    wrong()

        yield block


def posix_mq_64():
    return _messages(SMALL)


def posix_mq_8k():
    return _messages(LARGE)
