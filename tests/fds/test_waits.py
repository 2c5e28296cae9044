"""Every wait for a message or for room, in all the ways it can end; and what it costs meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

import pyipc
from pyipc import fds

WAITS = [f"{call} {kind}" for call in ("receive", "send") for kind in ("seqpacket", "datagram", "stream")]
WAITS += ["receive with a bound seqpacket", "send to an address"]
PIECE = bytes(1000)


def fill(send):
    """Send until there is no room; how many went."""
    sent = 0
    try:
        while True:
            send()
            sent += 1
    except pyipc.WouldBlockError:
        return sent


def drain(sock):
    """Receive all there is: how many bytes, and how many descriptors."""
    size = count = 0
    try:
        while True:
            with fds.receive(sock, timeout=0) as message:
                size += len(message.data)
                count += len(message.fds)
    except pyipc.WouldBlockError:
        return size, count


class Wait:
    """Something that has to wait, as `call(timeout)`; how to bring it; and whether nothing went or came."""

    def __init__(self, what, pair, keep, tmp_path):
        self.sends = what.startswith("send")
        if what == "send to an address":
            path = str(tmp_path / "receiver")
            self.ours, self.theirs = (keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) for _ in "12")
            self.theirs.bind(path)
            how = {"address": path}
        else:
            self.ours, self.theirs = pair(what.rpartition(" ")[2])
            how = {"max_size": 100} if "bound" in what else {}
        self.how = how
        self.full = fill(lambda: self.send(0)) if self.sends else 0

    def send(self, timeout, sock=None):
        fds.send(sock or self.ours, PIECE, timeout=timeout, **self.how)

    def call(self, timeout, sock=None):
        if self.sends:
            return fds.send(sock or self.ours, PIECE, [0], timeout, **self.how)
        with fds.receive(sock or self.ours, timeout=timeout, **self.how) as message:
            return message.data, len(message.fds)

    def fulfil(self):
        if self.sends:
            drain(self.theirs)
        else:
            fds.send(self.theirs, b"here", [0])

    def untouched(self):
        drained = drain(self.theirs if self.sends else self.ours)
        return drained == (self.full * len(PIECE), 0)


@pytest.fixture(params=WAITS)
def wait(request, pair, keep, tmp_path):
    return Wait(request.param, pair, keep, tmp_path)


@pytest.fixture(params=[None, 20.0, 20], ids=["for ever", "with a timeout", "with whole seconds"])
def timeout(request):
    return request.param


# ---- timeouts ----


@pytest.mark.parametrize("seconds", [0.0001, 0.02, 0.3])
def test_a_timeout_is_never_early_and_hardly_late(wait, seconds):
    started = time.monotonic()
    with pytest.raises(pyipc.TimedOutError, match=f"descriptor {wait.ours.fileno()}"):
        wait.call(seconds)
    assert seconds <= time.monotonic() - started < seconds + 0.5  # on a busy machine; benchmarks measure
    assert wait.untouched()


def test_a_timeout_longer_than_a_second_is_not_early_either(pair):
    ours, _theirs = pair()
    started = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):
        fds.receive(ours, timeout=1.25)
    assert 1.25 <= time.monotonic() - started < 2


@pytest.mark.parametrize("zero", [0, 0.0, -0.0, False])
def test_a_timeout_of_zero_does_not_wait(wait, zero):
    started = time.monotonic()
    with pytest.raises(pyipc.WouldBlockError, match=f"descriptor {wait.ours.fileno()}"):
        wait.call(zero)
    assert time.monotonic() - started < 0.5
    assert wait.untouched()


@pytest.mark.parametrize("seconds", [-1, -1e-9, float("nan"), float("-inf")])
def test_a_timeout_that_makes_no_sense_is_a_value_error_whether_there_is_a_wait_or_not(wait, seconds):
    with pytest.raises(ValueError, match="timeout"):
        wait.call(seconds)
    if not wait.sends:
        fds.send(wait.theirs, b"there")
    else:
        wait.full = 0
        drain(wait.theirs)
    with pytest.raises(ValueError, match="timeout"):
        wait.call(seconds)
    assert drain(wait.theirs if wait.sends else wait.ours) == (0 if wait.sends else 5, 0)


@pytest.mark.parametrize("seconds", [1e9, 1e300, float("inf"), 10**30])
def test_a_timeout_may_be_as_long_as_one_likes(wait, seconds, waiter, until, asleep):
    waiting = waiter(lambda: wait.call(seconds))
    until(lambda: asleep(os.getpid(), waiting.native_id))
    wait.fulfil()
    waiting.join()
    assert waiting.outcome == (None if wait.sends else (b"here", 1))


def test_the_wait_ends_when_there_is_what_it_waits_for(wait, timeout, waiter, until, asleep):
    waiting = waiter(lambda: wait.call(timeout))
    until(lambda: asleep(os.getpid(), waiting.native_id))
    wait.fulfil()
    waiting.join()
    assert waiting.outcome == (None if wait.sends else (b"here", 1))


@pytest.mark.parametrize("form", ["number", "handle", "with a timeout of its own", "non-blocking"])
def test_in_whatever_form_the_socket_is_given_it_waits_as_long_as_it_is_told(wait, form):
    sock = wait.ours
    if form == "number":
        sock = wait.ours.fileno()
    elif form == "handle":
        sock = fds.Handle(os.dup(wait.ours.fileno()))
    else:
        sock.settimeout(0.001 if form == "with a timeout of its own" else 0)
    blocking = os.get_blocking(wait.ours.fileno())
    with pytest.raises(pyipc.WouldBlockError):
        wait.call(0, sock)
    started = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):
        wait.call(0.05, sock)
    assert time.monotonic() - started >= 0.05
    wait.fulfil()
    assert wait.call(20, sock) == (None if wait.sends else (b"here", 1))
    assert os.get_blocking(wait.ours.fileno()) == blocking
    if form == "handle":
        sock.close()


# ---- signals ----


def test_a_handler_that_returns_neither_ends_nor_lengthens_a_wait(wait, handling):
    came = []

    def come(*_):
        came.append(1)
        assert len(came) < 200, "it should have timed out long ago"

    handling(signal.SIGALRM, come)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    started = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):
        wait.call(0.4)
    assert 0.4 <= time.monotonic() - started < 0.9
    assert len(came) > 5
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert wait.untouched()


def test_a_handler_may_bring_what_is_waited_for(wait, timeout, handling):
    handling(signal.SIGALRM, lambda *_: wait.fulfil())
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    assert wait.call(timeout) == (None if wait.sends else (b"here", 1))


def test_a_handler_that_raises_ends_the_wait_and_nothing_went_or_came(
    wait, timeout, handling, ringing, opened
):
    def late(*_):
        raise ZeroDivisionError

    handling(signal.SIGALRM, late)
    before = opened()
    with pytest.raises(ZeroDivisionError), ringing(0.02):
        wait.call(timeout)
    assert opened() == before
    assert wait.untouched()


def wait_for_the_end(say, hear, sock, sends, how, timeout):
    import os

    from pyipc import fds

    before = os.listdir("/proc/self/fd")
    say("waiting")
    try:
        if sends:
            fds.send(sock, bytes(1000), [0], timeout, **how)
        else:
            fds.receive(sock, timeout=timeout, **how).close()
        say("done")
    except BaseException as problem:  # KeyboardInterrupt is what is wanted
        say((type(problem).__name__, os.listdir("/proc/self/fd") == before))
    hear()


def test_ctrl_c_ends_every_wait(wait, timeout, partner, until, asleep):
    other = partner(wait_for_the_end, wait.ours.dup(), wait.sends, wait.how, timeout)
    assert other.hear() == "waiting"
    until(lambda: asleep(other.pid))
    other.kill(signal.SIGINT)
    assert other.hear(timeout=5) == ("KeyboardInterrupt", True)
    other.say("end")
    assert other.end() == 0
    assert wait.untouched()


def test_a_stopped_and_continued_process_still_waits(wait, partner, until, asleep):
    other = partner(wait_for_the_end, wait.ours.dup(), wait.sends, wait.how, None)
    assert other.hear() == "waiting"
    until(lambda: asleep(other.pid))
    other.kill(signal.SIGSTOP)
    other.kill(signal.SIGCONT)
    wait.fulfil()
    assert other.hear() == "done"
    other.say("end")
    assert other.end() == 0


# ---- meanwhile ----


def test_a_wait_leaves_the_processor_alone(wait, costs_little):
    with costs_little(), pytest.raises(pyipc.TimedOutError):
        wait.call(0.3)


def test_other_threads_run_while_one_waits(wait, waiter, until, asleep):
    waiting = waiter(lambda: wait.call(20))
    until(lambda: asleep(os.getpid(), waiting.native_id))
    assert sum(range(100_000)) == 4999950000  # would never begin if the wait held the GIL
    wait.fulfil()
    waiting.join()
    assert waiting.outcome == (None if wait.sends else (b"here", 1))


@pytest.mark.timeout(20)
def test_a_socket_that_was_shut_down_for_reading_keeps_us_not_long_nor_busy(pair, kind, costs_little):
    """poll(2) says that it is readable, and of datagrams recvmsg(2) says that there are none."""
    ours, _theirs = pair(kind)
    ours.shutdown(socket.SHUT_RD)
    started = time.monotonic()
    with costs_little(), pytest.raises((pyipc.TimedOutError, pyipc.PeerGoneError)):
        fds.receive(ours, timeout=0.3)
    assert time.monotonic() - started < 0.8
