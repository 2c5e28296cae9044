"""Semaphores, with a name and without: what they count, and what they refuse."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import closing

import pytest

import pyipc
from pyipc import posix
from pyipc.memory import Memory

MOST = 2**31 - 1


def named(initial=1):
    return posix.Semaphore.create(None, initial)


def unnamed(initial=1):
    return posix.UnnamedSemaphore.create(Memory(posix.UnnamedSemaphore.SIZE).buf, initial)


KINDS = [
    pytest.param(named, marks=pytest.mark.needs("posix.semaphores")),
    pytest.param(unnamed, marks=pytest.mark.needs("posix.unnamed_semaphores")),
]
both = pytest.mark.parametrize("make", KINDS)
with_names = pytest.mark.needs("posix.semaphores")
without_names = pytest.mark.needs("posix.unnamed_semaphores")


@pytest.fixture(autouse=True)
def _memory_is_dropped_quietly():
    """What only its semaphore keeps is closed with it."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "<memory", ResourceWarning)
        yield


@both
def test_counting(make):
    with closing(make(3)) as semaphore:
        assert semaphore.value == 3
        semaphore.acquire()
        semaphore.acquire(0)
        semaphore.acquire(timeout=5)
        assert semaphore.value == 0
        for timeout, error in (
            (0, pyipc.WouldBlockError),
            (0.0, pyipc.WouldBlockError),
            (0.01, pyipc.TimedOutError),
        ):
            with pytest.raises(error):
                semaphore.acquire(timeout)
        assert semaphore.value == 0
        semaphore.release()
        with semaphore as same:
            assert same is semaphore
            assert semaphore.value == 0
        assert semaphore.value == 1
        with pytest.raises(ZeroDivisionError), semaphore:
            raise ZeroDivisionError
        assert semaphore.value == 1


@both
def test_the_most(make):
    with closing(make(MOST - 1)) as semaphore:
        semaphore.release()
        assert semaphore.value == MOST
        with pytest.raises(pyipc.LimitError, match="SEM_VALUE_MAX") as caught:
            semaphore.release()
        assert (caught.value.limit, caught.value.value) == ("SEM_VALUE_MAX", MOST)
        assert caught.value.errno == errno.EOVERFLOW
        semaphore.acquire(0)
        assert semaphore.value == MOST - 1


@both
@pytest.mark.parametrize(
    ("error", "initial"),
    [(ValueError, -1), (ValueError, MOST + 1), (ValueError, 1 << 70), (TypeError, "1"), (TypeError, 1.0)],
)
def test_a_value_that_is_none(make, error, initial):
    with pytest.raises(error, match="value"):
        make(initial)


@both
def test_how_it_cannot_be_taken(make):
    with closing(make()) as semaphore:
        for timeout, error in (-1, ValueError), (float("nan"), ValueError), ("1", TypeError):
            with pytest.raises(error):
                semaphore.acquire(timeout)
        with pytest.raises(TypeError):
            semaphore.acquire(1, 2)
        with pytest.raises(TypeError):
            semaphore.acquire(wait=1)
        with pytest.raises(TypeError):
            semaphore.release(1)
        assert semaphore.value == 1


@both
def test_closed(make):
    semaphore = make()
    semaphore.close()
    semaphore.close()
    assert semaphore.closed
    assert "closed" in repr(semaphore)
    for call in semaphore.acquire, semaphore.release, lambda: semaphore.value, semaphore.__enter__:
        with pytest.raises(pyipc.ClosedError):
            call()


@both
def test_closing_it_within_a_with(make):
    semaphore = make()
    with pytest.raises(pyipc.ClosedError), semaphore:
        semaphore.close()


@both
def test_many_threads_take_what_is_there(make):
    with closing(make(0)) as semaphore:
        taken = []

        def take():
            for _ in range(50):
                semaphore.acquire(20)
                taken.append(1)

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            semaphore.release()
        for thread in threads:
            thread.join()
        assert (len(taken), semaphore.value) == (200, 0)


# ---- by name ----


