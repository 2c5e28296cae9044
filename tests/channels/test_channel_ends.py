"""Closing, iteration and figures of channels; signals during their waits."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time

import pytest

import pyipc
from pyipc import channels

here = pytest.mark.needs("channels")

SLOT = 64
SIZES = [0, 1, SLOT - 1, SLOT, SLOT + 1, 4096, 100_000, 1 << 20]


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
def test_a_handler_runs_during_a_wait_and_may_end_it(channel, handling, ringing, what):
    ran = []

    def handler(number, frame):
        ran.append(number)
        if len(ran) == 3:
            raise ZappedError

    handling(signal.SIGALRM, handler)
    if "recv" not in what:
        channel.send_many([b"x"] * 8)
    with pytest.raises(ZappedError), ringing(0.05, 0.05):
        WAITS[what](channel)
    assert len(ran) >= 3
    counts = channel.statistics()
    assert (counts.sent, counts.received) == ((0, 0) if "recv" in what else (8, 0))


@here
def test_a_handler_runs_while_memory_or_room_is_awaited(channel, handling, ringing):
    handling(signal.SIGALRM, raises)
    reserved = channel.reserve(100)
    channel.send_many([b"x"] * 8)
    with pytest.raises(ZappedError), ringing(0.05):
        reserved.commit()
    reserved.cancel()
    held = channel.reserve(1 << 20)
    with pytest.raises(ZappedError), ringing(0.05):
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
