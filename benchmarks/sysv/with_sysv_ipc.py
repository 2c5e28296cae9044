"""The rows of System V, by sysv_ipc. Its objects are made private, as everybody's here."""

from __future__ import annotations

import sysv_ipc
from sysv_ipc import IPC_CREX, IPC_PRIVATE, MessageQueue, Semaphore, SharedMemory

from sysv.payloads import LARGE, SMALL, wrong


def semop_one():
    semaphore = Semaphore(IPC_PRIVATE, IPC_CREX)

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
        semaphore.remove()


def semtimedop():
    semaphore = Semaphore(IPC_PRIVATE, IPC_CREX)

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
        semaphore.remove()


def busy_thread():
    semaphore = Semaphore(IPC_PRIVATE, IPC_CREX)
    try:
        yield semaphore.release, semaphore.acquire
    finally:
        semaphore.remove()


def copy_64():
    memory = SharedMemory(IPC_PRIVATE, IPC_CREX, size=4096)

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

    try:
        yield block
    finally:
        memory.remove()


def view_64():
    memory = SharedMemory(IPC_PRIVATE, IPC_CREX, size=4096)
    view = memoryview(memory)

    def block(n):
        first, second = SMALL
        for _ in range(n):
            view[0:64] = first
            if bytes(view[0:64]) != first:
                wrong()
            view[0:64] = second
            if bytes(view[0:64]) != second:
                wrong()

    try:
        yield block
    finally:
        memory.remove()


def copy_1m():
    size = len(LARGE[0])
    memory = SharedMemory(IPC_PRIVATE, IPC_CREX, size=size)

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

    try:
        yield block
    finally:
        memory.remove()


def message_64():
    queue = MessageQueue(IPC_PRIVATE, IPC_CREX)

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

    try:
        yield block
    finally:
        queue.remove()


def attach():
    memory = SharedMemory(IPC_PRIVATE, IPC_CREX, size=1 << 20)
    memory.write(SMALL[0])
    memory.detach()

    def block(n):
        attach, detach = memory.attach, memory.detach
        for _ in range(n):
            attach()
            detach()
        attach()
        if memory.read(64) != SMALL[0]:
            wrong()
        detach()

    try:
        yield block
    finally:
        memory.remove()


def attach_read():
    memory = SharedMemory(IPC_PRIVATE, IPC_CREX, size=1 << 20)
    memory.write(SMALL[0])
    memory.detach()

    def block(n):
        attach, read, detach = memory.attach, memory.read, memory.detach
        expected = SMALL[0]
        for _ in range(n):
            attach()
            if read(64) != expected:
                wrong()
            detach()

    try:
        yield block
    finally:
        memory.remove()


def attach_id():
    kept = SharedMemory(IPC_PRIVATE, IPC_CREX, size=1 << 20)
    kept.write(SMALL[0])

    def block(n):
        attach, id = sysv_ipc.attach, kept.id
        for _ in range(n):
            memory = attach(id)
            memory.detach()
        memory = attach(id)
        if memory.read(64) != SMALL[0]:
            wrong()
        memory.detach()

    try:
        yield block
    finally:
        kept.remove()


def create_segment():
    def block(n):
        for _ in range(n):
            memory = SharedMemory(IPC_PRIVATE, IPC_CREX, size=4096)
            memory.detach()
            memory.remove()

    yield block


def create_set():
    def block(n):
        for _ in range(n):
            Semaphore(IPC_PRIVATE, IPC_CREX).remove()

    yield block


def create_queue():
    def block(n):
        for _ in range(n):
            MessageQueue(IPC_PRIVATE, IPC_CREX).remove()

    yield block
