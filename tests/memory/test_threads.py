"""Threads that use memory while others change it; what could be a signal runs in a process of its own."""

from __future__ import annotations

import contextlib
import os
import threading

import pytest

import pyipc
from pyipc.memory import Memory


@pytest.fixture
def memory():
    with Memory(100_000) as made:
        made.write(b"fixed")
        yield made


def run_while(threads, change):
    """Start the threads, wait until each has begun, change something, and see that all went well."""
    begun = [threading.Event() for _ in threads]
    problems = []

    def run(use, event):
        try:
            use(event)
        except BaseException as problem:
            problems.append(problem)
            raise
        finally:
            event.set()

    started = [threading.Thread(target=run, args=pair) for pair in zip(threads, begun)]
    for thread in started:
        thread.start()
    for event in begun:
        event.wait()
    change()
    for thread in started:
        thread.join()
    assert problems == []


def test_threads_write_and_read_while_another_grows_it(memory):
    grown = threading.Event()

    def user(place):
        mine = bytes([place]) * 10

        def use(begun):
            while not grown.is_set():
                memory.write(mine, place * 10)
                assert memory.read(10, place * 10) == mine
                assert len(memory.read(70_000)) == 70_000
                assert len(memory.buf) >= 100_000
                begun.set()

        return use

    def grow():
        for size in range(100_000, 1_000_000, 10_000):
            memory.grow(size)
        grown.set()

    run_while([user(place) for place in (1, 2, 3)], grow)
    number = os.fstat(memory.fileno()).st_ino
    with open("/proc/self/maps") as maps:
        assert [line.split()[4] for line in maps].count(str(number)) == 1, "those of before are unmapped"


def test_threads_that_read_while_it_is_frozen_get_the_bytes(memory):
    def use(begun):
        while not memory.read_only:
            assert memory.read(5) == b"fixed"
            assert len(memory.read(70_000)) == 70_000
            begun.set()
        assert memory.read(5) == b"fixed"

    def freeze():
        while not memory.frozen:
            with contextlib.suppress(pyipc.InUseError):  # a thread reads just now
                memory.freeze()

    run_while([use] * 3, freeze)


def close_while_others_use(say, hear):
    import sys
    import threading

    import pyipc
    from pyipc.memory import Memory

    sys.setswitchinterval(1e-5)
    told = []

    def use(memory, started, stop):
        try:
            while not stop.is_set():
                assert memory.read(70_000, 3) == bytes(70_000)
                memory.write(bytes(80_000))
                memory.write(bytearray(80_000))
                memory.write(bytes(10))
                assert memory.read(10) == bytes(10)
                for _ in range(20):
                    memory.buf[5] = 0
                started.set()
        except pyipc.ClosedError as problem:
            told.append(str(problem))

    usable = 0
    for _ in range(50):
        memory = Memory(100_000)
        started, stop = [threading.Event() for _ in range(3)], threading.Event()
        threads = [threading.Thread(target=use, args=(memory, event, stop)) for event in started]
        for thread in threads:
            thread.start()
        for event in started:
            event.wait()
        memory.close()
        for thread in threads:
            thread.join(5)
        usable += any(thread.is_alive() for thread in threads)
        stop.set()
        for thread in threads:
            thread.join()
        if usable:
            break
    say((usable, len(told)))


def test_closing_under_threads_that_use_it_closes_it_and_tells_them(child):
    other = child(close_while_others_use)
    assert other.hear(timeout=40) == (0, 150)
    assert other.end() == 0


def grow_in_threads(say, hear):
    import sys
    import threading

    from pyipc.memory import Memory

    sys.setswitchinterval(1e-6)
    sizes = 100_000, 200_000, 300_000
    too_small = 0
    for _ in range(500):
        with Memory(4096, reserve=False) as memory:
            gate = threading.Barrier(len(sizes))

            def grow(size, memory=memory, gate=gate):
                gate.wait()
                memory.grow(size)

            threads = [threading.Thread(target=grow, args=(size,)) for size in sizes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            too_small += not len(memory.read()) == len(memory.buf) == memory.size == sizes[-1]
    say(too_small)


def test_threads_that_grow_it_at_once_leave_all_of_it_mapped(child):
    other = child(grow_in_threads)
    assert other.hear() == 0
    assert other.end() == 0
