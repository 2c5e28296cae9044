"""Lock and RLock: whoever dies with one is in nobody's way."""

from __future__ import annotations

import mmap
import os
import resource
import signal
import threading
import time

import pytest

import pyipc
from pyipc import sync

pytestmark = pytest.mark.needs("sync.locks")

KINDS = {"Lock": sync.Lock, "strict Lock": lambda: sync.Lock(strict=True), "RLock": sync.RLock}


@pytest.fixture(params=KINDS)
def lock(request):
    with_close = KINDS[request.param]()
    yield with_close
    with_close.close()


@pytest.fixture(params=["Lock", "RLock"])
def plain(request):
    with_close = KINDS[request.param]()
    yield with_close
    with_close.close()


@pytest.fixture
def strict():
    with_close = sync.Lock(strict=True)
    yield with_close
    with_close.close()


def holds(other, lock):
    assert lock.acquire()
    other.say()
    other.hear()
    lock.release()
    other.say()
    other.hear()


@pytest.fixture
def held(fork):
    """A process that holds the lock until it is told to let go, and then once more until it is to end."""

    def start(lock):
        other = fork(holds, lock)
        other.hear()
        return other

    return start


# ---- as multiprocessing has it ----


def test_one_process_has_it_at_a_time(lock, held):
    other = held(lock)
    assert lock.locked()
    assert lock.acquire(False) is False
    assert lock.acquire(True, 0.05) is False
    other.say()
    assert lock.acquire(timeout=20) is True
    assert not lock.recovered
    lock.release()
    assert not lock.locked()


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -0.5, False])
def test_a_timeout_of_nothing_does_not_wait(lock, held, timeout):
    held(lock)
    begun = time.monotonic()
    assert lock.acquire(timeout=timeout) is False
    assert time.monotonic() - begun < 1


def test_a_timeout_is_kept(lock, held):
    held(lock)
    for timeout in 0.02, 0.3:
        begun = time.monotonic()
        assert lock.acquire(timeout=timeout) is False
        assert timeout <= time.monotonic() - begun < timeout + 1


@pytest.mark.parametrize("timeout", ["soon", float("nan"), object()])
def test_a_timeout_that_is_none_is_refused(lock, held, timeout):
    held(lock)
    with pytest.raises((TypeError, ValueError)):
        lock.acquire(True, timeout)


def test_as_a_with_block(lock, fork):
    def tries(other):
        other.say(lock.acquire(False))

    with lock as taken:
        assert taken is True
        assert fork(tries).hear() is False
    with pytest.raises(KeyError), lock:
        raise KeyError
    assert not lock.locked()


def test_a_lock_can_be_released_by_another(fork):
    lock = sync.Lock()
    lock.acquire()

    def releases(other):
        lock.release()

    assert fork(releases).end() == 0
    assert lock.acquire(False)


def test_a_lock_released_too_often():
    lock = sync.Lock()
    with pytest.raises(ValueError, match="nobody"):
        lock.release()
    assert lock.acquire(False)


def test_a_recursive_lock_counts(fork):
    lock = sync.RLock()

    def tries(other):
        while other.hear():
            other.say(lock.acquire(False))

    other = fork(tries)
    for _ in range(3):
        assert lock.acquire()
    for _ in range(3):
        other.say(True)
        assert other.hear() is False
        lock.release()
    other.say(True)
    assert other.hear() is True


def test_a_recursive_lock_is_its_threads_alone(fork, until):
    lock = sync.RLock()
    lock.acquire()
    said = []

    def tries():
        said.append(lock.acquire(False))
        try:
            lock.release()
        except AssertionError as problem:
            said.append(str(problem))

    thread = threading.Thread(target=tries)
    thread.start()
    thread.join()
    assert said == [False, "release() of a recursive lock that this thread has not acquired"]

    def in_a_child(other):
        tries()
        other.say(said[2:])

    assert fork(in_a_child).hear() == said
    lock.release()


def test_nobody_else_gets_in(lock, fork):
    """Additions that are not atomic, by threads of several processes."""
    numbers = mmap.mmap(-1, 8)
    each, threads, processes = 300, 2, 3

    def adds():
        for _ in range(each):
            with lock:
                value = int.from_bytes(numbers[:8], "little")
                time.sleep(0)  # let others at it
                numbers[:8] = (value + 1).to_bytes(8, "little")

    def works(other):
        working = [threading.Thread(target=adds) for _ in range(threads)]
        for thread in working:
            thread.start()
        for thread in working:
            thread.join()

    others = [fork(works) for _ in range(processes)]
    assert [other.end() for other in others] == [0] * processes
    assert int.from_bytes(numbers[:8], "little") == each * threads * processes
    numbers.close()


