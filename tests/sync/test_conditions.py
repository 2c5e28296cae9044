"""Conditions: a notify reaches exactly as many as it says, and none of them dead."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

import pyipc
from pyipc import sync

pytestmark = pytest.mark.needs("sync.locks")


@pytest.fixture(params=["its own", "Lock", "RLock"])
def condition(request):
    lock = None if request.param == "its own" else getattr(sync, request.param)()
    made = sync.Condition(lock)
    yield made
    made.close()
    if lock is not None:
        lock.close()


def waits(other, condition, timeout=20):
    with condition:
        other.say("waits")
        other.say(condition.wait(timeout))


@pytest.fixture
def waiting(fork, sleeps):
    """Processes that wait, one after another."""

    def start(condition, count, timeout=20):
        others = []
        for _ in range(count):
            others.append(fork(waits, condition, timeout))
            assert others[-1].hear() == "waits"
            sleeps(others[-1].pid)
        return others

    return start


def notify(condition, n=1):
    with condition:
        condition.notify(n)


def test_the_oldest_are_woken_and_no_others(condition, waiting):
    others = waiting(condition, 4)
    notify(condition)
    assert others[0].hear() is True
    notify(condition, 2)
    assert [other.hear() for other in others[1:3]] == [True, True]
    time.sleep(0.05)  # nothing comes of that for the last
    assert not others[3].has_said()
    with condition:
        condition.notify_all()
    assert others[3].hear() is True


@pytest.mark.parametrize("n", [0, -1, 1, 100])
def test_a_notify_for_nobody_is_for_nobody(condition, waiting, n):
    notify(condition, n)
    with condition:
        condition.notify_all()
        assert condition.wait(0.03) is False


def test_the_dead_are_passed_over(condition, waiting):
    others = waiting(condition, 4)
    others[0].kill()
    others[2].kill()
    notify(condition, 2)
    assert [others[1].hear(), others[3].hear()] == [True, True]


def test_places_of_the_dead_are_taken_again(waiting):
    condition = sync.Condition()
    for _ in range(3):
        for other in waiting(condition, 3):
            other.kill()
    (other,) = waiting(condition, 1)
    notify(condition)
    assert other.hear() is True


def test_a_timeout_is_kept_and_the_lock_taken_again(condition):
    with condition:
        for timeout in 0, -1, 0.02, 0.3:
            begun = time.monotonic()
            assert condition.wait(timeout) is False
            assert timeout <= time.monotonic() - begun < max(timeout, 0) + 1
            assert condition._lock._depth() == 1


def test_a_recursive_lock_is_let_go_whole_and_taken_whole(fork):
    condition = sync.Condition(sync.RLock())

    def notifies(other):
        notify(condition)

    with condition, condition, condition:
        other = fork(notifies)
        assert condition.wait(20) is True
        assert condition._lock._depth() == 3
    assert other.end() == 0
    assert not condition._lock.locked()


def test_who_does_not_have_the_lock_may_not(condition):
    for call in condition.wait, condition.notify, condition.notify_all:
        with pytest.raises(AssertionError, match="has not acquired"):
            call()
    condition.acquire()
    said = []

    def tries():
        with pytest.raises(AssertionError):
            condition.wait(0)
        said.append(True)

    thread = threading.Thread(target=tries)
    thread.start()
    thread.join()
    assert said == [True]
    condition.release()


def test_wait_for(condition, fork):
    event = sync.Event()

    def works(other):
        other.hear()
        notify(condition)  # in vain
        other.hear()
        event.set()
        notify(condition)

    other = fork(works)
    with condition:
        assert condition.wait_for(event.is_set, 0.05) is False
        assert condition.wait_for(lambda: "already") == "already"
        other.say()
        other.say()
        assert condition.wait_for(event.is_set, 20) is True


@pytest.mark.parametrize("depth", [1, 2])
def test_a_handler_that_raises_leaves_the_lock_taken(depth, handling, ringing, waiting):
    condition = sync.Condition()

    def interrupts(*_):
        raise KeyboardInterrupt

    handling(signal.SIGALRM, interrupts)
    for _ in range(depth):
        condition.acquire()
    with pytest.raises(KeyboardInterrupt), ringing(0.05):
        condition.wait()
    assert condition._lock._depth() == depth
    for _ in range(depth):
        condition.release()
    (other,) = waiting(condition, 1)  # who went away is not in its way
    notify(condition)
    assert other.hear() is True


def is_interrupted_once(say, hear):
    """In `wait`, at whatever moment it comes, and once in each."""
    import signal
    import time

    from pyipc import sync

    class NowError(Exception):
        pass

    armed = False

    def interrupts(*_):
        nonlocal armed
        if armed:
            armed = False
            raise NowError

    condition = sync.Condition()
    signal.signal(signal.SIGALRM, interrupts)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.00023)
    raised = without = 0
    end = time.monotonic() + 2
    while time.monotonic() < end:
        condition._lock.acquire()
        try:
            armed = True
            condition.wait(0.0001)
            armed = False
        except NowError:
            raised += 1
        armed = False
        depth = condition._lock._depth()
        without += depth == 0
        for _ in range(depth):
            condition._lock.release()
    signal.setitimer(signal.ITIMER_REAL, 0)
    say((raised, without))


def test_a_handler_that_raises_once_never_lets_a_wait_out_without_its_lock(child):
    other = child(is_interrupted_once, measured=False)
    raised, without = other.hear()
    assert raised > 100
    assert without == 0
    assert other.end() == 0


def test_a_block_does_not_release_what_is_another_threads():
    condition = sync.Condition(sync.Lock())
    with condition:
        condition._lock.release()  # as after a wait that could not take it again
        taker = threading.Thread(target=condition._lock.acquire)
        taker.start()
        taker.join()
    assert condition._lock.locked()
    condition._lock.release()


def test_a_notify_for_one_who_leaves_by_an_exception_is_for_another(waiting, fork, sleeps):
    condition = sync.Condition()

    class LeftError(Exception):
        pass

    def leaves(other):
        def interrupts(*_):
            condition._notify(1)  # reaches ourselves, who waited first
            raise LeftError

        signal.signal(signal.SIGUSR1, interrupts)
        with condition:
            other.say()
            try:
                condition.wait()
            except LeftError:
                other.say("left")

    first = fork(leaves)
    first.hear()
    sleeps(first.pid)
    (second,) = waiting(condition, 1)
    os.kill(first.pid, signal.SIGUSR1)
    assert first.hear() == "left"
    assert second.hear() is True


def test_an_owner_that_dies_while_others_wait(waiting, fork):
    condition = sync.Condition()
    others = waiting(condition, 2)

    def dies(other):
        condition.acquire()
        condition.notify()
        os.kill(os.getpid(), signal.SIGKILL)

    assert fork(dies).end() == -signal.SIGKILL
    assert others[0].hear() is True
    assert not others[1].has_said()
    notify(condition)
    assert others[1].hear() is True


def test_threads_of_one_process(condition):
    said = []

    def waits_here():
        with condition:
            said.append("waits")
            condition.wait(20)
            said.append("woken")

    threads = [threading.Thread(target=waits_here) for _ in range(5)]
    for thread in threads:
        thread.start()
    while said.count("waits") < 5:
        time.sleep(0)
    for count in range(1, 6):
        notify(condition)
        while said.count("woken") < count:
            time.sleep(0)
        time.sleep(0.01)  # no more than that
        assert said.count("woken") == count
    for thread in threads:
        thread.join()


def test_no_more_than_1024_can_wait():
    condition = sync.Condition()
    places = [
        condition._promptly("wait", pyipc._backend.ops.condition_enlist, pyipc._backend.ops.new_place())
    ]
    while places[-1] == 0:
        places.append(
            condition._promptly("wait", pyipc._backend.ops.condition_enlist, pyipc._backend.ops.new_place())
        )
    assert len(places) == 1025
    with condition, pytest.raises(pyipc.LimitError, match="waiters is 1024"):
        condition.wait(1)
    assert not condition._lock.locked()
