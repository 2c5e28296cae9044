"""Counters: what is added is taken, once; every wait for one, in all the ways it can end."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import time

import pytest

import pyipc
from pyipc import fds

MOST = 2**64 - 2

pytestmark = [pytest.mark.needs("fds.eventfd"), pytest.mark.timeout(20)]


@pytest.fixture
def counter(keep):
    def make(*arguments, **options):
        return keep(fds.Eventfd.create(*arguments, **options))

    return make


def value(eventfd):
    """What the kernel says it holds."""
    with open(f"/proc/self/fdinfo/{eventfd.fileno()}") as lines:
        return next(int(line.split()[1], 16) for line in lines if line.startswith("eventfd-count"))


# ---- counting ----


def test_a_read_takes_all_that_was_added(counter):
    eventfd = counter()
    assert value(eventfd) == 0
    eventfd.write()
    eventfd.write(41)
    eventfd.write(0)
    assert value(eventfd) == 42
    assert eventfd.read() == 42
    assert value(eventfd) == 0
    with pytest.raises(pyipc.WouldBlockError, match=f"eventfd {eventfd.fileno()}"):
        eventfd.read(0)


def test_of_a_semaphore_each_read_takes_one(counter):
    eventfd = counter(2, semaphore=True)
    eventfd.write(2)
    assert [eventfd.read(timeout=0) for _ in range(4)] == [1] * 4
    with pytest.raises(pyipc.WouldBlockError):
        eventfd.read(0)


@pytest.mark.parametrize("initial", [0, 1, 2**31, 2**32 - 1])
def test_it_begins_with_the_value_that_it_is_given(counter, initial):
    eventfd = counter(initial)
    assert value(eventfd) == initial
    if initial:
        assert eventfd.read(0) == initial


@pytest.mark.parametrize("wrong", [-1, 2**32, 2**64, -(2**70)])
def test_an_initial_value_out_of_range_is_a_value_error(wrong):
    with pytest.raises(ValueError, match=str(wrong)):
        fds.Eventfd.create(wrong)


@pytest.mark.parametrize("wrong", ["1", 1.5, None, b"1", [1]])
def test_a_value_that_is_no_number_is_a_type_error(counter, wrong):
    with pytest.raises(TypeError):
        fds.Eventfd.create(wrong)
    eventfd = counter(5)
    with pytest.raises(TypeError):
        eventfd.write(wrong)
    assert value(eventfd) == 5


@pytest.mark.parametrize("wrong", [-1, 2**64 - 1, 2**64, -(2**70)])
def test_a_value_out_of_range_is_a_value_error_and_adds_nothing(counter, wrong):
    eventfd = counter(5)
    with pytest.raises(ValueError, match=str(wrong)):
        eventfd.write(wrong)
    assert value(eventfd) == 5


def test_it_holds_as_much_as_the_kernel_lets_it_and_no_more(counter):
    eventfd = counter()
    eventfd.write(MOST)
    assert value(eventfd) == MOST
    eventfd.write(0, timeout=0)
    with pytest.raises(pyipc.WouldBlockError):
        eventfd.write(1, timeout=0)
    assert eventfd.read() == MOST


def test_it_is_close_on_exec_and_says_what_it_is(counter):
    eventfd = counter()
    assert not os.get_inheritable(eventfd.fileno())
    assert os.readlink(f"/proc/self/fd/{eventfd.fileno()}") == "anon_inode:[eventfd]"
    assert repr(eventfd) == f"<eventfd {eventfd.fileno()}>"


def test_it_is_readable_while_it_is_above_zero(counter):
    eventfd = counter()
    assert select.select([eventfd], [eventfd], [], 0) == ([], [eventfd], [])
    eventfd.write(MOST)
    assert select.select([eventfd], [eventfd], [], 0) == ([eventfd], [], [])


# ---- with other processes ----


def add_and_take(say, hear, sock):
    from pyipc import fds

    with fds.receive(sock) as message:
        mine, theirs = (fds.Eventfd(handle) for handle in message.fds)
        say([handle.closed for handle in message.fds])
        for _ in range(100):
            theirs.write(mine.read(20) * 2, timeout=20)
        mine.close()
        theirs.close()


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_one_that_was_received_counts_for_both_and_wakes_the_other(pair, kind, partner, counter, timeout):
    ours, theirs = pair(kind)
    there, back = counter(), counter()
    other = partner(add_and_take, theirs)
    fds.send(ours, b"x", [there, back])
    assert other.hear() == [True, True]  # taken over
    for number in range(1, 101):
        there.write(number)
        assert back.read(timeout) == 2 * number
    assert other.end() == 0


def wait_for_it(say, hear, sock):
    from pyipc import fds

    with fds.receive(sock) as message, fds.Eventfd(message.fds[0]) as eventfd:
        say("waiting")
        say(eventfd.read())


def test_a_waiting_process_is_woken(pair, partner, counter, until, asleep):
    ours, theirs = pair()
    eventfd = counter()
    other = partner(wait_for_it, theirs)
    fds.send(ours, b"x", [eventfd])
    assert other.hear() == "waiting"
    until(lambda: asleep(other.pid))
    eventfd.write(7)
    assert other.hear() == 7
    assert other.end() == 0


def make_it_block(say, hear, sock):
    import os

    from pyipc import fds

    with fds.receive(sock) as message:
        os.set_blocking(message.fds[0].fileno(), True)
        say("cleared")
        hear()


def test_a_peer_that_clears_the_flag_cannot_make_us_wait(pair, partner, counter):
    ours, theirs = pair()
    eventfd = counter()
    other = partner(make_it_block, theirs)
    fds.send(ours, b"x", [eventfd])
    assert other.hear() == "cleared"
    assert os.get_blocking(eventfd.fileno())  # which all who have it share
    with pytest.raises(pyipc.WouldBlockError):
        eventfd.read(0)
    with pytest.raises(pyipc.TimedOutError):
        eventfd.read(0.02)
    eventfd.write(MOST, timeout=0)
    with pytest.raises(pyipc.WouldBlockError):
        eventfd.write(1, timeout=0)
    with pytest.raises(pyipc.TimedOutError):
        eventfd.write(1, timeout=0.02)
    assert eventfd.read(0) == MOST
    other.say("end")
    assert other.end() == 0


def test_more_than_fits_does_not_make_a_blocking_one_wait_either(counter, handling):
    """Room for 1, says poll(2), but not for 2: write(2) would sleep."""
    eventfd = counter()
    eventfd.write(MOST - 1)
    os.set_blocking(eventfd.fileno(), True)
    handling(signal.SIGALRM, lambda *_: eventfd.read(0))  # should it wait after all
    signal.setitimer(signal.ITIMER_REAL, 2)
    with pytest.raises(pyipc.WouldBlockError):
        eventfd.write(2, timeout=0)
    assert value(eventfd) == MOST - 1


# ---- waiting ----


@pytest.fixture(params=["read", "write", "write of more than fits"])
def wait(request, counter):
    """A call that has to wait, what it waits for, and whether nothing has changed."""
    eventfd = counter()
    if request.param == "read":
        return eventfd, eventfd.read, lambda: eventfd.write(7), lambda: value(eventfd) == 0
    full = MOST if request.param == "write" else MOST - 4
    eventfd.write(full)
    return eventfd, lambda timeout: eventfd.write(5, timeout), eventfd.read, lambda: value(eventfd) == full


@pytest.mark.parametrize("seconds", [0.0001, 0.02, 0.3])
def test_a_timeout_is_never_early_and_hardly_late_and_costs_little(wait, seconds, costs_little):
    eventfd, call, _, untouched = wait
    started = time.monotonic()
    with costs_little(), pytest.raises(pyipc.TimedOutError, match=f"eventfd {eventfd.fileno()}"):
        call(seconds)
    took = time.monotonic() - started
    assert seconds <= took < seconds + 0.5  # on a busy machine; the benchmarks measure
    assert untouched()


@pytest.mark.parametrize("seconds", [-1, float("nan"), -0.001])
def test_a_timeout_that_makes_no_sense_is_a_value_error(wait, counter, seconds):
    _, call, _, untouched = wait
    with pytest.raises(ValueError, match="timeout"):
        call(seconds)
    assert untouched()
    free = counter(1)
    for call in lambda: free.read(seconds), lambda: free.write(1, seconds):
        with pytest.raises(ValueError, match="timeout"):
            call()
    assert value(free) == 1


@pytest.mark.parametrize("timeout", [None, 20.0, float("inf")])
def test_a_wait_ends_when_there_is_what_it_waits_for(wait, timeout, waiter, until, asleep):
    _, call, fulfil, _ = wait
    waiting = waiter(lambda: call(timeout))
    until(lambda: asleep(os.getpid(), waiting.native_id))
    fulfil()
    waiting.join()
    assert waiting.outcome in (7, None)


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_closing_wakes_those_who_wait(wait, timeout, waiter, until, asleep):
    eventfd, call, _, _ = wait
    waiting = [waiter(lambda: call(timeout)) for _ in range(3)]
    for one in waiting:
        until(lambda one=one: asleep(os.getpid(), one.native_id))
    started = time.monotonic()
    eventfd.close()
    for one in waiting:
        one.join()
        assert type(one.outcome) is pyipc.ClosedError
        assert "eventfd" in str(one.outcome)
    assert time.monotonic() - started < 5


def test_closing_wakes_at_once_and_not_when_they_look_around(counter, waiter, until, asleep):
    took = 0
    for _ in range(5):
        eventfd = counter()
        waiting = waiter(eventfd.read)
        until(lambda waiting=waiting: asleep(os.getpid(), waiting.native_id))
        started = time.monotonic()
        eventfd.close()
        waiting.join()
        took += time.monotonic() - started
    assert took < 1.5  # waits look around once a second, so by themselves it would be 5


def test_handlers_run_during_a_wait_and_may_end_it(wait, handling, ringing):
    _, call, fulfil, untouched = wait
    came = []

    def come(*_):
        came.append(1)
        assert len(came) < 200, "it should have timed out long ago"

    handling(signal.SIGALRM, come)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    with pytest.raises(pyipc.TimedOutError):
        call(0.2)
    assert len(came) > 5
    assert untouched()

    def late(*_):
        raise ZeroDivisionError

    signal.setitimer(signal.ITIMER_REAL, 0)
    handling(signal.SIGALRM, late)
    with pytest.raises(ZeroDivisionError), ringing(0.01):
        call(None)
    assert untouched()
    handling(signal.SIGALRM, lambda *_: fulfil())
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    assert call(None) in (7, None)


def test_closing_one_handle_leaves_those_who_wait_on_another(counter, waiter, until, asleep):
    one = counter()
    other = one.dup()
    first, second = waiter(one.read), waiter(other.read)
    until(lambda: asleep(os.getpid(), first.native_id) and asleep(os.getpid(), second.native_id))
    one.close()
    first.join()
    assert type(first.outcome) is pyipc.ClosedError
    assert second.is_alive()
    other.write(7)
    second.join()
    assert second.outcome == 7
    other.close()


def test_no_number_is_lost_or_doubled_between_many_threads(counter, waiter):
    eventfd, rounds = counter(semaphore=True), 300
    taken = [waiter(lambda: [eventfd.read() for _ in range(rounds)]) for _ in range(4)]
    added = [waiter(lambda: [eventfd.write() for _ in range(rounds)]) for _ in range(4)]
    for one in added + taken:
        one.join()
    assert [one.outcome for one in taken] == [[1] * rounds] * 4
    assert value(eventfd) == 0


# ---- one that is none ----


def test_what_is_no_eventfd_is_an_error_and_loses_nothing(pipes):
    reading, writing = pipes()
    writing.write(b"abc")
    with fds.Eventfd(os.dup(reading.fileno())) as wrong:
        with pytest.raises(pyipc.IPCError):
            wrong.read(0)
        with pytest.raises(pyipc.IPCError):
            wrong.write(1, 0)


def test_one_that_another_library_made_is_as_good(keep):
    if not hasattr(os, "eventfd"):
        pytest.skip("Python has os.eventfd from 3.10 on")
    number = os.eventfd(3, 0)  # inheritable, and blocking
    eventfd = keep(fds.Eventfd(number))
    assert fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    assert eventfd.read(0) == 3
    with pytest.raises(pyipc.WouldBlockError):
        eventfd.read(0)
    eventfd.write(4)
    assert struct.unpack("=Q", os.read(number, 8)) == (4,)
