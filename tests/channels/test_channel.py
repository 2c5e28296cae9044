"""Messages over a channel, between threads and between processes."""

from __future__ import annotations

import importlib.util
import itertools
import math
import os
import threading

import numpy as np
import pytest

import pyipc
from pyipc import channels
from pyipc._backend import ops

here = pytest.mark.needs("channels")

SLOT = 64
SIZES = [0, 1, SLOT - 1, SLOT, SLOT + 1, 4096, 100_000, 1 << 20]


@pytest.mark.skipif(ops.NAME != "fallback", reason="the core has them")
@pytest.mark.parametrize(
    "make",
    [channels.Channel, channels.Queue, channels.JoinableQueue, channels.Pipe],
    ids=lambda it: it.__name__,
)
def test_the_fallback_has_none(make):
    assert not pyipc.capabilities()["channels"]
    with pytest.raises(pyipc.UnsupportedError, match="make a channel"):
        make()


def serves(say, hear, path):
    from pyipc import channels

    with channels.Channel(4, 64, 0) as channel, channels.serve(path, channel):
        say()
        hear()


@pytest.mark.skipif(ops.NAME != "fallback", reason="the core has them")
def test_the_fallback_takes_part_in_none_of_others(child, tmp_path):
    if importlib.util.find_spec("pyipc._core") is None:
        pytest.skip("there is no compiled core to make one")
    path = f"{tmp_path}/channel"
    other = child(serves, path, env={"PYIPC_BACKEND": "native"})
    other.hear()
    with pytest.raises(pyipc.UnsupportedError):
        channels.connect(path, timeout=5)
    other.say()
    assert other.end() == 0


# ---- messages ----


@here
@pytest.mark.parametrize("size", SIZES)
def test_messages_of_any_size_arrive_as_they_are(channel, size):
    data = os.urandom(size)
    channel.send(data)
    assert channel.recv() == data
    channel.send(data)
    buffer = bytearray(size + 3)
    assert channel.recv_into(buffer) == size
    assert buffer == data + bytes(3)
    channel.send(data)
    assert channel.recv_many() == [data]
    channel.send(data)
    with channel.recv(ack=True) as message:
        assert (bytes(message), len(message), message.redelivered) == (data, size, False)
    channel.send(data)
    with channel.peek() as message:
        assert message.buf == data
        assert message.buf.readonly
    with channel.reserve(size) as reserved:
        reserved.buf[:] = data
    assert channel.recv() == data
    assert channel.statistics().depth == 0


@here
@pytest.mark.parametrize("size", SIZES)
def test_messages_of_any_size_between_processes(fork, size):
    there = channels.Channel(slots=2, slot_size=SLOT, capacity=1 << 21)
    back = channels.Channel(slots=2, slot_size=SLOT, capacity=1 << 21)
    data = os.urandom(size)

    def echoes(other):
        for _ in range(5):
            back.send(there.recv(timeout=20))

    other = fork(echoes)
    for i in range(5):
        message = bytes([i]) * (size > 0) + data[1:]
        there.send(message, timeout=20)
        assert back.recv(timeout=20) == message
    assert other.end() == 0
    there.close()
    back.close()


@here
@pytest.mark.parametrize(
    "data",
    [
        b"abc",
        bytearray(b"abc"),
        memoryview(b"abc"),
        memoryview(b"aXbXcX")[::2],
        np.frombuffer(b"abc", "u1"),
        np.frombuffer(b"aXbXcX", "u1")[::2],
        np.frombuffer(b"abc", "u1").reshape(3, 1),
    ],
    ids=lambda it: type(it).__name__,
)
def test_whatever_has_bytes_can_be_sent(channel, data):
    channel.send(data)
    assert channel.recv() == b"abc"
    assert channel.send_many([data, data]) == 2
    assert channel.recv_many() == [b"abc", b"abc"]


