"""Waiting for messages and for room, and for who has gone."""

from __future__ import annotations

import contextlib
import itertools
import signal
import time

import pytest

import pyipc
from pyipc import channels

here = pytest.mark.needs("channels")

SLOT = 64
SIZES = [0, 1, SLOT - 1, SLOT, SLOT + 1, 4096, 100_000, 1 << 20]


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
