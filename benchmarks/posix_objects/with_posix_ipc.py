"""The rows of POSIX objects, by posix_ipc; it opens shared memory, and leaves the rest to os."""

from __future__ import annotations

import os

from posix_ipc import O_CREX, MessageQueue, Semaphore, SharedMemory

from posix_objects.payloads import LARGE, NAME, SMALL, wrong


def posix_sem():
    semaphore = Semaphore(NAME, O_CREX)

    def block(n):
        acquire, release = semaphore.acquire, semaphore.release
        for _ in range(n):
            release()
            acquire()
        if semaphore.value != 0:
            wrong()

    try:
        yield block
    finally:
        semaphore.unlink()
        semaphore.close()


def posix_sem_timed():
    semaphore = Semaphore(NAME, O_CREX)

    def block(n):
        acquire, release = semaphore.acquire, semaphore.release
        for _ in range(n):
            release()
            acquire(1.0)
        if semaphore.value != 0:
            wrong()

    try:
        yield block
    finally:
        semaphore.unlink()
        semaphore.close()


def _messages(payloads):
    queue = MessageQueue(NAME, O_CREX, max_messages=10, max_message_size=8192)

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

    try:
        yield block
    finally:
        queue.close()
        queue.unlink()


def posix_mq_64():
    return _messages(SMALL)


def posix_mq_8k():
    return _messages(LARGE)


def posix_shm_64():
    memory = SharedMemory(NAME, O_CREX, size=4096)
    fd = memory.fd

    def block(n):
        write, read = os.pwrite, os.pread
        first, second = SMALL
        for _ in range(n):
            write(fd, first, 0)
            if read(fd, 64, 0) != first:
                wrong()
            write(fd, second, 0)
            if read(fd, 64, 0) != second:
                wrong()

    try:
        yield block
    finally:
        memory.close_fd()
        memory.unlink()


def posix_create_shm():
    def block(n):
        for _ in range(n):
            memory = SharedMemory(NAME, O_CREX, size=4096)
            memory.close_fd()
            memory.unlink()

    yield block


def posix_create_sem():
    def block(n):
        for _ in range(n):
            semaphore = Semaphore(NAME, O_CREX)
            semaphore.unlink()
            semaphore.close()

    yield block


def posix_create_mq():
    def block(n):
        for _ in range(n):
            queue = MessageQueue(NAME, O_CREX)
            queue.close()
            queue.unlink()

    yield block
