"""Events."""

from __future__ import annotations

import os
import signal
import time

import pytest

from pyipc import sync

pytestmark = pytest.mark.needs("sync.locks")


@pytest.fixture
def event():
    made = sync.Event()
    yield made
    made.close()


def waits(other, event, timeout=20):
    other.say(event.wait(timeout))


def test_it_is_set_and_cleared(event):
    for _ in range(3):
        assert not event.is_set()
        assert event.wait(0) is False
        event.set()
        event.set()
        assert event.is_set()
        assert event.wait(0) is True
        event.clear()
        event.clear()


def test_another_process_sees_it(event, fork):
    def sets(other):
        other.hear()
        event.set()

    other = fork(sets)
    other.say()
    assert event.wait(20) is True
    assert event.is_set()


def test_all_who_wait_go_on(event, fork, sleeps):
    others = [fork(waits, event, timeout) for timeout in (None, 20, 20)]
    for other in others:
        sleeps(other.pid)
    begun = time.monotonic()
    event.set()
    assert [other.hear() for other in others] == [True] * 3
    assert time.monotonic() - begun < 0.5


def test_a_set_that_is_cleared_at_once_is_not_missed(event, fork, sleeps):
    other = fork(waits, event)
    sleeps(other.pid)
    os.kill(other.pid, signal.SIGSTOP)
    event.set()
    event.clear()
    os.kill(other.pid, signal.SIGCONT)
    assert other.hear() is True
    assert not event.is_set()


def test_a_timeout_is_kept(event):
    for timeout in 0.02, 0.3, -1:
        begun = time.monotonic()
        assert event.wait(timeout) is False
        assert timeout <= time.monotonic() - begun < max(timeout, 0) + 1


def test_one_that_dies_waiting_is_in_nobodys_way(event, fork, sleeps):
    others = [fork(waits, event) for _ in range(2)]
    for other in others:
        sleeps(other.pid)
    others[0].kill()
    event.set()
    assert others[1].hear() is True


def test_a_handler_runs_while_it_waits(event, handling):
    seen = []
    handling(signal.SIGALRM, lambda *_: (seen.append(1), event.set()))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    assert event.wait(20) is True
    assert seen == [1]
