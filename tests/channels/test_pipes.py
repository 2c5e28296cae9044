"""Connections: objects and bytes over pipes of channels."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest

import pyipc
from pyipc import channels

pytestmark = pytest.mark.needs("channels")


@pytest.fixture
def pipe():
    one, other = channels.Pipe(capacity=1 << 20)
    with one, other:
        yield one, other


def test_objects_both_ways(pipe):
    one, other = pipe
    for obj in None, [1, {"two": 3}], b"x" * 1008, "y" * 100_000:
        one.send(obj)
        assert other.recv() == obj
        other.send([obj])
        assert one.recv() == [obj]


def test_one_way():
    receiving, sending = channels.Pipe(duplex=False)
    with receiving, sending:
        assert (receiving.readable, receiving.writable) == (True, False)
        assert (sending.readable, sending.writable) == (False, True)
        sending.send("x")
        assert receiving.poll()
        assert receiving.recv() == "x"
        for call in (
            lambda: receiving.send(1),
            lambda: receiving.send_bytes(b"x"),
            sending.recv,
            sending.recv_bytes,
            lambda: sending.recv_bytes_into(bytearray(9)),
            sending.poll,
        ):
            with pytest.raises(OSError, match=r"does not (send|receive)"):
                call()


def test_between_processes(pipe, fork):
    one, other = pipe

    def echoes(child):
        one.close()
        while True:
            obj = other.recv()
            if obj is None:
                return
            other.send(obj * 2)

    child = fork(echoes)
    other.close()
    for obj in "x", [1], "y" * 50_000, np.arange(50_000):
        one.send(obj)
        assert np.array_equal(one.recv(), obj * 2)
    one.send(None)
    assert child.end() == 0
    with pytest.raises(EOFError):
        one.recv()
    with pytest.raises(BrokenPipeError):
        send_until_refused(one)


def send_until_refused(connection):
    end = time.monotonic() + 5
    while time.monotonic() < end:
        connection.send("x")


def test_arrays_outlive_the_connection(pipe):
    one, other = pipe
    one.send([np.arange(100_000), "with it"])
    array, text = other.recv()
    one.close()
    other.close()
    gc.collect()
    array += 1
    assert (array[0], array[-1], text) == (1, 100_000, "with it")


# ---- bytes ----


@pytest.mark.parametrize("size", [0, 1, 1007, 1008, 1009, 100_000])
def test_bytes(pipe, size):
    one, other = pipe
    data = os.urandom(size)
    one.send_bytes(data)
    assert other.recv_bytes() == data
    one.send_bytes(memoryview(data))
    buffer = bytearray(size + 5)
    assert other.recv_bytes_into(buffer, 5) == size
    assert buffer == bytes(5) + data
    one.send_bytes(np.frombuffer(data, "u1"))
    assert other.recv_bytes(size) == data


def test_parts_of_a_buffer(pipe):
    one, other = pipe
    wide = np.arange(10, dtype="i4")
    for arguments, came in (
        ((b"abcdef",), b"abcdef"),
        ((b"abcdef", 2), b"cdef"),
        ((b"abcdef", 2, 3), b"cde"),
        ((b"abcdef", 6), b""),
        ((b"abcdef", 6, 0), b""),
        ((b"", 0, 0), b""),
        ((wide, 4, 8), wide[1:3].tobytes()),
        ((wide[::2],), wide[::2].tobytes()),
        ((np.empty((0, 3)),), b""),
    ):
        one.send_bytes(*arguments)
        assert other.recv_bytes() == came
    for wrong in (
        (b"abc", 4),
        (b"abc", -1),
        (b"abc", 2, 2),
        (b"abc", 0, -1),
        (b"abc", 3, 1),
    ):
        with pytest.raises(ValueError, match=r"offset|size|length"):
            one.send_bytes(*wrong)
    with pytest.raises(TypeError):
        one.send_bytes("text")
    assert not other.poll()


def test_bytes_longer_than_allowed_stay(pipe):
    one, other = pipe
    one.send_bytes(b"abcdef")
    for most in 0, 5:
        with pytest.raises(OSError, match="6 bytes"):
            other.recv_bytes(most)
    with pytest.raises(ValueError, match="negative"):
        other.recv_bytes(-1)
    assert other.recv_bytes(6) == b"abcdef"


def test_a_buffer_too_short_gets_the_bytes_by_the_exception(pipe):
    one, other = pipe
    one.send_bytes(b"abcdef")
    one.send_bytes(b"next")
    buffer = bytearray(5)
    with pytest.raises(multiprocessing.BufferTooShort) as caught:
        other.recv_bytes_into(buffer)
    assert caught.value.args == (b"abcdef",)
    assert buffer == bytes(5)
    with pytest.raises(ValueError, match="negative"):
        other.recv_bytes_into(buffer, -1)
    with pytest.raises(ValueError, match="too large"):
        other.recv_bytes_into(buffer, 6)
    with pytest.raises(TypeError):
        other.recv_bytes_into(b"cannot be written")
    assert other.recv_bytes_into(buffer, 1) == 4
    assert buffer == b"\0next"


def test_what_is_longer_than_the_capacity(pipe):
    one, other = pipe
    for call in lambda: one.send_bytes(bytes(2 << 20)), lambda: one.send("x" * (2 << 20)):
        with pytest.raises(pyipc.LimitError, match="capacity"):
            call()
    assert not other.poll()


# ---- poll ----


def test_poll(pipe, waiter, slept):
    one, other = pipe
    assert other.poll() is False
    assert other.poll(-1) is False
    for timeout in 0.02, 0.2:
        begun = time.monotonic()
        assert other.poll(timeout) is False
        assert timeout <= time.monotonic() - begun < timeout + 0.2
    with slept(other._reader):
        polling = waiter(other.poll, None)
    one.send_bytes(b"")
    assert polling.outcome() is True
    assert other.poll() is True
    assert other.poll(5) is True
    assert other.recv_bytes() == b""
    assert other.poll() is False
    one.close()
    assert other.poll() is True
    with pytest.raises(EOFError):
        other.recv()
    assert other.poll(None) is True


def test_poll_says_no_without_being_asked_to_wait_when_another_was_faster(pipe, fork):
    one, other = pipe

    def takes(child):
        child.say(other.recv())

    one.send("x")
    assert other.poll()
    assert fork(takes).hear() == "x"
    assert other.poll() is False


# ---- the end ----


@pytest.mark.parametrize("way", ["closes", "exits", "is killed"])
def test_the_end(pipe, fork, waiter, slept, way):
    one, other = pipe

    def lives(child):
        one.close()
        child.say()
        child.hear()
        if way == "closes":
            other.close()
            child.say()
            signal.pause()

    child = fork(lives)
    other.close()
    child.hear()
    with slept(one._reader):
        receiving = waiter(one.recv)
    if way == "is killed":
        child.kill()
    else:
        child.say()
    outcome = receiving.outcome()
    assert isinstance(outcome, EOFError)
    assert isinstance(outcome, pyipc.PeerGoneError)
    with pytest.raises(EOFError):
        one.recv_bytes()
    with pytest.raises(BrokenPipeError):
        send_until_refused(one)


@pytest.mark.parametrize("call", ["recv", "recv_bytes", "poll", "send"])
def test_close_ends_the_waits_of_other_threads(waiter, slept, call):
    one, other = channels.Pipe()
    with other:
        if call == "send":
            for _ in range(64):
                one.send("x")
        with slept(one._reader, one._writer):
            waiting = waiter(
                {"recv": one.recv, "recv_bytes": one.recv_bytes, "poll": lambda: one.poll(None)}.get(
                    call, lambda: one.send("y")
                )
            )
        one.close()
        assert isinstance(waiting.outcome(), pyipc.ClosedError)


def test_a_closed_connection_says_so(pipe):
    one, _ = pipe
    assert not one.closed
    assert repr(one) == "<connection>"
    one.close()
    one.close()
    assert one.closed
    assert repr(one) == "<connection, closed>"
    for call in (
        lambda: one.send(1),
        lambda: one.send_bytes(b"x"),
        one.recv,
        one.recv_bytes,
        lambda: one.recv_bytes_into(bytearray(9)),
        one.poll,
        one.fileno,
        lambda: pyipc.wait([one], 0),
    ):
        with pytest.raises(OSError, match="closed"):
            call()


def test_one_that_is_dropped_closes_itself_in_silence():
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    one, other = channels.Pipe()
    del other
    with pytest.raises(EOFError):
        one.recv()
    del one
    assert len(os.listdir("/proc/self/fd")) == before


def test_threads_share_a_connection(pipe):
    """Where multiprocessing's would mix up their bytes."""
    one, other = pipe
    each, threads, came = 500, 3, []

    def sends(number):
        for i in range(each):
            one.send((number, i, b"x" * (i * 3)))

    def receives():
        while True:
            value = other.recv()
            if value is None:
                return
            assert value[2] == b"x" * (value[1] * 3)
            came.append(value[:2])

    sending = [threading.Thread(target=sends, args=[i]) for i in range(threads)]
    receiving = [threading.Thread(target=receives) for _ in range(threads)]
    for thread in sending + receiving:
        thread.start()
    for thread in sending:
        thread.join()
    for _ in receiving:
        one.send(None)
    for thread in receiving:
        thread.join()
    assert sorted(came) == [(number, i) for number in range(threads) for i in range(each)]


def test_no_message_is_lost_or_torn_whoever_is_killed(fork):
    """One end is killed in the middle of large messages; the other sees whole ones, then the end."""
    for i in range(15):
        receiving, sending = channels.Pipe(False)

        def sends(child, receiving=receiving, sending=sending):
            receiving.close()
            child.say()
            number = 0
            while True:
                sending.send((number, np.full(30_000, number, "i4")))
                number += 1

        child = fork(sends)
        sending.close()
        child.hear()
        time.sleep(0.002 * i)  # a moment of its life
        child.kill()
        came = 0
        with contextlib.suppress(EOFError):
            while True:
                number, array = receiving.recv()
                assert number == came
                assert (array == number).all()
                came += 1
        receiving.close()
