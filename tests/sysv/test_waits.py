"""Every wait, in all the ways it can end: success, timeout, signal, removal, close()."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import pytest

import pyipc
from pyipc import sysv

# What can wait, made so that it does: by name, since a child makes it again from the id.
KINDS = ["op", "acquire", "wait_zero", "receive", "send"]


def _made(kind):
    if kind in ("op", "acquire", "wait_zero"):
        return sysv.SemaphoreSet.create(1, initial=1 if kind == "wait_zero" else 0)
    queue = sysv.MessageQueue.create()
    if kind == "send":
        queue.set(max_bytes=4)
        queue.send(b"full")
    return queue


def _waiting(kind, handle, timeout=None):
    """A handle of its own on the object, and the call that waits on it."""
    if kind == "op":
        s = sysv.SemaphoreSet.attach(handle.id)
        return s, lambda: s.op(s[0] - 1, timeout=timeout)
    if kind == "acquire":
        semaphore = sysv.Semaphore.attach(handle.id)
        return semaphore, lambda: semaphore.acquire(timeout)
    if kind == "wait_zero":
        semaphore = sysv.Semaphore.attach(handle.id)
        return semaphore, lambda: semaphore.wait_zero(timeout)
    queue = sysv.MessageQueue.attach(handle.id)
    if kind == "receive":
        return queue, lambda: queue.receive(timeout=timeout)
    return queue, lambda: queue.send(b"more", timeout=timeout)


def _fulfil(kind, handle):
    """What the waiters wait for."""
    if kind in ("op", "acquire"):
        handle.op(handle[0] + 1)
    elif kind == "wait_zero":
        handle.op(handle[0] - 1)
    elif kind == "receive":
        handle.send(b"here")
    else:
        handle.receive()


def _untouched(kind, handle):
    """Whether nothing was taken and nothing was sent."""
    if isinstance(handle, sysv.SemaphoreSet):
        return handle.values == [1 if kind == "wait_zero" else 0]
    return handle.stat().messages == (1 if kind == "send" else 0)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def handle(kind):
    with _made(kind) as made:
        yield made


@pytest.fixture(params=[None, 20.0], ids=["for ever", "with a timeout"])
def timeout(request):
    return request.param


class Waiter(threading.Thread):
    """A thread in a wait; what came of it, once it is joined."""

    def __init__(self, call):
        super().__init__()
        self.call = call
        self.outcome = None
        self.start()

    def run(self):
        try:
            self.call()
            self.outcome = "done"
        except Exception as problem:  # the test looks at which it is
            self.outcome = problem


@contextlib.contextmanager
def handling(number, handler):
    old = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, old)


# ---- timeouts ----


@pytest.mark.parametrize("seconds", [0.0001, 0.02, 0.3])
def test_a_timeout_is_never_early_and_hardly_late(kind, handle, seconds):
    borrowed, call = _waiting(kind, handle, seconds)
    started = time.monotonic()
    with pytest.raises(pyipc.TimedOutError, match=f"id {handle.id}"):
        call()
    took = time.monotonic() - started
    assert seconds <= took < seconds + 0.5  # on a busy machine; the benchmarks measure
    assert _untouched(kind, handle)
    borrowed.close()


def test_a_timeout_longer_than_a_second_is_not_early_either(kind, handle):
    borrowed, call = _waiting(kind, handle, 1.25)
    started = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):
        call()
    assert 1.25 <= time.monotonic() - started < 2
    borrowed.close()


def test_a_timeout_of_zero_does_not_wait(kind, handle):
    borrowed, call = _waiting(kind, handle, 0)
    started = time.monotonic()
    with pytest.raises(pyipc.WouldBlockError, match=f"id {handle.id}"):
        call()
    assert time.monotonic() - started < 0.5
    assert _untouched(kind, handle)
    borrowed.close()


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_timeout_that_makes_no_sense_is_a_value_error(kind, handle, seconds):
    borrowed, call = _waiting(kind, handle, seconds)
    with pytest.raises(ValueError, match="timeout"):
        call()
    assert _untouched(kind, handle)
    borrowed.close()


def test_a_timeout_that_makes_no_sense_is_refused_where_nothing_waits():
    semaphore, queue = sysv.Semaphore.create(1), sysv.MessageQueue.create()
    for call in (semaphore.acquire, lambda seconds: queue.send(b"x", timeout=seconds)):
        with pytest.raises(ValueError, match="timeout"):
            call(-1)
    assert semaphore.value == 1
    assert queue.stat().messages == 0
    semaphore.close()
    queue.close()


def test_the_wait_ends_when_there_is_what_it_waits_for(kind, handle, timeout, until, asleep):
    borrowed, call = _waiting(kind, handle, timeout)
    waiter = Waiter(call)
    until(lambda: asleep(os.getpid(), waiter.native_id))
    _fulfil(kind, handle)
    waiter.join()
    assert waiter.outcome == "done"
    borrowed.close()


# ---- signals ----


def test_a_handler_that_returns_neither_ends_nor_lengthens_a_wait(kind, handle):
    borrowed, call = _waiting(kind, handle, 0.5)
    came = []
    with handling(signal.SIGALRM, lambda *_: came.append(time.monotonic())):
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        started = time.monotonic()
        try:
            with pytest.raises(pyipc.TimedOutError):
                call()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    assert 0.5 <= time.monotonic() - started < 1
    assert len(came) > 5
    assert _untouched(kind, handle)
    borrowed.close()


# They ring once more, a second later: a queue without a timeout does not notice a signal that comes when
# Python has looked, and the kernel does not sleep yet (docs/design/waiting.md).


def test_a_handler_may_bring_what_is_waited_for(kind, handle, timeout, ringing):
    borrowed, call = _waiting(kind, handle, timeout)
    with handling(signal.SIGALRM, lambda *_: _fulfil(kind, handle)), ringing(0.05, 1):
        call()
    borrowed.close()


def test_a_handler_that_raises_ends_the_wait_and_leaves_nothing_taken(kind, handle, timeout, ringing):
    borrowed, call = _waiting(kind, handle, timeout)

    def handler(*_):
        raise KeyError("from the handler")

    wanted = pytest.raises(KeyError, match="from the handler")
    with handling(signal.SIGALRM, handler), wanted, ringing(0.05, 1):
        call()
    assert _untouched(kind, handle)
    _fulfil(kind, handle)  # nobody waits any more, so it stays
    assert not _untouched(kind, handle)
    borrowed.close()


@pytest.mark.needs("sysv.close_wakes_waiters")
def test_a_handler_may_close_the_handle(kind, handle, timeout, ringing):
    borrowed, call = _waiting(kind, handle, timeout)
    wanted = pytest.raises(pyipc.ClosedError, match=f"id {handle.id}")
    with handling(signal.SIGALRM, lambda *_: borrowed.close()), wanted, ringing(0.05, 1):
        call()
    assert _untouched(kind, handle)


def test_a_handler_of_another_thread_does_not_disturb_a_wait(kind, handle, until, asleep):
    borrowed, call = _waiting(kind, handle, None)
    waiter = Waiter(call)
    until(lambda: asleep(os.getpid(), waiter.native_id))
    with handling(signal.SIGUSR1, lambda *_: None):
        for _ in range(20):
            signal.pthread_kill(waiter.ident, signal.SIGUSR1)
        _fulfil(kind, handle)
        waiter.join()
    assert waiter.outcome == "done"
    borrowed.close()


def wait_in_a_child(say, hear, kind, id, timeout):
    from pyipc import sysv

    try:
        if kind in ("receive", "send"):
            handle = sysv.MessageQueue.attach(id)
            say("waiting")
            if kind == "receive":
                handle.receive(timeout=timeout)
            else:
                handle.send(b"more", timeout=timeout)
        elif kind == "op":
            handle = sysv.SemaphoreSet.attach(id)
            say("waiting")
            handle.op(handle[0] - 1, timeout=timeout)
        else:
            handle = sysv.Semaphore.attach(id)
            say("waiting")
            getattr(handle, kind)(timeout)
        say("done")
    except BaseException as problem:  # KeyboardInterrupt is what is wanted
        say((type(problem).__name__, str(problem)))
    handle.close()


def test_ctrl_c_ends_every_wait(kind, handle, timeout, child, until, asleep):
    other = child(wait_in_a_child, kind, handle.id, timeout)
    assert other.hear() == "waiting"
    until(lambda: asleep(other.pid))
    other.kill(signal.SIGINT)
    assert other.hear(timeout=5) == ("KeyboardInterrupt", "")
    assert other.end() == 0
    assert _untouched(kind, handle)


def test_a_stopped_and_continued_waiter_still_waits(kind, handle, timeout, child, until, asleep):
    other = child(wait_in_a_child, kind, handle.id, timeout)
    assert other.hear() == "waiting"
    until(lambda: asleep(other.pid))
    other.kill(signal.SIGSTOP)
    other.kill(signal.SIGCONT)
    _fulfil(kind, handle)
    assert other.hear() == "done"
    assert other.end() == 0


# ---- the object goes, or the handle ----


def test_a_waiter_is_told_of_removal(kind, handle, timeout, child, until, asleep):
    other = child(wait_in_a_child, kind, handle.id, timeout)
    assert other.hear() == "waiting"
    until(lambda: asleep(other.pid))
    handle.remove()
    name, text = other.hear()
    assert name == "RemovedError"
    assert f"id {handle.id}" in text
    assert other.end() == 0


def test_a_waiting_thread_is_told_of_removal(kind, handle, timeout, until, asleep):
    borrowed, call = _waiting(kind, handle, timeout)
    waiter = Waiter(call)
    until(lambda: asleep(os.getpid(), waiter.native_id))
    borrowed.remove()
    waiter.join()
    assert type(waiter.outcome) is pyipc.RemovedError
    assert f"id {handle.id}" in str(waiter.outcome)
    borrowed.close()


@pytest.mark.needs("sysv.close_wakes_waiters")
def test_closing_a_borrowed_handle_wakes_its_waiters(kind, handle, timeout, until, asleep):
    borrowed, call = _waiting(kind, handle, timeout)
    waiters = [Waiter(call) for _ in range(3)]
    for waiter in waiters:
        until(lambda waiter=waiter: asleep(os.getpid(), waiter.native_id))
    started = time.monotonic()
    borrowed.close()
    for waiter in waiters:
        waiter.join()
        assert type(waiter.outcome) is pyipc.ClosedError
        assert f"id {handle.id}" in str(waiter.outcome)
    assert time.monotonic() - started < 5
    assert _untouched(kind, handle)


@pytest.mark.needs("sysv.close_wakes_waiters")
def test_closing_one_handle_leaves_those_who_wait_on_another(kind, handle, until, asleep):
    one, call_one = _waiting(kind, handle, None)
    other, call_other = _waiting(kind, handle, None)
    first, second = Waiter(call_one), Waiter(call_other)
    until(lambda: asleep(os.getpid(), first.native_id) and asleep(os.getpid(), second.native_id))
    one.close()
    first.join()
    assert type(first.outcome) is pyipc.ClosedError
    assert second.is_alive()
    _fulfil(kind, handle)
    second.join()
    assert second.outcome == "done"
    other.close()


@pytest.mark.needs("sysv.close_wakes_waiters")
def test_waking_waiters_leaves_the_programs_own_sigurg_handler(kind, handle, until, asleep):
    came = []

    def handler(*_):
        came.append(1)

    with handling(signal.SIGURG, handler):
        borrowed, call = _waiting(kind, handle, None)
        waiter = Waiter(call)
        until(lambda: asleep(os.getpid(), waiter.native_id))
        borrowed.close()
        waiter.join()
        assert type(waiter.outcome) is pyipc.ClosedError
        assert signal.getsignal(signal.SIGURG) is handler
        signal.raise_signal(signal.SIGURG)
        assert came
    assert signal.getsignal(signal.SIGURG) == signal.SIG_DFL


def test_closing_the_owner_ends_its_waits(kind, timeout, until, asleep):
    owner = _made(kind)
    if kind == "wait_zero":
        waiter = Waiter(lambda: owner.op(owner[0].wait_zero, timeout=timeout))
    elif kind in ("op", "acquire"):
        waiter = Waiter(lambda: owner.op(owner[0] - 1, timeout=timeout))
    elif kind == "receive":
        waiter = Waiter(lambda: owner.receive(timeout=timeout))
    else:
        waiter = Waiter(lambda: owner.send(b"more", timeout=timeout))
    until(lambda: asleep(os.getpid(), waiter.native_id))
    owner.close()
    waiter.join()
    assert type(waiter.outcome) is pyipc.ClosedError
    assert f"id {owner.id}" in str(waiter.outcome)


# ---- beside other work ----


def test_other_threads_run_while_one_waits(kind, handle, until, asleep):
    borrowed, call = _waiting(kind, handle, 20)
    waiter = Waiter(call)
    until(lambda: asleep(os.getpid(), waiter.native_id))
    assert sum(range(100_000)) == 4999950000  # would never begin if the wait held the GIL
    _fulfil(kind, handle)
    waiter.join()
    assert waiter.outcome == "done"
    borrowed.close()


def test_calls_that_never_wait_stay_quick_beside_a_busy_thread():
    """A call that let go of the GIL would get it back after 5 ms, 2,000 of them after 10 s."""
    stop = False

    def spin():
        while not stop:
            pass

    semaphore, queue = sysv.Semaphore.create(1), sysv.MessageQueue.create()
    spinner = threading.Thread(target=spin)
    spinner.start()
    try:
        started = time.monotonic()
        for _ in range(500):
            semaphore.acquire()
            semaphore.release()
            queue.send(b"x")
            queue.receive()
        took = time.monotonic() - started
    finally:
        stop = True
        spinner.join()
        semaphore.close()
        queue.close()
    if pyipc.backend() == "native":
        assert took < 5