# ---- the dead ----


def test_it_is_taken_from_the_dead_at_once(plain, held):
    held(plain).kill()
    begun = time.monotonic()
    assert plain.acquire()
    assert time.monotonic() - begun < 0.5
    assert plain.recovered
    plain.release()
    assert not plain.recovered
    assert plain.acquire(False)
    assert not plain.recovered


def test_without_waiting_too(plain, held):
    held(plain).kill()
    assert plain.acquire(False)
    assert plain.recovered


def waits(other, lock):
    other.say()
    got = lock.acquire(timeout=20)
    other.say((got, lock.recovered))
    other.hear()
    lock.release()
    other.say()
    other.hear()


@pytest.mark.parametrize("asleep_for", [0, 1.2])
def test_who_sleeps_notices_a_death(plain, held, fork, sleeps, asleep_for):
    owner = held(plain)
    other = fork(waits, plain)
    other.hear()
    sleeps(other.pid)
    time.sleep(asleep_for)  # is what this is about: its looks become rare
    begun = time.monotonic()
    owner.kill()
    assert other.hear() == (True, True)
    assert time.monotonic() - begun < 1.5


def test_a_recursive_lock_of_the_dead_is_held_once(fork):
    lock = sync.RLock()

    def dies(other):
        lock.acquire()
        lock.acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    assert fork(dies).end() == -signal.SIGKILL
    assert lock.acquire()
    lock.release()
    with pytest.raises(AssertionError):
        lock.release()


def test_ending_in_good_order_with_it_counts_as_dying(plain, fork):
    assert fork(lambda other: plain.acquire()).end() == 0
    assert plain.acquire(timeout=5)
    assert plain.recovered


def test_so_does_closing_it(plain, fork):
    def closes(other):
        plain.acquire()
        plain.close()
        other.say()
        other.hear()

    fork(closes).hear()
    assert plain.acquire(timeout=5)
    assert plain.recovered


def test_a_forked_child_does_not_keep_its_parent_alive(plain, fork):
    def forks(other):
        plain.acquire()
        child = os.fork()
        if child == 0:
            other.say(os.getpid())
            signal.pause()
        signal.pause()

    parent = fork(forks)
    orphan = parent.hear()
    parent.kill()
    try:
        assert plain.acquire(timeout=5)
        assert plain.recovered
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_it_is_passed_on_however_often_owners_die(plain, fork, sleeps):
    def dies_with_it(other):
        other.say()
        plain.acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    with plain:
        others = [fork(dies_with_it) for _ in range(8)]
        for other in others:
            other.hear()
            sleeps(other.pid)
        plain.release()
        assert [other.end() for other in others] == [-signal.SIGKILL] * 8
        assert plain.acquire(timeout=5)
        assert plain.recovered


def test_a_woken_waiter_that_dies_takes_no_wake_along(plain, fork, sleeps):
    def sleeps_there(other):
        plain.acquire(timeout=20)
        other.say()
        other.hear()

    plain.acquire()
    others = [fork(sleeps_there) for _ in range(2)]
    for other in others:
        sleeps(other.pid)
    os.kill(others[0].pid, signal.SIGSTOP)  # it is woken, and does not run
    plain.release()
    begun = time.monotonic()
    others[0].kill()
    others[1].hear()
    assert time.monotonic() - begun < 1.5


# ---- strict ----


def test_a_strict_lock_says_that_its_owner_died_to_all(strict, held, fork):
    held(strict).kill()
    for block in True, False, True:
        with pytest.raises(pyipc.OwnerDiedError, match="acquire <Lock at"):
            strict.acquire(block, 5)

    def tries(other):
        try:
            strict.acquire()
        except pyipc.OwnerDiedError:
            other.say("died")

    assert fork(tries).hear() == "died"
    assert not strict.recovered


def test_who_sleeps_at_a_strict_lock_is_told(strict, held, fork, sleeps):
    owner = held(strict)

    def waits_strictly(other):
        try:
            strict.acquire()
        except pyipc.OwnerDiedError:
            other.say("died")

    other = fork(waits_strictly)
    sleeps(other.pid)
    owner.kill()
    assert other.hear() == "died"


@pytest.mark.parametrize("timeout", [None, 0, 5])
def test_recover_makes_it_usable_again(strict, held, fork, timeout):
    held(strict).kill()
    assert strict.recover(timeout)
    assert strict.recovered
    strict.release()
    assert strict.acquire(False)
    strict.release()
    other = held(strict)
    assert not strict.acquire(False)
    assert other.kill() == -signal.SIGKILL


