"""Every wait, in all the ways it can end: success, timeout, signal, close()."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time

import pytest

import pyipc
from pyipc import posix

pytestmark = pytest.mark.needs("posix.semaphores", "posix.message_queues")


@pytest.fixture(params=["acquire", "receive", "send"])
def what(request):
    return request.param


@pytest.fixture
def handle(what):
    if what == "acquire":
        made = posix.Semaphore.create(None, 0)
    else:
        made = posix.MessageQueue.create(None, max_messages=1, max_size=16)
        if what == "send":
            made.send(b"full")
    yield made
    made.close()


@pytest.fixture
def wait(what, handle):
    return {
        "acquire": lambda timeout=None: handle.acquire(timeout),
        "receive": lambda timeout=None: handle.receive(timeout),
        "send": lambda timeout=None: handle.send(b"more", timeout=timeout),
    }[what]


@pytest.fixture
def fulfil(what, handle):
    def fulfil():
        if what == "acquire":
            handle.release()
        elif what == "receive":
            handle.send(b"here", timeout=20)
        else:
            handle.receive(20)

    return fulfil


def test_a_timeout(wait, costs_little):
    began = time.monotonic()
    with costs_little(), pytest.raises(pyipc.TimedOutError):
        wait(0.3)
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_several_threads_and_processes(wait, fulfil, fork, until, asleep, timeout):
    done = []
    threads = [threading.Thread(target=lambda: done.append(wait(timeout))) for _ in range(3)]
    for thread in threads:
        thread.start()
    children = [fork(lambda us: wait(timeout)) for _ in range(2)]
    until(lambda: all(asleep(os.getpid(), thread.native_id) for thread in threads))
    until(lambda: all(asleep(child.pid) for child in children))
    for _ in range(5):
        fulfil()
    for thread in threads:
        thread.join()
    assert [child.end() for child in children] == [0, 0]
    assert len(done) == 3


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_close_in_another_thread(wait, handle, until, asleep, timeout):
    problems = []

    def run():
        try:
            wait(timeout)
        except pyipc.ClosedError as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: all(asleep(os.getpid(), thread.native_id) for thread in threads))
    handle.close()
    for thread in threads:
        thread.join()
    assert len(problems) == 3


def test_handlers_that_return(wait, handling):
    """They run, the wait goes on, and ends when it should."""
    came = []
    handling(signal.SIGALRM, lambda *_: came.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    began = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):
        wait(0.5)
    took = time.monotonic() - began
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert took >= 0.5
    assert len(came) >= 3


def test_a_handler_that_fulfils(wait, fulfil, handling):
    handling(signal.SIGALRM, lambda *_: fulfil())
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    wait(20)


def test_a_handler_that_raises(wait, handling, ringing, what, handle):
    def zap(*_):
        raise ZeroDivisionError

    handling(signal.SIGALRM, zap)
    with pytest.raises(ZeroDivisionError), ringing(0.05):
        wait()
    if what == "acquire":
        assert handle.value == 0
    else:
        assert handle.stat().messages == (what == "send")


def test_a_handler_that_closes(wait, handle, handling):
    handling(signal.SIGALRM, lambda *_: handle.close())
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(pyipc.ClosedError):
        wait()


def test_ctrl_c(wait, fork, until, asleep):
    def run(us):
        with contextlib.suppress(KeyboardInterrupt):
            wait()
            us.say("not interrupted")
        us.say("interrupted")

    other = fork(run)
    until(lambda: asleep(other.pid))
    os.kill(other.pid, signal.SIGINT)
    assert other.hear() == "interrupted"
    assert other.end() == 0


def test_who_waits_by_select_sees_it_too(what, handle, fulfil, fork):
    if what == "acquire":
        pytest.skip("a semaphore has no descriptor")
    other = fork(lambda us: (us.hear(), fulfil()))
    ends = ([handle], []) if what == "receive" else ([], [handle])
    assert select.select(*ends, [], 0)[:2] == ([], [])
    other.say()
    assert select.select(*ends, [], 20)[:2] == ends
    assert other.end() == 0
