"""What all kinds have in common: on the fallback, through pickles, closed, dropped, forked, hostile."""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import pickle
import threading
import time

import pytest

import pyipc
from pyipc import _member, sync
from pyipc._backend import ops

KINDS = {
    "Lock": sync.Lock,
    "RLock": sync.RLock,
    "Semaphore": sync.Semaphore,
    "BoundedSemaphore": sync.BoundedSemaphore,
    "Event": sync.Event,
    "Condition": sync.Condition,
    "Barrier": lambda: sync.Barrier(2),
    "RWLock": sync.RWLock,
}

here = pytest.mark.needs("sync.locks")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def made(kind):
    one = KINDS[kind]()
    yield one
    one.close()


def used(kind, one):
    """A call of each, that needs nobody else."""
    if kind == "Event":
        one.set()
        return one.wait()
    if kind == "Barrier":
        return one.n_waiting
    if kind == "RWLock":
        with one.reader():
            return True
    with one:
        return True


@pytest.mark.skipif(ops.NAME != "fallback", reason="the core has them")
def test_the_fallback_has_none(kind):
    assert not pyipc.capabilities()["sync.locks"]
    with pytest.raises(pyipc.UnsupportedError, match="in shared memory"):
        KINDS[kind]()


@here
def test_one_that_is_dropped_leaves_nothing_open(kind):
    one = KINDS[kind]()
    before = len(os.listdir("/proc/self/fd"))
    used(kind, one)
    gc.disable()  # nothing is to wait for it
    try:
        del one  # a ResourceWarning would be an error
        assert len(os.listdir("/proc/self/fd")) == before - (2 if kind == "Condition" else 1)
    finally:
        gc.enable()


@here
def test_a_closed_one_says_so(kind, made):
    made.close()
    made.close()
    assert made.closed
    assert repr(made) == f"<{type(made).__name__} at {id(made):#x} closed>"
    with pytest.raises(pyipc.ClosedError):
        used(kind, made)


@here
def test_it_is_pickled_only_by_multiprocessing(made):
    with pytest.raises(TypeError, match="only by multiprocessing"):
        pickle.dumps(made)


@here
@pytest.mark.parametrize("generations", [1, 2])
def test_a_forked_process_uses_it(kind, made, fork, generations):
    def uses(other, left):
        other.say(bool(used(kind, made)) or kind == "Barrier")
        if left:
            child = os.fork()
            if child == 0:
                uses(other, left - 1)
                os._exit(0)
            os.waitpid(child, 0)

    other = fork(uses, generations - 1)
    assert [other.hear() for _ in range(generations)] == [True] * generations
    assert other.end() == 0
    used(kind, made)