def test_recover_waits_for_the_living(strict, held):
    other = held(strict)
    assert not strict.recover(0)
    assert not strict.recover(0.05)
    other.say()
    assert strict.recover(20)
    assert not strict.recovered


# ---- signals, close(), fork ----


def test_a_handler_runs_while_it_waits_and_the_timeout_stays(lock, held, handling):
    held(lock)
    seen = []
    handling(signal.SIGALRM, lambda *_: seen.append(time.monotonic()))
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    begun = time.monotonic()
    try:
        assert lock.acquire(timeout=0.4) is False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert 0.4 <= time.monotonic() - begun < 1.4
    assert len(seen) > 3


def test_a_handler_that_raises_ends_the_wait(lock, held, handling, ringing):
    other = held(lock)

    def interrupts(*_):
        raise KeyboardInterrupt

    handling(signal.SIGALRM, interrupts)
    with pytest.raises(KeyboardInterrupt), ringing(0.05):
        lock.acquire()
    other.say()
    other.hear()
    assert lock.acquire(False)
    lock.release()


def is_interrupted(say, hear):
    """At whatever moment it comes."""
    import os
    import random
    import signal
    import time

    from pyipc import sync

    class NowError(Exception):
        pass

    def interrupts(*_):
        raise NowError

    def takes_and_gives():
        end = time.monotonic() + 2
        while time.monotonic() < end:
            with lock:
                pass

    lock = sync.Lock()
    other = os.fork()
    if other == 0:
        takes_and_gives()
        os._exit(0)
    signal.signal(signal.SIGALRM, interrupts)
    end = time.monotonic() + 1.5
    interrupted = 0
    while time.monotonic() < end:
        got = False
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 6e-5))
                got = lock.acquire(timeout=5)
                signal.setitimer(signal.ITIMER_REAL, 0)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except NowError:
            interrupted += 1
        if got or lock._depth():  # between the return and the assignment, no library can help
            lock.release()
    status = os.waitpid(other, 0)[1]
    say((interrupted, status, lock.acquire(timeout=5), lock.recovered))


def test_a_handler_that_raises_never_leaves_it_taken(child):
    other = child(is_interrupted, measured=False)
    interrupted, *rest = other.hear()
    assert interrupted > 100
    assert rest == [0, True, False]
    assert other.end() == 0


@pytest.mark.parametrize("timeout", [None, 20])
def test_closing_wakes_who_waits(lock, held, sleeps, timeout):
    held(lock)
    said = []

    def waits_here():
        said.append(threading.get_native_id())
        try:
            lock.acquire(timeout=timeout)
        except pyipc.ClosedError as problem:
            said.append(problem.errno)

    thread = threading.Thread(target=waits_here)
    thread.start()
    while not said:
        time.sleep(0)
    sleeps(os.getpid(), said[0])
    lock.close()
    thread.join(20)
    assert said[1:] == [9]


def test_a_closed_one_says_so(lock):
    lock.close()
    lock.close()
    assert lock.closed
    for call in lock.acquire, lock.release, lock.locked:
        with pytest.raises(pyipc.ClosedError):
            call()
    assert "closed" in repr(lock)


def test_both_processes_of_a_fork_use_it(lock, fork):
    lock.acquire()

    def uses(other):
        other.say(lock.acquire(False))
        other.hear()
        other.say(lock.acquire(timeout=20))
        other.hear()

    other = fork(uses)
    assert other.hear() is False
    lock.release()
    other.say()
    assert other.hear() is True
    assert lock.acquire(False) is False


def test_one_that_is_dropped_leaves_nothing_open():
    before = len(os.listdir("/proc/self/fd"))
    sync.Lock()  # a ResourceWarning would be an error
    assert len(os.listdir("/proc/self/fd")) == before


def test_who_waits_long_looks_around_about_once_a_second(held, fork):
    lock = sync.Lock()
    held(lock)

    def waits_long(other):
        lock.acquire(timeout=2)
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        lock.acquire(timeout=4)
        other.say(resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before)

    assert fork(waits_long).hear() < 20  # sleeps grow to a second again


def test_many_can_be_had():
    locks = [sync.Lock() for _ in range(100)]
    for lock in locks:
        lock.acquire()
    for lock in locks:
        lock.close()


def test_what_it_says_of_itself(lock):
    name = type(lock).__name__
    assert repr(lock) == f"<{name} at {id(lock):#x} unlocked>"
    with lock:
        assert repr(lock) == f"<{name} at {id(lock):#x} locked>"
