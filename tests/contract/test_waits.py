"""What waits: until it can go on, no longer than told, and never deaf to signals."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from contextlib import contextmanager
from errno import EAGAIN, EIDRM, EINTR, ETIMEDOUT

import pytest

from pyipc._backend import load

FOREVER = 2**63 - 1
PAST = 0


class Semaphore:
    """A wait for something to take."""

    def __init__(self, backend, key):
        self.backend = backend
        self.id = backend.sem_create(key, [0], 0o600)
        self.take = backend.sem_prepare([(0, -1, 0)])
        self.remove = lambda: backend.sem_remove(self.id)

    def wait(self, deadline):
        return self.backend.sem_op(self.id, self.take, 1, deadline)

    def fulfil(self, backend):
        assert backend.now_sem_give(self.id) == 0

    done = 0


class Zero(Semaphore):
    """A wait for the value 0."""

    def __init__(self, backend, key):
        super().__init__(backend, key)
        self.take = backend.sem_prepare([(0, 0, 0)])
        backend.now_sem_give(self.id)

    def fulfil(self, backend):
        assert backend.now_sem_take(self.id) == 0


class Receiver:
    """A wait for a message."""

    def __init__(self, backend, key):
        self.backend = backend
        self.id = backend.msg_create(key, 0o600)
        self.remove = lambda: backend.msg_remove(self.id)

    def wait(self, deadline):
        return self.backend.msg_receive(self.id, 100, 0, 0, deadline)

    def fulfil(self, backend):
        assert backend.now_msg_send(self.id, 5, b"data") == 0

    done = (b"data", 5)


class Sender(Receiver):
    """A wait for room."""

    def __init__(self, backend, key):
        super().__init__(backend, key)
        assert backend.now_msg_set(self.id, -1, -1, -1, 10) == 0
        assert backend.now_msg_send(self.id, 1, bytes(10)) == 0

    def wait(self, deadline):
        return self.backend.msg_send(self.id, 1, b"more", deadline)

    def fulfil(self, backend):
        assert backend.now_msg_receive(self.id, 10, 0, 0) == (bytes(10), 1)

    done = 0


@pytest.fixture(params=[Semaphore, Zero, Receiver, Sender], ids=lambda kind: kind.__name__.lower())
def kind(request):
    return request.param


@pytest.fixture
def waiting(kind, backend, key):
    made = kind(backend, key)
    yield made
    made.remove()


def persist(waiting, deadline):
    """As `_handle._wait` does."""
    while True:
        result = waiting.wait(deadline)
        if result != -EINTR:
            return result


@contextmanager
def handler(number, function):
    before = signal.signal(number, function)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def alarms(function, first, interval=0.0):
    with handler(signal.SIGALRM, function):
        signal.setitimer(signal.ITIMER_REAL, first, interval)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def test_a_wait_ends_at_its_deadline(waiting, soon):
    started = time.monotonic()
    assert persist(waiting, soon(0.1)) == -ETIMEDOUT
    assert 0.1 <= time.monotonic() - started < 5


def test_a_deadline_that_has_passed_still_tries_once(waiting, backend):
    assert waiting.wait(PAST) == -ETIMEDOUT
    waiting.fulfil(backend)
    assert waiting.wait(PAST) == waiting.done


@pytest.mark.parametrize("for_ever", [False, True], ids=["with a deadline", "for ever"])
def test_a_wait_ends_when_the_other_backend_lets_it(kind, pair, key, forked, for_ever, soon, until, asleep):
    waiter, other = pair
    made = kind(waiter, key)
    result = forked(persist, made, FOREVER if for_ever else soon(20))
    until(lambda: asleep(result.pid))
    made.fulfil(other)
    assert result() == made.done
    made.remove()


def test_a_nowait_operation_does_not_wait(backend, key, soon):
    id = backend.sem_create(key, [0], 0o600)
    nowait = backend.sem_prepare([(0, -1, backend.SEM_NOWAIT)])
    assert backend.sem_op(id, nowait, 1, FOREVER) == backend.sem_op(id, nowait, 1, soon(20)) == -EAGAIN
    backend.sem_remove(id)


@pytest.mark.parametrize("for_ever", [False, True], ids=["with a deadline", "for ever"])
def test_a_wait_ends_when_the_other_backend_removes_it(
    kind, pair, key, forked, for_ever, soon, until, asleep
):
    waiter, other = pair
    made = kind(waiter, key)
    result = forked(persist, made, FOREVER if for_ever else soon(20))
    until(lambda: asleep(result.pid))
    remove = other.msg_remove if issubclass(kind, Receiver) else other.sem_remove
    assert remove(made.id) == 0
    assert result() == -EIDRM


@pytest.mark.parametrize("for_ever", [False, True], ids=["with a deadline", "for ever"])
def test_handlers_run_during_a_wait_and_do_not_end_it(waiting, backend, for_ever, soon):
    came = []

    def count(*_):
        came.append(1)
        if len(came) == 5:
            waiting.fulfil(backend)

    with alarms(count, 0.02, 0.02):
        assert persist(waiting, FOREVER if for_ever else soon(20)) == waiting.done
    assert len(came) >= 5


@pytest.mark.parametrize("exception", [KeyboardInterrupt, TimeoutError, ValueError, MemoryError])
def test_what_a_handler_raises_ends_a_wait_and_nothing_is_taken(waiting, backend, exception):
    def fail(*_):
        raise exception("from the handler")

    # Once more after a second: a queue without a deadline does not notice a signal that comes when Python has
    # looked, and the kernel does not sleep yet.
    with pytest.raises(exception, match="from the handler"), alarms(fail, 0.05, 1):
        persist(waiting, FOREVER)
    waiting.fulfil(backend)
    assert waiting.wait(PAST) == waiting.done


def other_than(expected, call):
    """Its first other answer. In vain if the alarm struck in a destructor: Python drops what that raises."""
    for _ in range(2000):
        answer = call()
        if answer != expected:
            return answer
    return expected


@pytest.fixture
def untraced():
    """No coverage: it has locks, which an exception out of nowhere would leave locked for ever."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


