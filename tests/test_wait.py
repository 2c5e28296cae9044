"""pyipc.wait: several handles at once."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time

import pytest

import pyipc
from pyipc import channels, fds

here = pytest.mark.needs("channels")


@pytest.fixture
def pair():
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_nothing_to_wait_for():
    assert pyipc.wait([], timeout=0) == []
    begun = time.monotonic()
    assert pyipc.wait([], timeout=0.1) == []
    assert time.monotonic() - begun >= 0.1


def test_sockets_files_and_numbers(pair):
    one, other = pair
    assert pyipc.wait([one, other], timeout=0) == []
    other.send(b"x")
    assert pyipc.wait([other, one], timeout=5) == [one]
    assert pyipc.wait([one.fileno()]) == [one.fileno()]
    assert pyipc.wait((handle for handle in (one, other)), timeout=0) == [one]
    other.close()
    one.recv(1)
    assert pyipc.wait([one]) == [one]  # its end


@pytest.mark.needs("fds.eventfd")
def test_eventfds_and_pidfds(child):
    def waits(say, hear):
        say()
        hear()

    other = child(waits)
    other.hear()
    with fds.Eventfd.create() as eventfd, fds.Pidfd.open(other.pid) as pidfd:
        assert pyipc.wait([eventfd, pidfd], timeout=0) == []
        eventfd.write(1)
        assert pyipc.wait([eventfd, pidfd], timeout=0) == [eventfd]
        eventfd.read()
        other.say()
        assert pyipc.wait([eventfd, pidfd], timeout=20) == [pidfd]
    assert other.end() == 0


@pytest.mark.parametrize("timeout", [0, 0.02, 0.3])
def test_the_timeout_is_kept(pair, timeout):
    begun = time.monotonic()
    assert pyipc.wait(pair, timeout=timeout) == []
    assert timeout <= time.monotonic() - begun < timeout + 0.2


@pytest.mark.parametrize("timeout", [-1, float("nan"), "1", object()], ids=repr)
def test_what_is_no_timeout(pair, timeout):
    with pytest.raises((ValueError, TypeError)):
        pyipc.wait(pair, timeout)


@pytest.mark.parametrize("handle", [None, "text", 1.5, object(), []], ids=repr)
def test_what_cannot_be_waited_for(pair, handle):
    with pytest.raises(TypeError):
        pyipc.wait([*pair, handle], timeout=0)


def test_numbers_that_are_none(pair):
    for number in -1, 1 << 31:
        with pytest.raises((pyipc.ClosedError, ValueError)):
            pyipc.wait([*pair, number], timeout=0)


def test_what_is_closed(pair):
    one, other = pair
    one.close()
    with pytest.raises(pyipc.ClosedError):
        pyipc.wait([other, one], timeout=0)


def test_a_number_that_is_not_open():
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(pyipc.ClosedError):
        pyipc.wait([reading], timeout=0)


def test_one_that_another_thread_closes_meanwhile(pair, until, asleep):
    one, other = pair
    outcome = []

    def waits():
        try:
            outcome.append(pyipc.wait([one, other]))
        except pyipc.ClosedError as problem:
            outcome.append(type(problem))

    thread = threading.Thread(target=waits)
    thread.start()
    until(lambda: asleep(os.getpid(), thread.native_id))
    one.close()
    thread.join(5)
    assert outcome == [pyipc.ClosedError]


def test_a_handler_runs_meanwhile_and_may_end_it(pair, handling, ringing):
    ran = []

    def handler(number, frame):
        ran.append(number)
        if len(ran) == 2:
            raise KeyError

    handling(signal.SIGALRM, handler)
    with pytest.raises(KeyError), ringing(0.05, 0.05):
        pyipc.wait(pair)
    assert len(ran) == 2


def test_one_that_is_there_twice(pair):
    one, other = pair
    other.send(b"x")
    assert pyipc.wait([one, one], timeout=0) == [one, one]


# ---- with channels ----


@pytest.fixture
def some():
    from pyipc import channels

    channel = channels.Channel(2, 64, 4096)
    queue = channels.Queue(2)
    ours, theirs = channels.Pipe()
    with channel, ours, theirs:
        yield channel, queue, ours, theirs
    queue.close()


@here
def test_each_kind_is_ready_when_a_message_waits(some):
    channel, queue, ours, theirs = some
    handles = [channel, queue, ours]
    assert pyipc.wait(handles, timeout=0) == []
    queue.put("x")
    assert pyipc.wait(handles) == [queue]
    theirs.send("y")
    assert pyipc.wait(handles) == [queue, ours]
    channel.send(b"z")
    assert pyipc.wait(handles) == handles
    assert (queue.get(), ours.recv(), channel.recv()) == ("x", "y", b"z")
    assert pyipc.wait(handles, timeout=0) == []
    assert pyipc.wait(handles, timeout=0.05) == []


@here
def test_together_with_sockets(some, pair):
    one, other = pair
    assert pyipc.wait([*some, one], timeout=0.05) == []
    other.send(b"x")
    assert pyipc.wait([*some, one]) == [one]
    some[0].send(b"x")
    assert pyipc.wait([*some, one]) == [some[0], one]


@here
def test_a_message_ends_the_wait_at_once(some):
    channel = some[0]
    sleeping = threading.Event()

    def sends():
        sleeping.wait()
        time.sleep(0.1)  # it is, by then, or nothing is lost
        channel.send(b"x")

    thread = threading.Thread(target=sends)
    thread.start()
    sleeping.set()
    begun = time.monotonic()
    assert pyipc.wait(some, timeout=20) == [channel]
    assert time.monotonic() - begun < 0.6
    thread.join()


@here
def test_no_message_is_missed(some, fork):
    """Thousands of them, of another process, that come at any moment of a wait."""
    channel, queue, ours, theirs = some

    def sends(other):
        for i in range(1000):
            channel.send(b"%d" % i, timeout=20)
            queue.put(i, timeout=20)
            theirs.send(i)

    other = fork(sends)
    came = {channel: 0, queue: 0, ours: 0}
    longest = 0
    while sum(came.values()) < 3000:
        begun = time.monotonic()
        ready = pyipc.wait([channel, queue, ours], timeout=5)
        longest = max(longest, time.monotonic() - begun)
        assert ready, came
        for handle in ready:
            value = {channel: channel.recv, queue: queue.get_nowait, ours: ours.recv}[handle]()
            assert int(value) == came[handle]
            came[handle] += 1
    assert longest < 0.9  # nobody was saved by the look of each second
    assert other.end() == 0


@here
def test_the_end_is_something_to_wait_for(fork):
    from pyipc import channels

    reader, writer = channels.Channel(2, 64, 0).split()

    def lives(other):
        reader.close()
        other.say()
        signal.pause()

    other = fork(lives)
    writer.close()
    other.hear()
    assert pyipc.wait([reader], timeout=0.05) == []
    other.kill()
    assert pyipc.wait([reader], timeout=5) == [reader]
    reader.close()


@here
def test_a_writer_is_ready_when_there_is_room_or_nobody_receives(fork):
    from pyipc import channels

    reader, writer = channels.Channel(2, 64, 0).split()
    assert pyipc.wait([writer], timeout=0) == [writer]
    writer.send_many([b"x", b"y"])
    assert pyipc.wait([writer], timeout=0) == []
    assert pyipc.wait([writer], timeout=0.05) == []
    reader.recv()
    assert pyipc.wait([writer], timeout=5) == [writer]
    writer.send(b"z")
    assert pyipc.wait([writer], timeout=0.05) == []
    reader.close()
    assert pyipc.wait([writer], timeout=5) == [writer]
    with pytest.raises(pyipc.PeerGoneError):
        writer.send(b"x", timeout=0)
    writer.close()


def test_a_sign_is_looked_behind(pair):
    """A handle that is readable, but has nothing for us, as when another was faster."""
    one, other = pair
    other.send(b"sign")

    class Looks:
        def __init__(self):
            self.answers = [False, False, False, True]

        def fileno(self):
            return one.fileno()

        def _is_ready(self):
            return self.answers.pop(0)

    handle = Looks()
    assert pyipc.wait([handle], timeout=20) == [handle]
    assert handle.answers == []


@here
def test_signs_that_are_there_in_vain_do_not_end_it(some, fork, costs_little):
    """Another takes each message, while the sign of it stays."""
    channel = some[0]

    def takes(other):
        for _ in range(50):
            channel.send(b"x")
            channel.recv()

    other = fork(takes)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        for handle in pyipc.wait([channel], timeout=0.05):
            assert handle is channel
    assert other.end() == 0
    with costs_little():
        assert pyipc.wait([channel], timeout=0.5) == []


@here
def test_closed_ones_are_refused(some):
    some[1].close()
    with pytest.raises(pyipc.ClosedError):
        pyipc.wait(some, timeout=0)


@here
def test_select_agrees(some):
    channel = some[0]
    channel.send(b"x")
    assert select.select([channel], [], [], 0)[0] == [channel]


@here
def test_a_message_that_comes_back(some, fork):
    """Nobody is woken by it, but whoever waits looks each second."""
    channel = some[0]
    channel.send(b"again")

    def keeps(other):
        other.kept = channel.recv(ack=True)
        other.say()
        signal.pause()

    other = fork(keeps)
    other.hear()
    assert pyipc.wait([channel], timeout=0.05) == []
    other.kill()
    assert pyipc.wait([channel], timeout=5) == [channel]
    assert channel.recv(timeout=0) == b"again"


@here
def test_to_wait_for_what_others_keep_costs_little(costs_little):
    reader, writer = channels.Channel(4, 64, 1 << 20).split()
    with reader, channels.Reader._attach(reader._part().life.fileno(), reader._numbers()) as other:
        writer.send(b"kept")
        message = other.recv(ack=True)
        writer.close()  # so that its pipe is at its end, and says so all the time
        with costs_little():
            assert pyipc.wait([reader], 1) == []
        message.reject()
        assert pyipc.wait([reader], 5) == [reader]
        assert reader.recv() == b"kept"
