"""Memory of long messages: lent, kept, given back; messages that are not acknowledged."""

from __future__ import annotations

import gc
import os
import signal
import time

import numpy as np
import pytest

import pyipc
from pyipc import channels

here = pytest.mark.needs("channels")

SLOT = 64
SIZES = [0, 1, SLOT - 1, SLOT, SLOT + 1, 4096, 100_000, 1 << 20]


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