# The exception may strike between the opening of a file and its first use.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_a_handler_raises_is_never_taken_for_an_answer(backend, key, untraced):
    """TimeoutError is an OSError, and comes wherever Python looks for signals."""

    class FromHandlerError(TimeoutError):
        pass

    armed = False

    def fail(*_):
        nonlocal armed
        if armed:
            armed = False
            raise FromHandlerError

    set_id, queue_id = backend.sem_create(key, [0], 0o600), backend.msg_create(key, 0o600)
    segment_id = backend.shm_create(key, 100, 0, 0o600)
    calls = [
        (lambda: backend.now_sem_take(set_id), -EAGAIN),
        (lambda: backend.now_msg_receive(queue_id, 9, 0, 0), -EAGAIN),
        (lambda: backend.now_sem_get(set_id, 0, backend.SEM_GET_VALUE), 0),
        (lambda: backend.now_sem_find(key, 0), set_id),
        (lambda: backend.now_shm_size(segment_id), 100),
        (lambda: backend.now_shm_find(key, 0), segment_id),
        (lambda: backend.now_msg_stat(queue_id)[2], 0),
        (lambda: backend.msg_receive(queue_id, 9, 0, 0, PAST), -ETIMEDOUT),
        (lambda: backend.shm_remove(2**31 - 1), -EIDRM),
    ]
    with handler(signal.SIGALRM, fail):
        for number in range(900):
            call, expected = calls[number % len(calls)]
            answer = expected
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + number % 89))
                answer = other_than(expected, call)
                armed = False
            except FromHandlerError:
                answer = expected
            assert answer == expected
        gc.collect()
    assert [backend.sem_remove(set_id), backend.msg_remove(queue_id), backend.shm_remove(segment_id)] == [
        0,
        0,
        0,
    ]


def test_an_interrupted_thread_reports_it_at_once(waiting, backend):
    results, there = [], []

    def wait():
        there.append(threading.get_native_id())
        results.append(waiting.wait(FOREVER))

    started = time.monotonic()
    for number in range(1, 21):
        thread = threading.Thread(target=wait)
        thread.start()
        while len(results) < number and time.monotonic() < started + 10:
            for native_id in there[number - 1 :]:
                backend.interrupt(native_id)
        thread.join(10)
    assert time.monotonic() - started < 3  # no wait was left to look around by itself
    assert results == [-EINTR] * 20
    waiting.fulfil(backend)
    assert waiting.wait(PAST) == waiting.done


def test_a_long_wait_looks_around(waiting, soon):
    """So that whoever closes the handle in a signal handler is heard, and a lost signal too."""
    assert waiting.wait(soon(30)) == -EINTR


def test_the_fallback_looks_around_in_a_wait_for_ever(kind, key):
    made = kind(load("fallback"), key)
    assert made.wait(FOREVER) == -EINTR
    made.remove()


def test_a_long_wait_costs_little(waiting, soon, costs_little):
    with costs_little():
        assert persist(waiting, soon(0.5)) == -ETIMEDOUT


def test_messages_come_in_order_and_each_once_however_the_backends_mix(both, key, forked, soon, until):
    number, backends = 300, ["native", "fallback"]
    maker = load("native")
    id = maker.msg_create(key, 0o600)
    assert maker.now_msg_set(id, -1, -1, -1, 400) == 0  # senders must wait

    def send(name, type):
        backend = load(name)
        for i in range(number):
            while (result := backend.msg_send(id, type, b"%d" % i, soon(20))) == -EINTR:
                pass
            assert result == 0

    def receive(name):
        backend, got = load(name), []
        while True:
            result = backend.msg_receive(id, 100, -2, 0, FOREVER)
            if result == -EINTR:
                continue
            if result == -EIDRM:
                return got
            assert not isinstance(result, int)
            got.append((result[1], int(result[0])))

    receivers = [forked(receive, name) for name in backends]
    senders = [forked(send, name, type) for type, name in enumerate(backends, 1)]
    for sender in senders:
        assert sender() is None
    until(lambda: maker.now_msg_stat(id)[2] == 0)
    assert maker.msg_remove(id) == 0
    results = [receiver() for receiver in receivers]
    assert sorted(results[0] + results[1]) == [(type, i) for type in (1, 2) for i in range(number)]
    for got in results:
        for type in (1, 2):
            numbers = [i for t, i in got if t == type]
            assert numbers == sorted(numbers)
