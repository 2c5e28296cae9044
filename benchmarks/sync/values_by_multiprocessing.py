"""The rows of shared values, by multiprocessing."""

from __future__ import annotations

import multiprocessing

from sync.payloads import KILO, MEGA, wrong


def counter():
    number = multiprocessing.Value("q")

    def block(n):
        before, lock = number.value, number.get_lock()
        for _ in range(n):
            with lock:
                number.value += 1
        if number.value != before + n:
            wrong()

    yield block


def value():
    number = multiprocessing.Value("q")

    def block(n):
        for i in range(n):
            number.value = i
            if number.value != i:
                wrong()

    yield block


def latest(payloads):
    array = multiprocessing.Array("c", len(payloads[0]))

    def block(n):
        for i in range(n):
            array.raw = payloads[i % 2]
            if array.raw != payloads[i % 2]:
                wrong()

    yield block


def latest_1k():
    return latest(KILO)


def latest_1m():
    return latest(MEGA)
