"""The rows of System V, by pyipc."""

from __future__ import annotations

from contextlib import closing

from pyipc.sysv import MessageQueue, Semaphore, SemaphoreSet, SharedMemory
from sysv.payloads import LARGE, SMALL, wrong


def semop_one():
    with closing(Semaphore.create(0)) as semaphore:

        def block(n):
            acquire, release = semaphore.acquire, semaphore.release
            for _ in range(n):
                release()
                acquire()
            if semaphore.value != 0:
                wrong()

        yield block


def semop_three():
    with SemaphoreSet.create(3) as s:
        up = s.ops(s[0] + 1, s[1] + 1, s[2] + 1)
        down = s.ops(s[0] - 1, s[1] - 1, s[2] - 1)

        def block(n):
            for _ in range(n):
                up()
                down()
            up()
            if s.values != [1, 1, 1]:
                wrong()
            down()

        yield block


def semtimedop():
    with closing(Semaphore.create(0)) as semaphore:

        def block(n):
            acquire, release = semaphore.acquire, semaphore.release
            for _ in range(n):
                release()
                acquire(timeout=1.0)
            if semaphore.value != 0:
                wrong()

        yield block


def busy_thread():
    with closing(Semaphore.create(0)) as semaphore:
        yield semaphore.release, semaphore.acquire


def copy_64():
    with SharedMemory.create(4096) as memory:

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


def view_64():
    with SharedMemory.create(4096) as memory:
        view = memory.buf

        def block(n):
            first, second = SMALL
            for _ in range(n):
                view[0:64] = first
                if bytes(view[0:64]) != first:
                    wrong()
                view[0:64] = second
                if bytes(view[0:64]) != second:
                    wrong()

        yield block


def copy_1m():
    size = len(LARGE[0])
    with SharedMemory.create(size) as memory:

        def block(n):
            write, read = memory.write, memory.read
            first, second = LARGE
            for _ in range(n):
                write(first)
                if read(size)[-1] != first[-1]:
                    wrong()
                write(second)
                if read(size)[-1] != second[-1]:
                    wrong()
            if read(size) != second:
                wrong()

        yield block


def message_64():
    with MessageQueue.create() as queue:

        def block(n):
            send, receive = queue.send, queue.receive
            first, second = SMALL
            for _ in range(n):
                send(first)
                if receive()[0] != first:
                    wrong()
                send(second)
                if receive()[0] != second:
                    wrong()

        yield block


def attach():
    with SharedMemory.create(1 << 20, persist=True) as memory:
        memory.write(SMALL[0])
        memory.detach()

        def block(n):
            reattach, detach = memory.reattach, memory.detach
            for _ in range(n):
                reattach()
                detach()
            reattach()
            if memory.read(64) != SMALL[0]:
                wrong()
            detach()

        try:
            yield block
        finally:
            memory.remove()


def attach_read():
    with SharedMemory.create(1 << 20, persist=True) as memory:
        memory.write(SMALL[0])
        memory.detach()

        def block(n):
            reattach, read, detach = memory.reattach, memory.read, memory.detach
            expected = SMALL[0]
            for _ in range(n):
                reattach()
                if read(64) != expected:
                    wrong()
                detach()

        try:
            yield block
        finally:
            memory.remove()


def attach_id():
    with SharedMemory.create(1 << 20) as kept:
        kept.write(SMALL[0])

        def block(n):
            attach, id = SharedMemory.attach, kept.id
            for _ in range(n):
                memory = attach(id)
                memory.close()
            with attach(id) as memory:
                if memory.read(64) != SMALL[0]:
                    wrong()

        yield block


def create_segment():
    def block(n):
        create = SharedMemory.create
        for _ in range(n):
            create(4096).close()

    yield block


def create_set():
    def block(n):
        create = SemaphoreSet.create
        for _ in range(n):
            create(1).close()

    yield block


def create_queue():
    def block(n):
        create = MessageQueue.create
        for _ in range(n):
            create().close()

    yield block
