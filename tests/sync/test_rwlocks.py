"""RWLock: many readers, or one writer; the dead are in nobody's way."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from pyipc import sync

pytestmark = pytest.mark.needs("sync.locks")


@pytest.fixture
def lock():
    made = sync.RWLock()
    yield made
    made.close()


def holds(other, lock, write):
    with lock.writer() if write else lock.reader():
        other.say()
        other.hear()
    other.say()
    other.hear()


@pytest.fixture
def held(fork):
    def start(lock, write):
        other = fork(holds, lock, write)
        other.hear()
        return other

    return start


@pytest.fixture
def waits(fork, sleeps):
    def start(lock, write):
        other = fork(holds, lock, write)
        sleeps(other.pid)
        return other

    return start


def test_many_read_at_once(lock, held):
    held(lock, False)
    held(lock, False)
    with lock.reader() as same:
        assert same is lock
        assert not lock.acquire_write(False)
        assert not lock.acquire_write(timeout=0.03)
    assert not lock.acquire_write(False)


def test_one_writes(lock, held):
    other = held(lock, True)
    assert not lock.acquire_read(False)
    assert not lock.acquire_write(False)
    assert not lock.acquire_read(timeout=0.03)
    other.say()
    assert lock.acquire_write(timeout=20)
    assert not lock.recovered
    lock.release_write()
    with lock.writer():
        assert not lock.acquire_read(False)


@pytest.mark.parametrize("write", [False, True])
def test_what_is_not_held_cannot_be_released(lock, held, write):
    held(lock, write)
    for release in lock.release_read, lock.release_write:
        with pytest.raises(ValueError, match="this process does not"):
            release()


@pytest.mark.parametrize("write", [False, True])
def test_a_dead_writer_is_in_nobodys_way(lock, held, write):
    held(lock, True).kill()
    acquire, release = (
        (lock.acquire_write, lock.release_write) if write else (lock.acquire_read, lock.release_read)
    )
    assert acquire(False)
    assert lock.recovered
    release()
    assert not lock.recovered
    assert acquire()
    assert not lock.recovered


def test_dead_readers_do_not_count(lock, held):
    others = [held(lock, False) for _ in range(3)]
    for other in others[:2]:
        other.kill()
    assert not lock.acquire_write(False)
    others[2].kill()
    assert lock.acquire_write(False)
    assert not lock.recovered


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("holder", [False, True])
def test_who_sleeps_notices_a_death(lock, held, waits, write, holder):
    if not (write or holder):
        pytest.skip("readers do not wait for readers")
    other, waiting = held(lock, holder), waits(lock, write)
    other.kill()
    waiting.hear(timeout=2)


def test_a_writer_that_waits_keeps_readers_from_beginning(lock, held, waits, fork, sleeps):
    reading = held(lock, False)
    writing = waits(lock, True)
    assert not lock.acquire_read(False)
    late = waits(lock, False)
    reading.say()
    writing.hear()
    assert not late.has_said()
    writing.say()
    late.hear()


@pytest.mark.parametrize("ending", ["killed", "timeout", "handler"])
def test_a_writer_that_waits_no_more_lets_readers_in(lock, held, fork, sleeps, ending):
    held(lock, False)

    def wants(other):
        def interrupts(*_):
            raise KeyboardInterrupt

        signal.signal(signal.SIGUSR1, interrupts)
        try:
            other.say()
            lock.acquire_write(timeout=0.3 if ending == "timeout" else 20)
        except KeyboardInterrupt:
            pass
        other.say()
        other.hear()

    other = fork(wants)
    other.hear()
    sleeps(other.pid)
    reader = fork(holds, lock, False)
    sleeps(reader.pid)
    if ending == "killed":
        other.kill()
    elif ending == "handler":
        os.kill(other.pid, signal.SIGUSR1)
    reader.hear(timeout=2)


def test_all_readers_go_on_when_the_writer_has_gone(lock, waits, held):
    writing = held(lock, True)
    readers = [waits(lock, False) for _ in range(3)]
    begun = time.monotonic()
    writing.say()
    for reader in readers:
        reader.hear()
    assert time.monotonic() - begun < 0.5


def test_writers_are_not_starved(lock, fork):
    def reads(other):
        while True:
            with lock.reader():
                time.sleep(0.002)

    readers = [fork(reads) for _ in range(3)]
    for _ in range(20):
        assert lock.acquire_write(timeout=5)
        lock.release_write()
    del readers


def test_threads_of_a_process(lock):
    shared = {"readers": 0, "writers": 0}
    wrong = []

    def works(write):
        for _ in range(200):
            with lock.writer() if write else lock.reader():
                if write:
                    shared["writers"] += 1
                    time.sleep(0)
                    if shared["writers"] != 1:
                        wrong.append(dict(shared))
                    shared["writers"] -= 1
                elif shared["writers"]:
                    wrong.append(dict(shared))

    threads = [threading.Thread(target=works, args=(write,)) for write in (True, True, False, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