@here
def test_empty_arrays_of_any_shape(channel):
    channel.send(np.empty((0, 7)))
    channel.send(memoryview(b""))
    assert channel.recv_many() == [b"", b""]


@here
def test_a_wide_array_is_its_bytes_not_its_items(channel):
    array = np.arange(1000, dtype="i8").reshape(10, 100)
    channel.send(array)
    assert channel.recv() == array.tobytes()
    fortran = np.asfortranarray(array)
    channel.send(fortran)
    assert channel.recv() == array.tobytes()


@here
@pytest.mark.parametrize("data", ["text", 7, None, [1, 2], object()], ids=repr)
def test_what_has_no_bytes_is_refused(channel, data):
    for attempt in channel.send, lambda it: channel.send_many([b"first", it]):
        with pytest.raises(TypeError):
            attempt(data)
    assert channel.statistics().sent == 0


@here
def test_messages_come_in_the_order_they_were_sent(channel):
    sizes = itertools.cycle([0, 3, SLOT, SLOT + 1, 5000])
    sent = [b"%d" % i + bytes(size) for i, size in zip(range(500), sizes)]
    thread = threading.Thread(target=lambda: [channel.send(data) for data in sent])
    thread.start()
    came = [channel.recv(timeout=20) for _ in sent]
    thread.join()
    assert came == sent


@here
def test_many_at_once_in_order_whatever_their_sizes(channel, waiter):
    sizes = itertools.cycle([0, 3, 3, SLOT, 9, SLOT + 1, 1, 5000])
    sent = [b"%d" % i + bytes(size) for i, size in zip(range(1000), sizes)]
    sending = waiter(channel.send_many, sent)
    came = []
    while len(came) < len(sent):
        some = channel.recv_many(timeout=20)
        assert 0 < len(some) <= 8
        came += some
    assert came == sent
    assert sending.outcome() == len(sent)


@here
def test_recv_many_takes_no_more_than_it_is_told_or_waits(channel):
    channel.send_many([b"a", b"b", b"c", b"d"])
    assert channel.recv_many(1) == [b"a"]
    assert channel.recv_many(2) == [b"b", b"c"]
    assert channel.recv_many(10**9) == [b"d"]
    with pytest.raises(pyipc.WouldBlockError):
        channel.recv_many(5, timeout=0)


@here
def test_nothing_is_sent_of_nothing(channel):
    assert channel.send_many([]) == 0
    assert channel.send_many(iter(())) == 0
    assert channel.statistics().sent == 0


@here
def test_send_many_takes_any_iterable(channel):
    assert channel.send_many(b"%d" % i for i in range(5)) == 5
    assert channel.send_many((b"x",)) == 1
    assert channel.recv_many() == [b"0", b"1", b"2", b"3", b"4", b"x"]


@here
def test_send_many_says_how_many_had_room(channel):
    assert channel.send_many([b"x"] * 20, timeout=0) == 8
    with pytest.raises(pyipc.WouldBlockError):
        channel.send_many([b"x"], timeout=0)
    channel.recv_many(3)
    assert channel.send_many([b"y"] * 20, timeout=0.05) == 3
    assert channel.recv_many() == [b"x"] * 5 + [b"y"] * 3


@here
@pytest.mark.parametrize("slots", [1, 2, 3, 5, 100, 1 << 20])
def test_as_many_wait_as_there_are_slots(slots):
    with channels.Channel(slots, 1, 0) as channel:
        assert channel.slots == slots
        assert channel.send_many([b"x"] * (slots + 1), timeout=0) == slots
        with pytest.raises(pyipc.WouldBlockError):
            channel.send(b"x", timeout=0)
        assert channel.recv(timeout=0) == b"x"
        channel.send(b"y", timeout=0)
        assert channel.statistics().depth == slots


