"""Channel, Reader and Writer: messages of bytes."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import itertools
import math
import os
import signal
import threading
import time

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


# ---- memory ----


@here
def test_what_is_longer_than_the_capacity_is_refused_at_once(channel):
    for call in (
        lambda: channel.send(bytes((1 << 20) + 1)),
        lambda: channel.send_many([bytes((1 << 20) + 1)]),
        lambda: channel.reserve((1 << 20) + 1),
        lambda: channel.reserve(1 << 40),
    ):
        with pytest.raises(pyipc.LimitError, match="capacity") as caught:
            call()
        assert (caught.value.limit, caught.value.value) == ("capacity", 1 << 20)
    channel.send(bytes(1 << 20))
    assert len(channel.recv()) == 1 << 20


@here
def test_without_capacity_only_slots():
    with channels.Channel(4, 32, 0) as channel:
        channel.send(bytes(32))
        with pytest.raises(pyipc.LimitError):
            channel.send(bytes(33))
        with pytest.raises(pyipc.LimitError):
            channel.recv(ack=True)
        assert channel.recv() == bytes(32)


@here
def test_send_many_says_how_many_went_before_one_too_long(channel):
    assert channel.send_many([b"a", b"b", bytes(2 << 20), b"c"]) == 2
    assert channel.recv_many() == [b"a", b"b"]


@here
def test_a_full_capacity_is_waited_for(channel, waiter, slept):
    with slept(channel):
        channel.send(bytes(1 << 19))
        held = channel.peek()
        channel.send(bytes(1 << 19))
        with pytest.raises(pyipc.WouldBlockError):
            channel.send(bytes(1000), timeout=0)
        begun = time.monotonic()
        with pytest.raises(pyipc.TimedOutError):
            channel.send(bytes(1000), timeout=0.1)
        assert 0.1 <= time.monotonic() - begun < 1
        sending = waiter(channel.send, bytes(1000), 20)
    held.ack()
    assert sending.outcome() is None
    assert [len(channel.recv()) for _ in range(2)] == [1 << 19, 1000]


@here
def test_memory_is_used_again_and_again(channel):
    for i in range(300):
        channel.send(bytes([i % 256]) * (1 << 20), timeout=0)
        assert channel.recv(timeout=0)[::4096] == bytes([i % 256]) * 256
    for i in range(300):
        with channel.reserve(1 << 20, timeout=0) as reserved:
            reserved.buf[:1] = bytes([i % 256])
        with channel.peek(timeout=0) as message:
            assert message.buf[0] == i % 256
    for _ in range(300):
        channel.reserve(1 << 20, timeout=0).cancel()


@here
def test_views_and_arrays_outlive_ack_and_close():
    channel = channels.Channel(8, 64, 1 << 20)
    data = os.urandom(500_000)
    channel.send(data)
    message = channel.peek()
    view, array = message.buf, np.frombuffer(message.buf, "u1")
    message.ack()
    with pytest.raises(pyipc.WouldBlockError):
        channel.reserve(1 << 20, timeout=0)  # it is not free
    channel.close()
    assert view == data
    assert array.tobytes() == data
    parts = [view[i::7] for i in range(7)]
    del view, message
    gc.collect()
    assert bytes(parts[3]) == data[3::7]
    assert array.tobytes() == data


@here
def test_memory_is_free_when_the_last_view_goes(channel):
    channel.send(bytes(1 << 20))
    with channel.peek() as message:
        array = np.frombuffer(message.buf, "u1")[::2]
    part = array[100:200]
    del array
    gc.collect()
    with pytest.raises(pyipc.WouldBlockError):
        channel.reserve(1 << 20, timeout=0)
    del part, message
    channel.reserve(1 << 20, timeout=0).cancel()


@here
def test_memory_is_free_when_the_last_view_goes_though_the_handle_is_closed(ends):
    reader, writer = ends
    writer.send(bytes(1 << 20))
    message = reader.peek()
    view = message.buf
    message.ack()
    reader.close()
    del message
    with pytest.raises((pyipc.WouldBlockError, pyipc.PeerGoneError)):
        writer.reserve(1 << 20, timeout=0)
    del view
    writer.reserve(1 << 20, timeout=0).cancel()


@here
def test_memory_of_a_killed_process_is_free(fork):
    channel = channels.Channel(8, 64, 1 << 20)

    def takes(other):
        reserved = channel.reserve(1 << 19)
        kept = channel.recv(timeout=20)
        other.say(reserved.size + len(kept))
        signal.pause()

    other = fork(takes)
    channel.send(bytes(1 << 19))
    assert other.hear() == 1 << 20
    with pytest.raises(pyipc.WouldBlockError):
        channel.reserve(1 << 20, timeout=0)
    other.kill()
    channel.reserve(1 << 20, timeout=0).cancel()
    channel.close()


@here
def test_a_reservation_is_sent_shorter_or_not_at_all(channel):
    with channel.reserve(1000) as reserved:
        assert (reserved.size, len(reserved.buf)) == (1000, 1000)
        reserved.buf[:3] = b"abc"
        reserved.commit(3)
    with pytest.raises(KeyError), channel.reserve(1000):
        raise KeyError
    with channel.reserve(0):
        pass
    assert [channel.recv(timeout=0) for _ in range(2)] == [b"abc", b""]
    assert channel.statistics().depth == 0


@here
def test_a_reservation_is_over_after_commit_or_cancel(channel):
    done = channel.reserve(10)
    done.commit()
    dropped = channel.reserve(10)
    dropped.cancel()
    for reserved in done, dropped:
        with pytest.raises(ValueError, match="committed or cancelled"):
            reserved.buf  # noqa: B018
        with pytest.raises(ValueError, match="committed or cancelled"):
            reserved.commit()
        reserved.cancel()
    assert channel.statistics().sent == 1


@here
def test_a_reservation_without_room_stays_reserved(channel):
    channel.send_many([b"x"] * 8)
    reserved = channel.reserve(5)
    reserved.buf[:] = b"later"
    for timeout, problem in (0, pyipc.WouldBlockError), (0.02, pyipc.TimedOutError):
        with pytest.raises(problem):
            reserved.commit(timeout=timeout)
    channel.recv()
    reserved.commit(timeout=0)
    assert [channel.recv() for _ in range(8)] == [b"x"] * 7 + [b"later"]


@here
def test_a_reservation_that_is_dropped_frees_its_memory(channel):
    reserved = channel.reserve(1 << 20)
    del reserved
    channel.reserve(1 << 20, timeout=0).cancel()


@here
def test_at_most_240_are_reserved_and_16_more_kept():
    with channels.Channel(16, 16, 1 << 20) as channel:
        held = [channel.reserve(1) for _ in range(240)]
        with pytest.raises(pyipc.WouldBlockError):
            channel.reserve(1, timeout=0)
        channel.send_many([b"x"] * 16)  # short ones go on
        kept = [channel.recv(ack=True, timeout=0) for _ in range(16)]
        channel.send(b"y")
        with pytest.raises(pyipc.LimitError):
            channel.recv(ack=True)
        assert channel.recv() == b"y"
        held.pop().cancel()
        channel.reserve(1, timeout=0).cancel()
        for message in kept:
            message.ack()


# ---- acknowledged, or not ----


@here
@pytest.mark.parametrize("size", [0, 5, SLOT, SLOT + 1, 9999])
def test_what_is_not_acknowledged_comes_back(channel, size):
    data = os.urandom(size)
    channel.send(data)
    channel.send(b"next")
    message = channel.recv(ack=True)
    assert not message.redelivered
    message.reject()
    message = channel.recv(ack=True, timeout=0)
    assert (bytes(message), message.redelivered) == (data, True)
    del message
    message = channel.recv(ack=True, timeout=0)
    assert (bytes(message), message.redelivered) == (data, True)
    with pytest.raises(KeyError), message:
        raise KeyError
    assert channel.recv(timeout=0) == data
    message = channel.recv(ack=True, timeout=0)
    assert (bytes(message), message.redelivered) == (b"next", False)
    message.ack()
    with pytest.raises(pyipc.WouldBlockError):
        channel.recv(timeout=0)


@here
def test_a_message_is_over_once(channel):
    channel.send_many([b"a", b"b"])
    acknowledged, returned = channel.recv(ack=True), channel.recv(ack=True)
    acknowledged.ack()
    returned.reject()
    for message in acknowledged, returned:
        for use in message.ack, message.reject, lambda it=message: it.buf, lambda it=message: len(it):
            with pytest.raises(ValueError, match="acknowledged or returned"):
                use()
        with message:
            pass
    assert channel.recv_many() == [b"b"]


@here
def test_a_message_of_the_dead_comes_to_another(fork):
    with channels.Channel(8, 64, 1 << 20) as channel:

        def takes(other):
            kept = [channel.recv(timeout=20, ack=True) for _ in range(3)]
            kept[0].ack()
            other.say([bytes(message) for message in kept[1:]])
            signal.pause()

        other = fork(takes)
        channel.send_many([b"done", b"short", b"long" * 100])
        assert other.hear() == [b"short", b"long" * 100]
        with pytest.raises(pyipc.WouldBlockError):
            channel.recv(timeout=0)
        other.kill()
        begun = time.monotonic()
        came = [channel.recv(timeout=5, ack=True) for _ in range(2)]
        assert time.monotonic() - begun < 2
        assert {bytes(message) for message in came} == {b"short", b"long" * 100}
        assert all(message.redelivered for message in came)
        for message in came:
            message.ack()
        with pytest.raises(pyipc.WouldBlockError):
            channel.recv(timeout=0)


@here
@pytest.mark.parametrize("way", ["killed", "rejected", "closed"])
def test_who_sleeps_is_told_that_a_message_has_come_back(fork, waiter, slept, way):
    with channels.Channel(8, 64, 1 << 20) as channel:

        def takes(other):
            message = channel.recv(timeout=20, ack=True)
            other.say()
            other.hear()
            if way == "rejected":
                message.reject()
            if way == "closed":
                del message
                channel.close()
            other.say()
            signal.pause()

        other = fork(takes)
        channel.send(b"again")
        other.hear()
        with slept(channel):
            receiving = waiter(channel.recv, 20)
        begun = time.monotonic()
        if way == "killed":
            other.kill()
        else:
            other.say()
            other.hear()
        assert receiving.outcome() == b"again"
        assert time.monotonic() - begun < (1.5 if way == "killed" else 0.5)


@here
def test_the_end_waits_for_what_may_come_back(fork, waiter):
    """Nobody sends any more, but another may yet die with a message."""
    reader, writer = channels.Channel(8, 64, 1 << 20).split()

    def takes(other):
        writer.close()
        other.say(bytes(reader.recv(timeout=20, ack=True)))
        message = reader.recv(timeout=20, ack=True)
        other.say(bytes(message))
        signal.pause()

    other = fork(takes)
    writer.send_many([b"x"])
    assert other.hear() == b"x"
    other_still_has_it = pytest.raises(pyipc.TimedOutError)
    assert other.hear() == b"x"  # dropped, it came back
    writer.close()
    with other_still_has_it:
        reader.recv(timeout=0.2)
    receiving = waiter(reader.recv, 20)
    other.kill()
    assert receiving.outcome() == b"x"
    with pytest.raises(pyipc.PeerGoneError):
        reader.recv()
    reader.close()


@here
def test_a_forked_child_cannot_acknowledge_what_its_parent_has(channel, fork):
    channel.send(b"mine")
    message = channel.recv(ack=True)

    def tries(other):
        try:
            message.ack()
        except pyipc.IPCError as problem:
            other.say(type(problem).__name__)
        else:
            other.say("acknowledged")

    other = fork(tries)
    assert other.hear() != "acknowledged"
    assert other.end() == 0
    message.reject()
    assert channel.recv(timeout=0) == b"mine"


# ---- timeouts ----


@here
def test_without_waiting(channel):
    calls = [
        lambda: channel.recv(timeout=0),
        lambda: channel.recv(timeout=0, ack=True),
        lambda: channel.recv_into(bytearray(9), timeout=0),
        lambda: channel.recv_many(timeout=0),
        lambda: channel.peek(timeout=0),
    ]
    for call in calls:
        begun = time.monotonic()
        with pytest.raises(pyipc.WouldBlockError):
            call()
        assert time.monotonic() - begun < 0.1
    channel.send_many([b"x"] * 8)
    for call in (
        lambda: channel.send(b"x", timeout=0),
        lambda: channel.send(bytes(1000), timeout=0),
        lambda: channel.send_many([b"x"], timeout=0),
    ):
        with pytest.raises(pyipc.WouldBlockError):
            call()


@here
@pytest.mark.parametrize("timeout", [0.001, 0.05, 1.2])
def test_timeouts_are_kept(channel, timeout):
    channel.send_many([b"x"] * 8)
    full = [
        lambda: channel.send(b"x", timeout),
        lambda: channel.send(bytes(1000), timeout),
    ]
    with channels.Channel(8, 64, 1 << 20) as empty:
        calls = [
            *full,
            lambda: empty.recv(timeout),
            lambda: empty.recv(timeout, ack=True),
            lambda: empty.recv_into(bytearray(9), timeout),
            lambda: empty.recv_many(3, timeout),
        ]
        for call in calls if timeout < 1 else calls[1:3]:
            begun = time.monotonic()
            with pytest.raises(pyipc.TimedOutError):
                call()
            assert timeout <= time.monotonic() - begun < timeout + 0.3


@here
def test_a_wait_ends_with_what_it_waits_for(channel, waiter, slept):
    for receive in channel.recv, channel.recv_many, channel.peek:
        with slept(channel):
            receiving = waiter(receive)
        channel.send(b"at last")
        result = receiving.outcome()
        if receive == channel.peek:
            assert bytes(result) == b"at last"
            result.ack()
        else:
            assert result in (b"at last", [b"at last"])


@here
def test_a_sender_waits_for_room(channel, waiter, slept):
    channel.send_many([b"x"] * 8)
    for data in b"short", b"long" * 100:
        with slept(channel):
            sending = waiter(channel.send, data)
        assert channel.recv() == b"x"
        assert sending.outcome() is None
    with slept(channel):
        sending = waiter(channel.send_many, [b"y"] * 20)
    came = []
    while len(came) < 28:
        came.append(channel.recv(timeout=20))
    assert sending.outcome() == 20
    assert came[6:8] == [b"short", b"long" * 100]


# ---- the other side ----


@here
@pytest.mark.parametrize("way", ["closes", "exits", "is killed"])
def test_the_end_after_what_was_sent(fork, way):
    reader, writer = channels.Channel(8, 64, 1 << 20).split()

    def sends(other):
        reader.close()
        writer.send(b"last words")
        writer.send(b"and more" * 100)
        if way == "closes":
            writer.close()
        if way != "exits":
            other.say()
            signal.pause()

    other = fork(sends)
    writer.close()
    if way == "exits":
        assert other.end() == 0
    else:
        other.hear()
    if way == "is killed":
        other.kill()
    assert reader.recv(timeout=5) == b"last words"
    assert reader.recv(timeout=5) == b"and more" * 100
    for call in (
        lambda: reader.recv(),
        lambda: reader.recv(timeout=0),
        lambda: reader.recv(timeout=1, ack=True),
        lambda: reader.recv_many(),
        lambda: reader.recv_into(bytearray(9)),
        lambda: reader.peek(),
    ):
        with pytest.raises(pyipc.PeerGoneError):
            call()
    assert list(reader) == []
    reader.close()


def send_on(send):
    while True:
        with contextlib.suppress(pyipc.WouldBlockError):
            send()


@here
@pytest.mark.parametrize("way", ["closes", "exits", "is killed"])
@pytest.mark.parametrize("data", [b"short", b"long" * 100], ids=["short", "long"])
def test_nobody_receives_any_more(fork, way, data):
    reader, writer = channels.Channel(8, 64, 1 << 20).split()

    def receives(other):
        writer.close()
        reader.recv(timeout=20)
        if way == "closes":
            reader.close()
        if way != "exits":
            other.say()
            signal.pause()

    other = fork(receives)
    reader.close()
    writer.send(data)
    if way == "exits":
        assert other.end() == 0
    else:
        other.hear()
    if way == "is killed":
        other.kill()
    begun = time.monotonic()
    with pytest.raises(pyipc.PeerGoneError):
        send_on(lambda: writer.send(data, timeout=0))
    assert time.monotonic() - begun < 0.1 + 0.1  # and what a busy machine takes
    time.sleep(0.06)  # is what this is about: knowledge that grows old
    with pytest.raises(pyipc.PeerGoneError):
        writer.send_many([data, data])
    reserved = writer.reserve(10, timeout=0)
    with pytest.raises(pyipc.PeerGoneError):
        reserved.commit(timeout=0)
    reserved.cancel()
    writer.close()


@here
def test_a_sender_that_never_waits_learns_it_all_the_same(fork):
    """There is room for all, so that neither a token nor a wait tells it."""
    reader, writer = channels.Channel(slots=1 << 18, slot_size=16, capacity=0).split()

    def receives(other):
        writer.close()
        reader.recv(timeout=20)
        other.say()
        signal.pause()

    other = fork(receives)
    reader.close()
    writer.send_many([b"x"] * 10)
    other.hear()
    other.kill()
    begun = time.monotonic()
    with pytest.raises(pyipc.PeerGoneError):
        send_on(lambda: (writer.send(b"x"), time.sleep(0.0002)))
    assert time.monotonic() - begun < 0.1 + 0.1
    assert writer.statistics().depth < 1 << 18
    writer.close()


@here
@pytest.mark.parametrize("side", ["receiver", "sender", "sender of a long one", "who reserves"])
@pytest.mark.parametrize("way", ["closes", "is killed"])
def test_a_blocked_end_is_woken_when_the_other_has_gone(fork, waiter, slept, side, way):
    reader, writer = channels.Channel(2, 64, 1 << 20).split()
    mine, theirs = (reader, writer) if side == "receiver" else (writer, reader)

    def has_the_other_end(other):
        mine.close()
        other.say()
        other.hear()
        theirs.close()
        other.say()
        signal.pause()

    other = fork(has_the_other_end)
    theirs.close()
    other.hear()
    if side == "who reserves":
        held = writer.reserve(1 << 20)
    elif side != "receiver":
        writer.send_many([b"x"] * 2)
    call = {
        "receiver": reader.recv,
        "sender": lambda: writer.send(b"x"),
        "sender of a long one": lambda: writer.send(bytes(100)),
        "who reserves": lambda: writer.reserve(10),
    }[side]
    with slept(mine):
        waiting = waiter(call)
    begun = time.monotonic()
    if way == "closes":
        other.say()
        other.hear()
    else:
        other.kill()
    assert isinstance(waiting.outcome(), pyipc.PeerGoneError)
    # No pipe wakes who waits for memory: it looks around, ten times a second at first.
    assert time.monotonic() - begun < 0.5
    if side == "who reserves":
        held.cancel()
    mine.close()


@here
def test_one_of_many_senders_is_no_end(fork):
    reader, writer = channels.Channel(8, 64, 1 << 20).split()

    def sends(other):
        writer.send(b"x")
        writer.close()

    for _ in range(3):
        assert fork(sends).end() == 0
    assert reader.recv_many() == [b"x"] * 3
    with pytest.raises(pyipc.TimedOutError):
        reader.recv(timeout=0.05)
    writer.close()
    with pytest.raises(pyipc.PeerGoneError):
        reader.recv()
    reader.close()


@here
def test_the_dead_are_in_nobodys_way(fork):
    """Killed while they send and receive, at some moment; the others go on."""
    with channels.Channel(4, 64, 1 << 20) as channel:

        def works(other):
            other.say()
            for i in itertools.count():
                with contextlib.suppress(pyipc.WouldBlockError):
                    channel.send(b"x" * (i % 100), timeout=0)
                with contextlib.suppress(pyipc.WouldBlockError):
                    channel.recv(timeout=0)

        for i in range(40):
            other = fork(works)
            other.hear()
            time.sleep(i / 10_000)  # a moment of its life
            other.kill()
            with contextlib.suppress(pyipc.WouldBlockError):
                while True:
                    channel.recv(timeout=0)
            begun = time.monotonic()
            channel.send(b"%d" % i, timeout=5)
            assert channel.recv(timeout=5) == b"%d" % i
            assert time.monotonic() - begun < 1


# ---- closing ----

WAITS = {
    "recv": lambda channel: channel.recv(),
    "recv ack": lambda channel: channel.recv(ack=True),
    "recv_many": lambda channel: channel.recv_many(),
    "recv_into": lambda channel: channel.recv_into(bytearray(9)),
    "send": lambda channel: channel.send(b"x"),
    "send_many": lambda channel: channel.send_many([b"x"]),
    "send long": lambda channel: channel.send(bytes(100)),
    "reserve": lambda channel: channel.reserve(100),
    "commit": None,
}


def begin_to_wait(channel, what, waiter, slept):
    """A thread that waits in this call."""
    reserved = channel.reserve(100) if what == "commit" else None
    if what == "reserve":
        held = channel.reserve(1 << 20)
    else:
        held = None
        if "recv" not in what:
            channel.send_many([b"x"] * 8)
    with slept(channel):
        waiting = waiter(reserved.commit) if reserved else waiter(WAITS[what], channel)
    return waiting, held, reserved


@here
@pytest.mark.parametrize("what", WAITS)
def test_close_ends_the_waits_of_other_threads(waiter, slept, what):
    channel = channels.Channel(8, 64, 1 << 20)
    waiting, held, reserved = begin_to_wait(channel, what, waiter, slept)
    begun = time.monotonic()
    channel.close()
    assert isinstance(waiting.outcome(), pyipc.ClosedError)
    assert time.monotonic() - begun < 1
    del held, reserved


@here
def test_a_closed_handle_says_so(channel):
    reserved = channel.reserve(10)
    channel.send(b"kept")
    message = channel.recv(ack=True)
    assert not channel.closed
    channel.close()
    channel.close()
    assert channel.closed
    for call in (
        lambda: channel.send(b"x"),
        lambda: channel.send(bytes(1000), timeout=0),
        lambda: channel.send_many([b"x"]),
        lambda: channel.reserve(10),
        lambda: channel.recv(),
        lambda: channel.recv(timeout=0, ack=True),
        lambda: channel.recv_many(timeout=0),
        lambda: channel.recv_into(bytearray(9), timeout=0),
        lambda: channel.peek(),
        channel.fileno,
        channel.statistics,
        channel.reader,
        channel.writer,
        channel.split,
        lambda: next(iter(channel)),
        reserved.commit,
    ):
        with pytest.raises(pyipc.ClosedError, match="closed"):
            call()
    assert bytes(message) == b"kept"
    message.ack()


@here
def test_with_blocks_close(channel):
    with channel.reader() as reader, channel.writer() as writer:
        writer.send(b"x")
        assert reader.recv() == b"x"
    assert (reader.closed, writer.closed) == (True, True)
    with pytest.raises(KeyError), channel:
        raise KeyError
    assert channel.closed


@here
def test_split_leaves_two_ends_and_no_third():
    channel = channels.Channel(4, 16, 100)
    before = len(os.listdir("/proc/self/fd"))
    with contextlib.ExitStack() as stack:
        for end in channel.split():
            stack.enter_context(end)
        assert channel.closed
        assert len(os.listdir("/proc/self/fd")) == before + 1  # 5 have gone, and twice 3 have come
    assert len(os.listdir("/proc/self/fd")) == before - 5


@here
def test_what_is_dropped_open_complains_and_closes():
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    made = [channels.Channel(4, 16, 100)]
    made += [made[0].reader(), made[0].writer()]
    for kind in "channel", "reader", "writer":
        with pytest.warns(ResourceWarning, match=rf"^<{kind}> was dropped without close\(\)$"):
            del made[0]
    gc.collect()  # the records of the warnings had kept them
    assert len(os.listdir("/proc/self/fd")) == before


@here
def test_their_names(channel):
    with channel.reader() as reader, channel.writer() as writer:
        assert [repr(end) for end in (channel, reader, writer)] == ["<channel>", "<reader>", "<writer>"]
        writer.send(bytes(1000))
        message = reader.peek()
        assert repr(message) == "<message of 1000 bytes>"
        message.reject()
        assert repr(message) == "<message done with>"
        message = reader.peek()
        assert repr(message) == "<message of 1000 bytes, redelivered>"
        message.ack()
    assert repr(reader) == "<reader, closed>"
    assert (channel.slots, channel.slot_size, channel.capacity) == (8, 64, 1 << 20)


@here
def test_ends_do_only_their_own(ends):
    reader, writer = ends
    assert not hasattr(reader, "send")
    assert not hasattr(reader, "reserve")
    assert not hasattr(writer, "recv")


# ---- iteration, figures ----


@here
def test_iterating_ends_at_the_end(ends):
    reader, writer = ends
    writer.send_many([b"a", b"b" * 100, b""])
    writer.close()
    assert list(reader) == [b"a", b"b" * 100, b""]
    assert list(reader) == []


@here
def test_iterating_between_processes(fork):
    reader, writer = channels.Channel(8, 64, 1 << 20).split()

    def sends(other):
        reader.close()
        for i in range(1000):
            writer.send(b"%d" % i)

    other = fork(sends)
    writer.close()
    assert [int(data) for data in reader] == list(range(1000))
    assert other.end() == 0
    reader.close()


@here
def test_figures(channel, fork, waiter, slept):
    channel.send_many([b"x"] * 5)
    channel.recv_many(2)
    figures = channel.statistics()
    assert (figures.depth, figures.sent, figures.received) == (3, 5, 2)
    assert figures.recoveries == 0
    assert repr(figures).startswith("Statistics(depth=3, received=2, recoveries=0, sent=5, sleeps=")
    channel.recv_many()
    with slept(channel):
        receiving = waiter(channel.recv)
    channel.send(b"x")
    receiving.outcome()
    assert channel.statistics().sleeps > figures.sleeps

    def looks(other):
        other.say((channel.statistics().sent, channel.statistics().depth))

    assert fork(looks).hear() == (6, 0)


# ---- signals ----


class ZappedError(Exception):
    pass


def raises(number, frame):
    raise ZappedError


@here
@pytest.mark.parametrize("what", [what for what in WAITS if what not in ("commit", "reserve")])
def test_a_handler_runs_during_a_wait_and_may_end_it(channel, handling, what):
    ran = []

    def handler(number, frame):
        ran.append(number)
        if len(ran) == 3:
            raise ZappedError

    handling(signal.SIGALRM, handler)
    if "recv" not in what:
        channel.send_many([b"x"] * 8)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    with pytest.raises(ZappedError):
        WAITS[what](channel)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert len(ran) == 3
    counts = channel.statistics()
    assert (counts.sent, counts.received) == ((0, 0) if "recv" in what else (8, 0))


@here
def test_a_handler_runs_while_memory_or_room_is_awaited(channel, handling):
    handling(signal.SIGALRM, raises)
    reserved = channel.reserve(100)
    channel.send_many([b"x"] * 8)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(ZappedError):
        reserved.commit()
    reserved.cancel()
    held = channel.reserve(1 << 20)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(ZappedError):
        channel.reserve(1)
    held.cancel()


@here
def test_a_wait_that_signals_disturb_keeps_its_timeout(channel, handling):
    ran = []
    handling(signal.SIGALRM, lambda number, frame: ran.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    begun = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):
        channel.recv(timeout=0.4)
    assert 0.4 <= time.monotonic() - begun < 0.7
    assert len(ran) > 5


@here
def test_a_handler_may_close_what_is_waited_for(channel, handling):
    handling(signal.SIGALRM, lambda number, frame: channel.close())
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(pyipc.ClosedError):
        channel.recv()


@here
def test_a_handler_may_use_the_channel_that_is_waited_for(channel, handling):
    handling(signal.SIGALRM, lambda number, frame: channel.send(b"from the handler"))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    assert channel.recv(timeout=20) == b"from the handler"


@here
@pytest.mark.parametrize("what", ["recv", "send", "reserve"])
def test_an_interrupt_ends_a_wait(child, blocked, what):
    def waits(say, hear, what):
        from pyipc import channels

        with channels.Channel(1, 16, 4096) as channel:
            channel.send(b"x")
            held = channel.reserve(4096)
            calls = {
                "recv": lambda: (channel.recv(), channel.recv()),
                "send": lambda: channel.send(b"y"),
                "reserve": lambda: channel.reserve(1),
            }
            say()
            try:
                calls[what]()
            except KeyboardInterrupt:
                say("interrupted")
            held.cancel()

    other = child(waits, what, measured=False)
    other.hear()
    blocked(other.pid)
    other.kill(signal.SIGINT)
    assert other.hear(timeout=3) == "interrupted"
    assert other.end() == 0


@here
def test_nobody_is_killed_by_sigpipe(child):
    def sends(say, hear):
        import signal
        import time

        import pyipc
        from pyipc import channels

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        reader, writer = channels.Channel(4, 16, 128).split()
        reader.close()
        problems = []
        for _ in range(3):
            for call in (
                lambda: writer.send(b"x"),
                lambda: writer.send(bytes(100)),
                lambda: writer.send_many([b"x"]),
            ):
                try:
                    call()
                except pyipc.PeerGoneError:
                    problems.append("gone")
                time.sleep(0.06)  # so that it looks again
        writer.close()
        say(problems)

    other = child(sends)
    assert other.hear() == ["gone"] * 9
    assert other.end() == 0


@here
def test_who_waits_for_long_looks_around_less_and_less():
    with channels.Channel(4, 16, 100) as channel:
        with pytest.raises(pyipc.TimedOutError):
            channel.recv(timeout=3.2)
        assert channel.statistics().sleeps == 3  # of 1, 2 and 0.2 s
        channel.send(b"kept")
        with channel.peek(), channel.reader() as other:  # which may come back, and then nobody says so
            with pytest.raises(pyipc.TimedOutError):
                other.recv(timeout=2.2)
            assert other.statistics().sleeps == 3  # of 1, 1 and 0.2 s
