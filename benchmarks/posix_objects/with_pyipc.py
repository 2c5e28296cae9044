"""The rows of POSIX objects, by pyipc."""

from __future__ import annotations

from contextlib import closing

from posix_objects.payloads import LARGE, NAME, SMALL, wrong
from pyipc.posix import MessageQueue, Semaphore, SharedMemory


def posix_sem():
    with closing(Semaphore.create(NAME, 0)) as semaphore:

        def block(n):
            acquire, release = semaphore.acquire, semaphore.release
            for _ in range(n):
                release()
                acquire()
            if semaphore.value != 0:
                wrong()

        yield block


def posix_sem_timed():
    with closing(Semaphore.create(NAME, 0)) as semaphore:

        def block(n):
            acquire, release = semaphore.acquire, semaphore.release
            for _ in range(n):
                release()
                acquire(timeout=1.0)
            if semaphore.value != 0:
                wrong()

        yield block


def _messages(payloads):
    with MessageQueue.create(NAME, max_messages=10, max_size=8192) as queue:

        def block(n):
            send, receive = queue.send, queue.receive
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


def posix_shm_64():
    with SharedMemory.create(NAME, 4096) as memory:

        def block(n):
            write, read = memory.write, memory.read
            first, second = SMALL
            for _ in range(n):
                write(first)
                if read(64) != first:
                    wrong()
                write(second)
                if read(64) != second:
                    wrong()

        yield block


def posix_view_64():
    with SharedMemory.create(NAME, 4096) as memory:
        view = memory.buf

        def block(n):
            first, second = SMALL
            for _ in range(n):
                view[:64] = first
                if view[:64] != first:
                    wrong()
                view[:64] = second
                if view[:64] != second:
                    wrong()

        yield block


def posix_create_shm():
    def block(n):
        create = SharedMemory.create
        for _ in range(n):
            create(NAME, 4096).close()

    yield block


def posix_create_sem():
    def block(n):
        create = Semaphore.create
        for _ in range(n):
            create(NAME).close()

    yield block


def posix_create_mq():
    def block(n):
        create = MessageQueue.create
        for _ in range(n):
            create(NAME).close()

    yield block
