"""The rows of shared values, by pyipc."""

from __future__ import annotations

import tempfile
from contextlib import closing

from pyipc.sync import Counter, FileLock, Latest, Value
from sync.payloads import KILO, MEGA, wrong


def counter():
    with Counter() as number:

        def block(n):
            before, add = number.value, number.add
            for _ in range(n):
                add()
            if number.value != before + n:
                wrong()

        yield block


def value():
    number = Value("q")

    def block(n):
        for i in range(n):
            number.value = i
            if number.value != i:
                wrong()

    yield block


def latest(payloads):
    with Latest(len(payloads[0])) as cell:

        def block(n):
            put, get = cell.set, cell.get
            for i in range(n):
                put(payloads[i % 2])
                if get()[0] != payloads[i % 2]:
                    wrong()

        yield block


def latest_1k():
    return latest(KILO)


def latest_1m():
    return latest(MEGA)


def file_lock():
    with tempfile.TemporaryDirectory() as directory, closing(FileLock(f"{directory}/lock")) as lock:

        def block(n):
            acquire, release = lock.acquire, lock.release
            for _ in range(n):
                if not acquire():
                    wrong()
                release()

        yield block