@here
def test_threads_make_and_drop_them():
    def works():
        for _ in range(30):
            for kind, make in KINDS.items():
                used(kind, make())

    threads = [threading.Thread(target=works) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@here
def test_it_cannot_be_taken_for_another_kind(kind, made):
    life = made._part().life.fileno()
    for other in KINDS:
        if (
            {kind, other} <= {"Lock", "RLock"}
            or {kind, other} <= {"Semaphore", "BoundedSemaphore"}
            or other == kind
        ):
            continue
        cls = getattr(sync, other)
        with pytest.raises(pyipc.IPCError, match="Invalid argument"):
            cls._arrived([_Kept(life)])


class _Kept:
    """A descriptor that stays open."""

    def __init__(self, number):
        self._number = number

    def fileno(self):
        return self._number

    def _close(self):
        pass


@here
@pytest.mark.parametrize("waits", ["Condition", "Barrier"])
def test_a_wait_ends_in_time_though_a_member_who_lives_keeps_the_guard(waits):
    one = getattr(sync, waits)(*((2,) if waits == "Barrier" else ()))
    member = one._part()
    other = type(one)._arrived([_member.reopened(member.life.fileno(), os.O_RDWR)], *one._more())
    member.memory[128:132] = other._part().state.me.id.to_bytes(4, "little")
    begun = time.monotonic()
    if waits == "Barrier":
        with pytest.raises(threading.BrokenBarrierError):
            one.wait(0.2)
    else:
        with one:
            assert one.wait(0.2) is False
    assert 0.2 <= time.monotonic() - begun < 1.2
    member.memory[128:132] = bytes(4)


@here
@pytest.mark.parametrize("byte", [0x00, 0xFF, 0x5A])
def test_nonsense_from_a_peer_costs_an_error_or_a_timeout_at_the_most(kind, made, byte):
    """All that changes is overwritten; whatever that does, calls with a timeout end."""
    member = made._part()
    with mmap.mmap(member.life.fileno(), len(member.memory)) as memory:
        for begin, end in ((128, 256), (256 + 4096, len(member.memory)), (128, len(member.memory))):
            memory[begin:end] = bytes([byte]) * (end - begin)
            for call in calls_of(kind, made):
                with contextlib.suppress(OSError, ValueError, AssertionError, threading.BrokenBarrierError):
                    call()


def calls_of(kind, one):
    if kind == "Event":
        return [one.set, one.clear, lambda: one.wait(0.05), one.is_set]
    if kind == "Barrier":
        return [lambda: one.wait(0.05), one.reset, lambda: one.n_waiting, one.abort]
    if kind == "RWLock":
        read, write = lambda: one.acquire_read(timeout=0.05), lambda: one.acquire_write(timeout=0.05)
        return [read, one.release_read, write, one.release_write]
    calls = [lambda: one.acquire(timeout=0.05), lambda: one.acquire(False), one.release]
    if kind == "Condition":
        calls[1:1] = [lambda: one.wait(0.05), one.notify, one.notify_all]
    return calls


@here
def test_one_that_is_shared_between_connections(kind, made):
    import multiprocessing

    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        ours.send(made)
        arrived = theirs.recv()
    try:
        assert type(arrived) is type(made)
        assert used(kind, arrived) or kind == "Barrier"
        if kind in ("Lock", "RLock", "Condition"):
            with made:
                assert arrived.acquire(False) is False
        if kind == "Condition":
            assert arrived._lock is not made._lock
    finally:
        arrived.close()
        from multiprocessing.resource_sharer import stop

        stop()


@here
def test_a_condition_and_its_lock_arrive_together():
    import multiprocessing
    from multiprocessing.resource_sharer import stop

    lock = sync.Lock()
    one = sync.Condition(lock)
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        ours.send((lock, one))
        their_lock, arrived = theirs.recv()
    assert arrived._lock is their_lock
    stop()
    for handle in lock, one, their_lock, arrived:
        handle.close()


@here
def test_who_has_slept_long_is_woken_and_does_not_just_look(fork, sleeps):
    """All kinds at once: what has slept for long looks around only once a second."""
    lock, rlock, semaphore, event = sync.Lock(), sync.RLock(), sync.Semaphore(0), sync.Event()
    condition, barrier, reading, writing = sync.Condition(), sync.Barrier(2), sync.RWLock(), sync.RWLock()
    for held in lock.acquire, rlock.acquire, writing.acquire_write, reading.acquire_read:
        held()

    def notify():
        with condition:
            condition.notify()

    def is_notified():
        with condition:
            condition.wait(20)

    pairs = [
        (lock.acquire, lock.release),
        (rlock.acquire, rlock.release),
        (semaphore.acquire, semaphore.release),
        (event.wait, event.set),
        (is_notified, notify),
        (barrier.wait, barrier.wait),
        (writing.acquire_read, writing.release_write),
        (reading.acquire_write, reading.release_read),
    ]

    def sleeper(other, wait):
        wait()
        other.say()
        other.hear()

    others = [fork(sleeper, wait) for wait, _ in pairs]
    for other in others:
        sleeps(other.pid)
    time.sleep(2.2)  # their next look is in 0.8 s
    begun = time.monotonic()
    for _, wake in pairs:
        wake()
    for other, (wait, _) in zip(others, pairs):
        other.hear()
        assert time.monotonic() - begun < 0.6, wait