@with_names
def test_two_handles_are_one_semaphore(name):
    with closing(posix.Semaphore.create(name[1:], 2)) as first:
        assert (first.name, repr(first)) == (name, f"<semaphore {name}>")
        with closing(posix.Semaphore.open(name)) as second, closing(posix.Semaphore.open(name[1:])) as third:
            second.acquire(0)
            assert (first.value, third.value, third.name) == (1, 1, name)
            second.close()  # which the C library counts
            third.acquire(0)
            assert first.value == 0


@with_names
def test_nobody_has_a_name_that_is_given():
    with closing(posix.Semaphore.create(None)) as first, closing(posix.Semaphore.create(None)) as second:
        assert first.name != second.name
        with closing(posix.Semaphore.open(first.name)) as found:
            assert found.value == 1


@with_names
def test_open_or_create_takes_what_is_there(name):
    with closing(posix.Semaphore.open_or_create(name, 5)) as first:
        with closing(posix.Semaphore.open_or_create(name, 9)) as second:
            assert (first.value, second.value) == (5, 5)
            assert not first.owner
            assert not second.owner
        first.remove()
        with pytest.raises(pyipc.NotFoundError, match=name):
            first.remove()
        with closing(posix.Semaphore.create(name, 1)) as other:
            assert (first.value, other.value) == (5, 1)


@with_names
def test_what_is_too_short_to_be_one(name):
    path = f"/dev/shm/sem.{name[1:]}"
    for size in 0, 31:
        with open(path, "wb") as file:
            file.write(bytes(size))
        try:
            for attempt in posix.Semaphore.open, posix.Semaphore.open_or_create:
                with pytest.raises(pyipc.IPCError, match=name):  # to touch it would be SIGBUS
                    attempt(name)
        finally:
            os.unlink(path)


# ---- without ----


@without_names
def test_several_in_one_memory():
    size = posix.UnnamedSemaphore.SIZE
    with Memory(4 * size) as memory:
        made = [posix.UnnamedSemaphore.create(memory, n, offset=n * size) for n in range(4)]
        found = [posix.UnnamedSemaphore.open(memory, offset=n * size) for n in range(4)]
        made[0].release()
        assert [one.value for one in found] == [1, 1, 2, 3]
        assert [one.offset for one in found] == [n * size for n in range(4)]
        memory.close()
        found[3].acquire(0)  # its memory is there as long as it
        assert made[3].value == 2
        assert "at 96" in repr(made[3])


@without_names
@pytest.mark.parametrize("offset", [-8, 4, 1, 72, 1 << 70, 104])
def test_where_there_is_no_room(offset):
    with Memory(100) as memory:
        for attempt in posix.UnnamedSemaphore.create, posix.UnnamedSemaphore.open:
            with pytest.raises(ValueError, match=f"{offset}"):
                attempt(memory, offset=offset)


@without_names
def test_an_address_that_does_not_fit():
    with Memory(100) as memory:
        for attempt in posix.UnnamedSemaphore.create, posix.UnnamedSemaphore.open:
            with pytest.raises(ValueError, match="multiple of 8"):
                attempt(memory.buf[1:])
        with closing(posix.UnnamedSemaphore.create(memory.buf[8:], 3)) as semaphore:
            assert semaphore.value == 3


@without_names
def test_what_it_cannot_lie_in(name):
    for attempt in posix.UnnamedSemaphore.create, posix.UnnamedSemaphore.open:
        for wrong in None, 5, "text":
            with pytest.raises(TypeError):
                attempt(wrong)
        for wrong in bytes(100), bytearray(31), memoryview(bytearray(200))[::2]:
            with pytest.raises((ValueError, TypeError)):
                attempt(wrong)
    with posix.SharedMemory.create(name, 100) as memory:
        made = posix.UnnamedSemaphore.create(memory, 2)
        with closing(made), posix.SharedMemory.open(name) as other:
            with pytest.raises(pyipc.AccessError, match="trust=True"):
                posix.UnnamedSemaphore.open(other)
            with posix.SharedMemory.open(name, trust=True) as trusted:
                assert posix.UnnamedSemaphore.open(trusted).value == 2
