"""Semaphores: what the dead had taken comes back."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from pyipc import sync

pytestmark = pytest.mark.needs("sync.locks")


def takes(other, semaphore, count):
    for _ in range(count):
        assert semaphore.acquire(timeout=20)
    other.say()
    other.hear()
    for _ in range(count):
        semaphore.release()
    other.say()
    other.hear()


@pytest.fixture
def taken(fork):
    """A process that takes so many, gives them back when it is told, and ends when it is told again."""

    def start(semaphore, count):
        other = fork(takes, semaphore, count)
        other.hear()
        return other

    return start


@pytest.mark.parametrize("undo", [True, False])
def test_it_counts_across_processes(taken, undo):
    semaphore = sync.Semaphore(3, undo=undo)
    other = taken(semaphore, 2)
    assert semaphore.get_value() == 1
    assert semaphore.acquire()
    assert semaphore.acquire(False) is False
    assert semaphore.acquire(timeout=0.03) is False
    other.say()
    other.hear()
    assert semaphore.get_value() == 2
    assert other.kill() == -signal.SIGKILL
    assert semaphore.get_value() == 2
    semaphore.release()
    semaphore.release()
    assert semaphore.get_value() == 4


@pytest.mark.parametrize("look", [False, True])
def test_what_the_dead_had_taken_comes_back(taken, look):
    semaphore = sync.Semaphore(3)
    assert semaphore.acquire()
    assert taken(semaphore, 2).kill() == -signal.SIGKILL
    if look:
        assert semaphore.get_value() == 2
    assert semaphore.acquire(False)
    assert semaphore.acquire(False)
    assert semaphore.acquire(False) is False
    assert semaphore.get_value() == 0


def test_without_undo_it_does_not(taken):
    semaphore = sync.Semaphore(3, undo=False)
    assert taken(semaphore, 2).kill() == -signal.SIGKILL
    assert semaphore.get_value() == 1


def test_what_the_dead_had_given_stays(fork):
    semaphore = sync.Semaphore(0)

    def gives(other):
        semaphore.release()
        semaphore.release()
        os.kill(os.getpid(), signal.SIGKILL)

    assert fork(gives).end() == -signal.SIGKILL
    assert semaphore.get_value() == 2


def test_ending_in_good_order_or_closing_is_the_same(fork):
    semaphore = sync.Semaphore(2)

    def ends(other, closes):
        semaphore.acquire()
        if closes:
            semaphore.close()
            other.say()
            other.hear()

    assert fork(ends, False).end() == 0
    assert semaphore.get_value() == 2
    fork(ends, True).hear()
    assert semaphore.get_value() == 2


def test_a_slot_of_the_roster_that_is_taken_again_owes_nothing(taken):
    semaphore = sync.Semaphore(5)
    for _ in range(3):
        assert taken(semaphore, 5).kill() == -signal.SIGKILL
    other = taken(semaphore, 1)
    assert semaphore.get_value() == 4
    other.kill()
    assert semaphore.get_value() == 5


def test_who_has_taken_nothing_gives_back_what_another_has(taken, fork):
    semaphore = sync.Semaphore(2)
    other = taken(semaphore, 2)
    semaphore.release()
    assert semaphore.get_value() == 1
    other.kill()  # it has one less to give back
    assert semaphore.get_value() == 2


@pytest.mark.parametrize("asleep_for", [0, 1.2])
def test_who_sleeps_gets_what_the_dead_had(taken, fork, sleeps, asleep_for):
    semaphore = sync.Semaphore(1)
    holder = taken(semaphore, 1)
    waiting = fork(takes, semaphore, 1)
    sleeps(waiting.pid)
    time.sleep(asleep_for)  # is what this is about: its looks become rare
    begun = time.monotonic()
    holder.kill()
    waiting.hear()
    assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize("undo", [True, False])
def test_each_release_wakes_one(fork, sleeps, undo):
    semaphore = sync.Semaphore(0, undo=undo)
    others = [fork(takes, semaphore, 1) for _ in range(4)]
    for other in others:
        sleeps(other.pid)
    time.sleep(2.2)  # from now on they look around once a second, and would find it too late
    begun = time.monotonic()
    for _ in others:
        semaphore.release()
    for other in others:
        other.hear()
    assert time.monotonic() - begun < 0.5  # by wakes, not at the end of a slice
    assert semaphore.get_value() == 0


def test_a_woken_waiter_that_dies_takes_no_wake_along(fork, sleeps):
    semaphore = sync.Semaphore(0)
    others = [fork(takes, semaphore, 1) for _ in range(2)]
    for other in others:
        sleeps(other.pid)
    os.kill(others[0].pid, signal.SIGSTOP)  # it is woken, and does not run
    semaphore.release()
    others[0].kill()
    others[1].hear(timeout=2)


def test_a_bounded_one_never_rises_above_its_first_value(taken):
    semaphore = sync.BoundedSemaphore(2)
    with pytest.raises(ValueError, match="can be no higher"):
        semaphore.release()
    assert semaphore.get_value() == 2
    other = taken(semaphore, 2)
    assert semaphore.acquire(False) is False
    other.kill()
    with pytest.raises(ValueError, match="can be no higher"):
        semaphore.release()
    assert semaphore.get_value() == 2


@pytest.mark.parametrize("value", [-1, 2**31])
def test_a_value_that_cannot_be(value):
    with pytest.raises(ValueError, match=f"not {value}"):
        sync.Semaphore(value)


def test_the_highest_value():
    semaphore = sync.Semaphore(2**31 - 1)
    assert semaphore.get_value() == 2**31 - 1
    with pytest.raises(ValueError, match="can be no higher"):
        semaphore.release()


def test_as_a_with_block():
    semaphore = sync.Semaphore(1)
    with semaphore:
        assert semaphore.get_value() == 0
    assert semaphore.get_value() == 1


def test_no_more_than_so_many_at_once(fork):
    """Threads of several processes, some of which are killed within."""
    semaphore = sync.Semaphore(3)
    inside = sync.Semaphore(3)  # the test's own: how many are in

    def works(other):
        def work():
            for _ in range(100):
                with semaphore:
                    assert inside.acquire(False)
                    time.sleep(0)
                    inside.release()
                    other.say()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    others = [fork(works) for _ in range(4)]
    for victim in others[:2]:
        victim.hear()
        victim.kill()
    for survivor in others[2:]:
        for _ in range(200):
            survivor.hear()
        assert survivor.end() == 0
    assert semaphore.get_value() == inside.get_value() == 3


def test_a_handler_that_raises_ends_the_wait_and_takes_nothing(fork, handling, ringing):
    semaphore = sync.Semaphore(0)

    def interrupts(*_):
        raise KeyboardInterrupt

    handling(signal.SIGALRM, interrupts)
    with pytest.raises(KeyboardInterrupt), ringing(0.05):
        semaphore.acquire()
    semaphore.release()
    assert semaphore.get_value() == 1
