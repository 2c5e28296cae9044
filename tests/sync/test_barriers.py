"""Barriers."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from pyipc import sync

pytestmark = pytest.mark.needs("sync.locks")


def arrives(other, barrier, timeout=20):
    other.say("comes")
    try:
        other.say(barrier.wait(timeout))
    except threading.BrokenBarrierError:
        other.say("broken")
    other.hear()


@pytest.fixture
def waiting(fork, sleeps):
    """Processes that wait at a barrier."""

    def start(barrier, count, timeout=20):
        others = [fork(arrives, barrier, timeout) for _ in range(count)]
        for other in others:
            assert other.hear() == "comes"
            sleeps(other.pid)
        return others

    return start


def test_all_go_on_when_the_last_has_come(waiting):
    barrier = sync.Barrier(4)
    others = waiting(barrier, 3)
    assert barrier.n_waiting == 3
    places = [barrier.wait(20), *(other.hear() for other in others)]
    assert sorted(places) == [0, 1, 2, 3]
    assert (barrier.n_waiting, barrier.broken, barrier.parties) == (0, False, 4)


def test_again_and_again(fork):
    barrier, numbers = sync.Barrier(3), sync.Semaphore(0, undo=False)

    def works(other):
        for _ in range(200):
            numbers.release()
            barrier.wait(20)
            barrier.wait(20)

    others = [fork(works) for _ in range(2)]
    for turn in range(1, 201):
        numbers.release()
        barrier.wait(20)
        assert numbers.get_value() == 3 * turn
        barrier.wait(20)
    assert [other.end() for other in others] == [0, 0]


def test_one_that_dies_waiting_is_not_counted(waiting):
    barrier = sync.Barrier(3)
    first, second = waiting(barrier, 2)
    first.kill()
    assert barrier.n_waiting == 1
    (third,) = waiting(barrier, 1)
    assert barrier.n_waiting == 2
    assert not second.has_said()
    barrier.wait(20)
    assert {second.hear(), third.hear()} <= {0, 1, 2}


def test_a_timeout_breaks_it(waiting):
    barrier = sync.Barrier(3, timeout=0.2)
    (other,) = waiting(barrier, 1)
    begun = time.monotonic()
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()
    assert 0.2 <= time.monotonic() - begun < 1.2
    assert other.hear() == "broken"
    assert barrier.broken
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()


def test_a_reset_lets_those_go_who_wait_and_makes_it_as_new(waiting):
    barrier = sync.Barrier(2)
    (other,) = waiting(barrier, 1)
    barrier.reset()
    assert other.hear() == "broken"
    assert not barrier.broken
    (other,) = waiting(barrier, 1)
    barrier.wait(20)
    assert other.hear() in (0, 1)


def test_abort_breaks_it_until_a_reset(waiting):
    barrier = sync.Barrier(2)
    (other,) = waiting(barrier, 1)
    barrier.abort()
    assert other.hear() == "broken"
    assert barrier.broken
    barrier.reset()
    assert not barrier.broken


def test_one_runs_the_action_before_any_goes_on(waiting):
    ran = []
    barrier = sync.Barrier(3, action=lambda: ran.append(os.getpid()))
    others = waiting(barrier, 2)
    barrier.wait(20)
    assert ran == [os.getpid()]
    for other in others:
        other.hear()


def test_an_action_that_raises_breaks_it(waiting):
    def fails():
        raise KeyError("mine")

    barrier = sync.Barrier(2, action=fails)
    (other,) = waiting(barrier, 1)
    with pytest.raises(KeyError, match="mine"):
        barrier.wait(20)
    assert other.hear() == "broken"
    assert barrier.broken


@pytest.mark.parametrize("while_another_comes", [False, True])
def test_one_that_dies_at_the_action_breaks_it(fork, waiting, until, while_another_comes):
    barrier = sync.Barrier(2, action=signal.pause)
    (first,) = waiting(barrier, 1)
    last = fork(arrives, barrier)
    last.hear()
    others = [first]
    until(lambda: Path(f"/proc/{last.pid}/syscall").read_text().split()[0] in ("34", "73"))  # pause, ppoll
    if while_another_comes:
        others += waiting(barrier, 1)
    begun = time.monotonic()
    last.kill()
    assert [other.hear() for other in others] == ["broken"] * len(others)
    assert time.monotonic() - begun < 1.5
    assert barrier.broken


def test_a_handler_that_raises_is_not_counted(waiting, handling, ringing):
    barrier = sync.Barrier(2)

    def interrupts(*_):
        raise KeyboardInterrupt

    handling(signal.SIGALRM, interrupts)
    with pytest.raises(KeyboardInterrupt), ringing(0.05):
        barrier.wait()
    assert barrier.n_waiting == 0
    assert not barrier.broken
    (other,) = waiting(barrier, 1)
    barrier.wait(20)
    assert other.hear() in (0, 1)


@pytest.mark.parametrize("parties", [0, -1, 2**20 + 1])
def test_parties_that_cannot_be(parties):
    with pytest.raises(ValueError, match=f"not {parties}"):
        sync.Barrier(parties)


def test_of_one():
    barrier = sync.Barrier(1)
    assert [barrier.wait(), barrier.wait(0)] == [0, 0]
