"""Locks and their like, by the calls of the protocol; the fallback says no to each of them."""

from __future__ import annotations

import os
import time
from errno import EAGAIN, ECANCELED, EINVAL, ENOTSUP, EPERM, ETIMEDOUT

import pytest

from pyipc._backend import load
from pyipc._backend.protocol import LockOps

CALLS = [name for name, value in vars(LockOps).items() if callable(value) and not name.startswith("_")]
HELPERS = {"lock_slots", "lock_block"}  # of classes


@pytest.mark.parametrize("name", [name for name in CALLS if name not in HELPERS])
def test_the_fallback_has_none(name):
    call = getattr(load("fallback"), name)
    assert call(*[None] * (getattr(LockOps, name).__code__.co_argcount - 1)) == -ENOTSUP


def test_a_class_stays_usable_however_it_is_prepared(backend):
    class Plain:
        def acquire(self):
            """Take it."""

        def release(self):
            """Give it."""

    assert set(backend.lock_slots(Plain)) in ({"acquire", "release"}, set())
    assert backend.lock_block(Plain) is Plain


@pytest.fixture
def native():
    pytest.importorskip("pyipc._core", reason="there is no compiled core")
    return load("native")


@pytest.fixture
def opened(native):
    """States of handles on one new object, each with a description of its own."""
    owners = []

    def make(kind, flags=0, value=0, count=2):
        size = native.now_sync_size(kind, value)
        source = native.Descriptor()
        assert native.memory_create(source, size, 0) == 0
        owners.append(source)
        states = []
        for number in range(count):
            life = native.Descriptor()
            path = f"/proc/self/fd/{source.fileno()}".encode()
            assert native.fd_open(life, path, os.O_RDWR) == 0
            owners.append(life)
            _, memory = native.map_memory(life.fileno(), size, native.MAP_WRITABLE)
            if number == 0:
                assert native.now_sync_format(memory, kind, flags, value) == 0
            state = native.sync_open(memory, life.fileno(), kind, 0)
            assert not isinstance(state, int)
            owners.append(Kept(memory))
            states.append(state)
        return states

    yield make
    for owner in owners:
        owner._close()


class Kept:
    """Mapped as long as the states are used."""

    def __init__(self, memory):
        self._memory = memory

    def _close(self):
        self._memory = None


def now():
    return time.monotonic_ns()


def test_what_cannot_be_made(native):
    assert native.now_sync_size(99, 0) == -EINVAL
    assert native.now_sync_size(native.BARRIER, 0) == -EINVAL
    assert native.now_sync_format(memoryview(bytearray(64)), native.LOCK, 0, 0) == -EINVAL
    assert native.sync_open(memoryview(bytearray(9000)), 0, native.LOCK, 0) == -EINVAL


def test_a_lock(native, opened):
    one, other = opened(native.LOCK)
    taken = native.new_place()
    assert native.now_lock_release(one) == -EPERM
    assert native.now_lock_try(one) == 0
    assert native.now_lock_try(other) == -EAGAIN
    assert native.lock_acquire(other, taken, now(), now()) == -ETIMEDOUT
    assert taken[0] == -1
    assert [native.now_lock_depth(one), native.now_lock_depth(other)] == [1, 0]
    assert [native.now_lock_held(other), native.now_lock_recovered(one)] == [1, 0]
    assert native.now_lock_release(one) == 0
    assert native.lock_recover(other, taken, now(), now()) == 0
    assert taken[0] == 1


def test_a_semaphore(native, opened):
    one, other = opened(native.SEMAPHORE, native.SYNC_UNDO, 1)
    taken = native.new_place()
    assert native.now_semaphore_try(one) == 0
    assert native.now_semaphore_try(other) == -EAGAIN
    assert native.semaphore_acquire(other, taken, now(), now()) == -ETIMEDOUT
    assert native.semaphore_release(one, now()) == 0
    assert native.semaphore_value(other, now()) == 1
    assert native.now_semaphore_release(other) == 0
    assert native.semaphore_acquire(other, taken, now(), now()) == 0
    assert taken[0] == 1
    assert native.semaphore_value(one, now()) == 1


def test_an_event(native, opened):
    one, other = opened(native.EVENT)
    assert native.now_event_count(one) == 0
    assert native.event_wait(one, 0, now(), now()) == -ETIMEDOUT
    assert [native.now_event_set(other), native.now_event_set(other)] == [1, 0]
    assert native.event_wait(one, 0, now(), now()) == 0
    assert [native.now_event_clear(one), native.now_event_clear(one)] == [1, 0]
    assert native.now_event_count(other) == 2


def test_a_condition(native, opened):
    one, other = opened(native.CONDITION)
    place = native.new_place()
    assert native.condition_enlist(one, place, now()) == 0
    assert native.condition_sleep(one, place, now(), now()) == -ETIMEDOUT
    assert native.condition_notify(other, 5, now()) == 1
    assert native.condition_sleep(one, place, now(), now()) == 0
    assert native.condition_enlist(one, place, now()) == 0
    assert native.condition_delist(one, place, now()) == 0
    assert native.condition_notify(other, 5, now()) == 0


def test_a_barrier(native, opened):
    one, other = opened(native.BARRIER, 0, 2)
    first, last = native.new_arrival(), native.new_arrival()
    assert native.barrier_arrive(one, True, first, now(), now()) == 0
    assert (first.generation, first.place, first.acts, first.passed) == (0, 0, 0, 0)
    assert native.barrier_wait(one, 0, now(), now()) == -ETIMEDOUT
    assert native.barrier_waiting(other, now()) == 1
    assert native.barrier_arrive(other, True, last, now(), now()) == 0
    assert (last.place, last.acts) == (1, 1)
    assert native.barrier_acted(other, 0, True, now()) == 0
    assert native.barrier_wait(one, 0, now(), now()) == 0
    assert native.barrier_arrive(one, False, first, now(), now()) == 0
    assert native.barrier_leave(one, first, now()) == 0
    assert native.barrier_abort(other, now()) == 0
    assert native.now_barrier_broken(one) == 1
    assert native.barrier_arrive(one, False, first, now(), now()) == -ECANCELED
    assert native.barrier_reset(one, now()) == 0
    assert native.now_barrier_broken(other) == 0


def test_a_lock_to_read_and_write(native, opened):
    one, other = opened(native.RWLOCK)
    taken = native.new_place()
    assert native.rwlock_acquire(one, False, taken, now(), now()) == 0
    assert native.rwlock_acquire(other, True, taken, now(), now()) == -ETIMEDOUT
    assert native.now_rwlock_release(other, False) == -EPERM
    assert native.rwlock_release(one, False, now()) == 0
    assert native.rwlock_acquire(other, True, taken, now(), now()) == 0
    assert native.now_rwlock_recovered(other) == 0