@here
def test_a_message_too_long_for_the_buffer_stays_the_next(channel):
    channel.send(b"long enough")
    channel.send(b"next")
    buffer = bytearray(4)
    for _ in range(3):
        with pytest.raises(ValueError, match="11 bytes for a buffer of 4"):
            channel.recv_into(buffer)
    assert buffer == bytes(4)
    assert channel.recv() == b"long enough"
    assert channel.recv_into(buffer) == 4
    assert buffer == b"next"


@here
def test_into_an_array(channel):
    array = np.zeros((2, 50), "i4")
    channel.send(np.arange(100, dtype="i4"))
    assert channel.recv_into(array) == 400
    assert array[1, 49] == 99


@here
def test_into_what_cannot_be_written_or_is_in_pieces(channel):
    channel.send(b"abc")
    for buffer in b"abc", memoryview(bytearray(8))[::2], "text":
        with pytest.raises((TypeError, BufferError, ValueError)):
            channel.recv_into(buffer)
    assert channel.recv() == b"abc"


# ---- arguments ----

NO_TIMEOUTS = [-1, -0.001, math.nan, "1", b"", object()]


@here
@pytest.mark.parametrize("timeout", NO_TIMEOUTS, ids=repr)
def test_what_is_no_timeout_is_refused_before_anything_is_done(channel, timeout):
    channel.send(b"stays")
    calls = [
        lambda: channel.send(b"x", timeout),
        lambda: channel.send_many([b"x"], timeout),
        lambda: channel.reserve(10, timeout),
        lambda: channel.recv(timeout),
        lambda: channel.recv(timeout, ack=True),
        lambda: channel.recv_into(bytearray(9), timeout),
        lambda: channel.recv_many(3, timeout),
        lambda: channel.peek(timeout),
    ]
    for call in calls:
        with pytest.raises((ValueError, TypeError)):
            call()
    with channel.reserve(5) as reserved:
        with pytest.raises((ValueError, TypeError)):
            reserved.commit(timeout=timeout)
        reserved.cancel()
    counts = channel.statistics()
    assert (counts.sent, counts.received) == (1, 0)


@here
@pytest.mark.parametrize("timeout", [math.inf, 1e300, 2**63, 1, 1.5, True, np.float64(2)], ids=repr)
def test_timeouts_of_any_number(channel, timeout):
    channel.send(b"x", timeout)
    assert channel.recv(timeout) == b"x"


@here
@pytest.mark.parametrize("most", [0, -1, -(2**70)])
def test_no_messages_at_all_are_refused(channel, most):
    with pytest.raises(ValueError, match="none"):
        channel.recv_many(most)


@here
def test_sizes_that_cannot_be_reserved(channel):
    with pytest.raises(ValueError, match="not -1"):
        channel.reserve(-1)
    with pytest.raises(TypeError):
        channel.reserve("10")
    with channel.reserve(10) as reserved:
        for size in -1, 11, 2**70:
            with pytest.raises(ValueError, match="of the 10"):
                reserved.commit(size)
        reserved.cancel()


@here
@pytest.mark.parametrize(
    "wrong",
    [
        {"slots": 0},
        {"slots": -1},
        {"slots": (1 << 20) + 1},
        {"slot_size": 0},
        {"slot_size": 65537},
        {"capacity": -1},
        {"capacity": (1 << 46) + 1},
    ],
    ids=str,
)
def test_channels_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong)))):
        channels.Channel(**wrong)


@here
def test_calls_by_name_and_with_too_much(channel):
    channel.send(data=b"x", timeout=1)
    channel.send_many(messages=[b"y"], timeout=1)
    assert channel.recv(timeout=1) == b"x"
    assert channel.recv_many(most=3, timeout=1) == [b"y"]
    for call in (
        lambda: channel.send(),
        lambda: channel.send(b"x", 1, 2),
        lambda: channel.send(b"x", wait=1),
        lambda: channel.recv(1, True),
        lambda: channel.recv(most=3),
        lambda: channel.send(b"x", data=b"x"),
    ):
        with pytest.raises(TypeError):
            call()
    assert channel.statistics().sent == 2
