"""The rows of System V, by sysvipc-python, which has semaphore sets only."""

from __future__ import annotations

from sysvipc import GETVAL, IPC_PRIVATE, IPC_RMID, semctl, semget, semop

from sysv.payloads import wrong


def _operate(count):
    id = semget(IPC_PRIVATE, count, 0o600)
    up = [(place, 1, 0) for place in range(count)]
    down = [(place, -1, 0) for place in range(count)]

    def block(n):
        for _ in range(n):
            semop(id, up)
            semop(id, down)
        if semctl(id, count - 1, GETVAL) != 0:
            wrong()

    try:
        yield block
    finally:
        semctl(id, 0, IPC_RMID)


def semop_one():
    return _operate(1)


def semop_three():
    return _operate(3)


def create_set():
    def block(n):
        for _ in range(n):
            semctl(semget(IPC_PRIVATE, 1, 0o600), 0, IPC_RMID)

    yield block
