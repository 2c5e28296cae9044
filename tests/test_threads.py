"""Threads that share handles: what must hold with a GIL, and without one."""

from __future__ import annotations

import contextlib
import os
import select
import struct
import subprocess
import sys
import threading
import time

import pytest

import pyipc
from pyipc import channels, fds, memory, posix, signals, sysv

SECONDS = 0.3  # of each, to come upon what happens seldom
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _many_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def together(waiter):
    """Call these at once, each in a thread of its own: what each has given or raised."""

    def call(*functions):
        gate = threading.Barrier(len(functions))

        def start(function):
            gate.wait(PATIENCE)
            return function()

        waiters = [waiter(lambda function=function: start(function)) for function in functions]
        for one in waiters:
            one.join(PATIENCE)
            assert not one.is_alive()
        return [one.outcome for one in waiters]

    return call


def until_over():
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        yield


MAKERS = {
    "semaphore": lambda: sysv.Semaphore.create(0),
    "queue": lambda: sysv.MessageQueue.create(),
    "posix memory": lambda: posix.SharedMemory.create(None, 100),
    "memory": lambda: memory.Memory(100),
    "reaper": signals.Reaper,
}


def open_some():
    return [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]


def closed_by_two(make, together):
    handle = make()
    *outcomes, strangers = together(handle.close, handle.close, open_some)
    for number in strangers:
        os.close(number)  # which is still open
    assert outcomes == [None, None]


@pytest.mark.parametrize("kind", MAKERS)
def test_two_that_close_close_once(kind, together):
    for _ in until_over():
        closed_by_two(MAKERS[kind], together)


@pytest.mark.needs("posix.message_queues")
def test_two_that_close_a_queue_of_posix_close_once(together):
    for _ in until_over():
        closed_by_two(lambda: posix.MessageQueue.create(None), together)


@pytest.mark.needs("fds.eventfd")
def test_what_is_written_while_another_closes_reaches_no_stranger(together):
    shared = [fds.Eventfd.create()]
    over = threading.Event()

    def write():
        while not over.is_set():
            with contextlib.suppress(pyipc.ClosedError):
                shared[0].write(1, 0)

    def close():
        try:
            for _ in until_over():
                shared[0].close()
                with fds.Eventfd.create() as stranger:
                    with pytest.raises(pyipc.WouldBlockError):
                        stranger.read(0)
                    shared[0] = fds.Eventfd.create()
        finally:
            over.set()

    assert together(write, write, close) == [None, None, None]
    shared[0].close()


@pytest.mark.parametrize("make", [lambda: memory.Memory(4096), lambda: posix.SharedMemory.create(None, 4096)])
def test_all_may_read_and_write_one_memory(make, together):
    def copy(handle, place):
        data = bytes([place]) * 64
        for _ in until_over():
            handle.write(data, 64 * place)
            assert handle.read(64, 64 * place) == data
            assert handle.buf[64 * place] == place

    with make() as handle:
        calls = [lambda place=place: copy(handle, place) for place in range(4)]
        assert together(*calls) == [None] * 4


@pytest.mark.needs("channels")
def test_no_message_is_lost_or_comes_twice(together):
    count, got = 300, []
    with channels.Channel(16, 32, 1 << 20) as channel:

        def send(who):
            for number in range(count):
                channel.send(struct.pack("2i", who, number) * (1 + 10 * (number % 20 == 0)))

        def receive():
            for _ in range(count):
                got.append(channel.recv(PATIENCE)[:8])

        assert together(lambda: send(0), lambda: send(1), receive, receive) == [None] * 4
    sent = [struct.pack("2i", who, number) for who in range(2) for number in range(count)]
    assert sorted(got) == sorted(sent)


@pytest.mark.needs("channels")
def test_a_message_that_two_return_comes_once(together):
    def reject(message):
        with contextlib.suppress(ValueError):  # another was faster
            message.reject()

    with channels.Channel() as channel:
        channel.send(b"one")
        for _ in until_over():
            message = channel.recv(PATIENCE, ack=True)
            assert together(*[lambda message=message: reject(message)] * 3) == [None] * 3
            del message
        with channel.recv(PATIENCE, ack=True) as message:
            assert message.redelivered
        with pytest.raises(pyipc.WouldBlockError):
            channel.recv(0)


@pytest.mark.needs("channels")
def test_a_peer_is_told_though_the_thread_that_made_the_handle_sleeps(waiter, until, asleep):
    """Without a GIL, what another thread drops lives on until the one that made it runs Python."""
    reader, writer = channels.Channel().split()
    over_reading, over_writing = os.pipe()
    told = []

    def wait():
        with pytest.raises(pyipc.PeerGoneError):
            reader.recv(PATIENCE)

    def close():
        until(lambda: asleep(os.getpid()))
        writer.close()
        waiting.join(PATIENCE / 4)
        told.append(not waiting.is_alive())
        os.close(over_writing)

    waiting = waiter(wait)
    closing = waiter(close)
    assert select.select([over_reading], [], [], PATIENCE)[0]
    closing.join()
    waiting.join()
    assert told == [True]
    assert waiting.outcome is None
    reader.close()
    os.close(over_reading)


USES = """
import random, threading, pyipc
gate, problems = threading.Barrier(8), []

def use(seed):
    chapters = list(pyipc._CHAPTERS)
    random.Random(seed).shuffle(chapters)
    gate.wait(20)
    try:
        for name in chapters:
            chapter = getattr(pyipc, name)
            for public in chapter.__all__:
                getattr(chapter, public)
        pyipc.wait
    except Exception as problem:
        problems.append(repr(problem))

threads = [threading.Thread(target=use, args=(seed,)) for seed in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not problems, problems
"""


def test_all_may_be_the_first_to_use_a_chapter():
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", USES], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
