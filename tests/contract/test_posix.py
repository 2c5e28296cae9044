"""POSIX objects, call by call: one backend finds, uses and removes what the other has made."""

from __future__ import annotations

import gc
import os
import resource
import signal
import stat
import threading
import time
import tracemalloc
from errno import (
    EACCES,
    EAGAIN,
    EBADF,
    EBUSY,
    EEXIST,
    EINTR,
    EINVAL,
    ELOOP,
    EMFILE,
    EMSGSIZE,
    ENAMETOOLONG,
    ENODATA,
    ENOENT,
    ENOTSUP,
    EOVERFLOW,
    ETIMEDOUT,
)
from fcntl import F_GETFD, FD_CLOEXEC, fcntl

import pytest

from pyipc._backend import load

PAST = 0
FOREVER = 2**63 - 1
NOBODY = 65534
SHM = "/dev/shm"
MOST = 2**31 - 1


def owner_of(backend):
    class Owner(backend.Descriptor):
        """As the chapter has them."""

        __slots__ = ()

    return Owner.__new__(Owner)


@pytest.fixture
def new():
    """Make an owner that owns nothing yet; what it owns in the end is closed."""
    made = []

    def make(backend):
        made.append(owner_of(backend))
        return made[-1]

    yield make
    for owner in made:
        owner._close()


@pytest.fixture
def name():
    """A name that nobody uses, gone when the test ends."""
    chosen = b"pyipc-test-%s" % os.urandom(6).hex().encode()
    yield chosen
    for backend in filter(None, map(loaded, ("native", "fallback"))):
        backend.posix_shm_unlink(chosen)
        backend.posix_sem_unlink(chosen)
        backend.posix_mq_unlink(chosen)


def loaded(backend):
    try:
        return load(backend)
    except ImportError:
        return None


@pytest.fixture(autouse=True)
def _able(request):
    """A fallback without `posix_ipc` has no semaphores and queues; a test at the end is about that."""
    kind = request.node.name.partition("test_")[2].split("_", 1)[0]
    wanted = {"semaphore": "posix.semaphores", "queue": "posix.message_queues"}.get(kind)
    backends = []
    if "pair" in request.fixturenames:
        backends = request.getfixturevalue("pair")
    elif "backend" in request.fixturenames:
        backends = [request.getfixturevalue("backend")]
    for backend in backends:
        if wanted and not backend.capabilities()[wanted]:
            pytest.skip(f"the {backend.NAME} backend has no {wanted}")


# ---- shared memory ----


def memory_of(backend, new, name, size=100, mode=0o600):
    owner = new(backend)
    assert backend.posix_shm_create(owner, mode) == 0
    assert backend.posix_shm_resize(owner.fileno(), size) == 0
    assert backend.posix_shm_link(owner.fileno(), name) == 0
    return owner


def test_memory_has_no_name_and_no_size_until_it_is_given_them(backend, new, name):
    owner = new(backend)
    before = set(os.listdir(SHM))
    assert backend.posix_shm_create(owner, 0o640) == 0
    assert set(os.listdir(SHM)) == before
    facts = os.fstat(owner.fileno())
    assert (facts.st_size, facts.st_nlink, stat.S_IMODE(facts.st_mode)) == (0, 0, 0o640)
    assert fcntl(owner.fileno(), F_GETFD) == FD_CLOEXEC
    assert backend.posix_shm_resize(owner.fileno(), 12345) == 0
    assert backend.posix_shm_link(owner.fileno(), name) == 0
    assert os.path.samestat(os.fstat(owner.fileno()), os.stat(f"{SHM}/{name.decode()}"))
    assert os.stat(f"{SHM}/{name.decode()}").st_size == 12345
    assert backend.posix_shm_unlink(name) == 0
    assert not os.path.exists(f"{SHM}/{name.decode()}")


def test_memory_that_one_makes_the_other_finds_and_removes(pair, new, name):
    maker, other = pair
    made = memory_of(maker, new, name)
    found, looking = new(other), new(other)
    assert other.posix_shm_open(found, name, False) == other.posix_shm_open(looking, name, True) == 0
    assert fcntl(found.fileno(), F_GETFD) == FD_CLOEXEC
    assert other.posix_shm_write(found, 3, b"hello") == 5
    assert maker.posix_shm_read(made, 0, 10) == b"\0\0\0hello\0\0"
    assert maker.posix_shm_write(made, 95, bytearray(b"to it")) == 5
    assert other.posix_shm_read(looking, 95, 5) == b"to it"
    assert other.posix_shm_resize(found.fileno(), 10) == 0
    assert maker.posix_shm_read(made, 0, 10) == b"\0\0\0hello\0\0"
    assert other.posix_shm_unlink(name) == 0
    assert maker.posix_shm_open(new(maker), name, False) == maker.posix_shm_unlink(name) == -ENOENT
    assert maker.posix_shm_read(made, 3, 5) == b"hello"


def test_memory_gets_no_name_that_is_taken(pair, new, name):
    maker, other = pair
    made = memory_of(maker, new, name)
    second = new(other)
    assert other.posix_shm_create(second, 0o600) == 0
    assert other.posix_shm_link(second.fileno(), name) == -EEXIST
    assert os.path.samestat(os.fstat(made.fileno()), os.stat(f"{SHM}/{name.decode()}"))


def test_memory_is_read_and_written_whole_or_not_at_all(backend, new, name):
    owner = memory_of(backend, new, name)
    assert backend.posix_shm_read(owner, 0, 101) == backend.posix_shm_read(owner, 100, 1) == -ENODATA
    assert backend.posix_shm_read(owner, 1 << 62, 1) == -ENODATA
    assert (
        backend.posix_shm_write(owner, 96, b"12345") == backend.posix_shm_write(owner, 101, b"") == -ENODATA
    )
    assert backend.posix_shm_write(owner, 2**63 - 1, b"x") == -ENODATA
    assert backend.posix_shm_read(owner, 0, 100) == bytes(100)
    assert backend.posix_shm_read(owner, 100, 0) == b""
    assert backend.posix_shm_write(owner, 100, b"") == 0
    assert os.fstat(owner.fileno()).st_size == 100
    data = os.urandom(300_001)
    assert backend.posix_shm_resize(owner.fileno(), 400_000) == 0
    assert backend.posix_shm_write(owner, 7, data) == backend.posix_shm_write(owner, 7, memoryview(data))
    assert backend.posix_shm_read(owner, 7, len(data)) == data


def test_memory_that_another_process_shrinks_is_an_answer(pair, new, name, forked):
    maker, other = pair
    made = memory_of(maker, new, name, 3 << 16)

    def shrink():
        owner = owner_of(other)
        other.posix_shm_open(owner, name, False)
        result = other.posix_shm_resize(owner.fileno(), 1 << 16)
        owner._close()
        return result

    assert forked(shrink)() == 0
    assert maker.posix_shm_read(made, 1 << 16, 1) == maker.posix_shm_read(made, 0, 3 << 16) == -ENODATA
    assert maker.posix_shm_write(made, 1 << 16, b"x") == -ENODATA
    assert os.fstat(made.fileno()).st_size == 1 << 16


def test_memory_has_the_mode_less_the_umask(backend, new, name):
    before = os.umask(0o027)
    try:
        owner = memory_of(backend, new, name, mode=0o666)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.fstat(owner.fileno()).st_mode) == 0o640


def test_memory_of_others_is_refused(backend, new, name, forked, privileged):
    memory_of(backend, new, name, mode=0o644)

    def look():
        owner = owner_of(backend)
        return [
            backend.posix_shm_open(owner, name, False),
            backend.posix_shm_open(owner, name, True),
            backend.posix_shm_write(owner, 0, b"x"),
            owner._close(),
        ]

    assert forked(look, user=NOBODY)() == [-EACCES, 0, -EBADF, 0]


def test_memory_that_is_none_says_why_and_owns_nothing(backend, new, name):
    owner = new(backend)
    path = f"{SHM}/{name.decode()}"
    assert backend.posix_shm_open(owner, name, False) == backend.posix_shm_unlink(name) == -ENOENT
    os.symlink("/etc/passwd", path)
    assert backend.posix_shm_open(owner, name, True) == -ELOOP
    os.unlink(path)
    long = b"x" * 256
    assert backend.posix_shm_open(owner, long, True) == backend.posix_shm_unlink(long) == -ENAMETOOLONG
    longer = b"x" * 5000
    assert backend.posix_shm_open(owner, longer, True) == backend.posix_shm_unlink(longer) == -ENAMETOOLONG
    assert owner._number == -1
    for number in -1, 1 << 20:
        assert backend.posix_shm_resize(number, 1) == -EBADF
    assert backend.posix_shm_link(1 << 20, name) in (-ENOENT, -EBADF)
    assert backend.posix_shm_read(owner, 0, 1) == backend.posix_shm_write(owner, 0, b"x") == -EBADF
    assert not os.path.lexists(path)


def test_memory_by_a_name_of_any_bytes(pair, new, name):
    maker, other = pair
    strange = name + b"\xff\xfe \n\xc3\xa4"
    memory_of(maker, new, strange)
    assert other.posix_shm_open(new(other), strange, False) == 0
    assert other.posix_shm_unlink(strange) == 0


# ---- semaphores ----

NEW = 3  # create, and nobody else's


def taken(backend, sem):
    """How many could be taken."""
    count = 0
    while backend.now_posix_sem_try(sem) == 0:
        count += 1
    return count


def test_semaphore_that_one_makes_the_other_takes_and_removes(pair, name):
    maker, other = pair
    assert other.posix_sem_open(name, 0, 0, 0) == -ENOENT
    made = maker.posix_sem_open(name, NEW, 0o600, 2)
    assert other.posix_sem_open(name, NEW, 0o600, 7) == -EEXIST
    found = other.posix_sem_open(name, 0, 0, 0)
    again = other.posix_sem_open(name, other.POSIX_CREATE, 0o600, 9)
    assert [backend.now_posix_sem_value(sem) for backend, sem in ((maker, made), (other, found))] == [2, 2]
    assert maker.now_posix_sem_try(made) == other.now_posix_sem_try(found) == 0
    assert other.now_posix_sem_try(found) == maker.now_posix_sem_try(made) == -EAGAIN
    assert other.posix_sem_wait(found, PAST) == maker.posix_sem_wait(made, PAST) == -ETIMEDOUT
    assert other.now_posix_sem_post(again) == 0
    assert maker.now_posix_sem_value(made) == 1
    assert maker.posix_sem_wait(made, PAST) == 0
    assert other.posix_sem_unlink(name) == 0
    assert other.posix_sem_unlink(name) == other.posix_sem_open(name, 0, 0, 0) == -ENOENT
    assert maker.now_posix_sem_post(made) == other.now_posix_sem_try(found) == 0


def sleeps(pid):
    """Whether it does, in whatever call: the C library waits in futex(2), the fallback between two tries."""
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "S"


def test_semaphore_is_given_to_a_process_that_waits(pair, name, forked, until):
    maker, other = pair
    sem = maker.posix_sem_open(name, NEW, 0o600, 0)
    for deadline in time.monotonic_ns() + 20 * 10**9, FOREVER:

        def wait(deadline=deadline):
            theirs = other.posix_sem_open(name, 0, 0, 0)
            while (result := other.posix_sem_wait(theirs, deadline)) == -EINTR:
                pass
            return result

        answer = forked(wait)
        until(lambda pid=answer.pid: sleeps(pid))
        assert maker.now_posix_sem_value(sem) == 0
        assert maker.now_posix_sem_post(sem) == 0
        assert answer() == 0
        assert maker.now_posix_sem_value(sem) == 0


def test_semaphore_loses_and_makes_up_nothing_between_two_processes(pair, name, forked):
    one, two = pair
    rounds = 300
    full, empty = name + b"-full", name + b"-empty"
    sems = [one.posix_sem_open(chosen, NEW, 0o600, 0) for chosen in (full, empty)]

    def take(backend, sem):
        while (result := backend.posix_sem_wait(sem, FOREVER)) == -EINTR:
            pass
        return result

    def answer():
        theirs = [two.posix_sem_open(chosen, 0, 0, 0) for chosen in (full, empty)]
        return sum(take(two, theirs[0]) or two.now_posix_sem_post(theirs[1]) for _ in range(rounds))

    result = forked(answer)
    for _ in range(rounds):
        assert one.now_posix_sem_post(sems[0]) == take(one, sems[1]) == 0
    assert result() == 0
    assert [one.now_posix_sem_value(sem) for sem in sems] == [0, 0]
    assert two.posix_sem_unlink(full) == two.posix_sem_unlink(empty) == 0


def test_semaphore_wait_ends_by_its_deadline_and_no_earlier(backend, name, costs_little):
    sem = backend.posix_sem_open(name, NEW, 0o600, 0)
    with costs_little():
        for span in 0.001, 0.2:
            deadline = time.monotonic_ns() + int(span * 1e9)
            while (result := backend.posix_sem_wait(sem, deadline)) == -EINTR:
                pass
            assert result == -ETIMEDOUT
            assert time.monotonic_ns() >= deadline


class StopError(Exception):
    """What a handler raises."""


def test_semaphore_wait_is_ended_by_what_a_handler_raises_and_by_nothing_else(
    backend, name, handling, ringing
):
    sem = backend.posix_sem_open(name, NEW, 0o600, 0)
    seen = []

    def handler(*_):
        seen.append(1)
        if len(seen) == 3:
            raise StopError

    def wait(deadline):
        while (result := backend.posix_sem_wait(sem, deadline)) == -EINTR:
            pass
        return result

    handling(signal.SIGALRM, handler)
    with pytest.raises(StopError), ringing(0.02, 0.02):
        wait(time.monotonic_ns() + 20 * 10**9)
    before = len(seen)
    with ringing(0.02, 0.02):
        assert wait(time.monotonic_ns() + 10**8) == -ETIMEDOUT
    assert len(seen) > before >= 3
    assert backend.now_posix_sem_post(sem) == backend.posix_sem_wait(sem, PAST) == 0


def test_semaphore_goes_up_to_its_most(pair, name):
    maker, other = pair
    made = maker.posix_sem_open(name, NEW, 0o600, MOST - 1)
    assert maker.POSIX_SEM_MOST == other.POSIX_SEM_MOST == MOST
    found = other.posix_sem_open(name, 0, 0, 0)
    assert other.now_posix_sem_post(found) == 0
    assert maker.now_posix_sem_post(made) == other.now_posix_sem_post(found) == -EOVERFLOW
    assert other.now_posix_sem_value(found) == maker.now_posix_sem_value(made) == MOST
    assert maker.posix_sem_open(name + b"x", NEW, 0o600, MOST + 1) == -EINVAL


def file_of(name):
    """Where a semaphore is: with the prefix of glibc, or without."""
    (found,) = (place for place in os.listdir(SHM) if place.endswith(name.decode()))
    return os.stat(f"{SHM}/{found}")


def times_mapped(inode):
    with open("/proc/self/maps") as lines:
        return sum(int(line.split()[4]) == inode for line in lines)


def test_semaphore_is_open_until_what_keeps_it_is_gone(backend, name):
    keepers = [backend.posix_sem_open(name, NEW, 0o600, 1)]
    keepers += [backend.posix_sem_open(name, 0, 0, 0) for _ in range(3)]
    inode = file_of(name).st_ino
    assert times_mapped(inode)
    assert backend.posix_sem_unlink(name) == 0
    while len(keepers) > 1:
        del keepers[0]
        gc.collect()
        assert times_mapped(inode)
        assert backend.now_posix_sem_value(keepers[0]) == 1
    keepers.clear()
    gc.collect()
    assert not times_mapped(inode)


def test_semaphore_has_the_mode_less_the_umask(backend, name):
    before = os.umask(0o027)
    try:
        _sem = backend.posix_sem_open(name, NEW, 0o666, 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file_of(name).st_mode) == 0o640


def test_semaphore_of_others_is_refused(pair, name, forked, privileged):
    maker, other = pair
    sem = maker.posix_sem_open(name, NEW, 0o600, 1)
    looks = [lambda: other.posix_sem_open(name, 0, 0, 0), lambda: other.posix_sem_unlink(name)]
    assert [forked(look, user=NOBODY)() for look in looks] == [-EACCES, -EACCES]
    assert maker.now_posix_sem_value(sem) == 1


def test_semaphore_that_is_none_says_why(pair, name, forked):
    backend = pair[0]
    long = b"x" * 300
    assert backend.posix_sem_open(long, NEW, 0o600, 1) in (-ENAMETOOLONG, -EINVAL)
    assert backend.posix_sem_open(long, NEW, 0o600, 1) == pair[1].posix_sem_open(long, NEW, 0o600, 1)
    assert backend.posix_sem_unlink(long) == pair[1].posix_sem_unlink(long)

    def full():
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        return backend.posix_sem_open(name, NEW, 0o600, 1)

    assert forked(full)() == -EMFILE


def test_semaphore_by_a_name_of_any_bytes(pair, name):
    maker, other = pair
    strange = name + b"\xff\xfe \n\xc3\xa4"
    made = maker.posix_sem_open(strange, NEW, 0o600, 1)
    found = other.posix_sem_open(strange, 0, 0, 0)
    assert other.now_posix_sem_try(found) == 0
    assert maker.now_posix_sem_value(made) == 0
    assert other.posix_sem_unlink(strange) == 0
    assert other.posix_sem_unlink(strange) == -ENOENT


def test_semaphore_without_a_name_is_had_or_refused(backend):
    memory = bytearray(backend.POSIX_SEM_SIZE)
    sem = backend.posix_sem_in(memoryview(memory))
    if not backend.capabilities()["posix.unnamed_semaphores"]:
        assert sem == backend.now_posix_sem_init(None, 1) == -ENOTSUP
        return
    assert backend.now_posix_sem_init(sem, 3) == 0
    assert any(memory)
    assert taken(backend, sem) == 3
    assert backend.posix_sem_wait(sem, PAST) == -ETIMEDOUT
    assert backend.now_posix_sem_post(sem) == 0
    again = backend.posix_sem_in(memoryview(memory))
    del sem
    gc.collect()
    assert backend.now_posix_sem_value(again) == 1
    assert backend.now_posix_sem_init(again, MOST + 1) == -EINVAL


# ---- message queues ----

BOTH = 12  # to read and to write


def queue_of(backend, new, name, most=4, size=64, mode=0o600):
    owner = new(backend)
    assert backend.posix_mq_open(owner, name, NEW | BOTH, mode, most, size) == 0
    return owner


def opened(backend, new, name, flags=BOTH):
    owner = new(backend)
    assert backend.posix_mq_open(owner, name, flags, 0, 0, 0) == 0
    return owner


def test_queue_brings_what_one_sends_to_the_other_by_priority(pair, new, name):
    maker, other = pair
    made = queue_of(maker, new, name)
    found = opened(other, new, name)
    assert {fcntl(queue.fileno(), F_GETFD) for queue in (made, found)} == {FD_CLOEXEC}
    for data, priority in (b"low", 0), (b"high", 32767), (b"", 5), (b"low too", 0):
        assert maker.now_posix_mq_send(made, data, priority) == 0
    assert maker.now_posix_mq_send(made, b"x", 1) == other.now_posix_mq_send(found, b"x", 1) == -EAGAIN
    got = [other.now_posix_mq_receive(found, 64) for _ in range(5)]
    assert got == [(b"high", 32767), (b"", 5), (b"low", 0), (b"low too", 0), -EAGAIN]
    assert maker.now_posix_mq_receive(made, 64) == -EAGAIN
    data = os.urandom(64)
    assert other.now_posix_mq_send(found, data, 1) == 0
    assert maker.now_posix_mq_receive(made, 1000) == (data, 1)


def test_queue_is_found_until_it_is_removed_and_stays_with_who_has_it(pair, new, name):
    maker, other = pair
    assert other.posix_mq_open(new(other), name, BOTH, 0, 0, 0) == other.posix_mq_unlink(name) == -ENOENT
    made = queue_of(maker, new, name)
    assert other.posix_mq_open(new(other), name, NEW | BOTH, 0o600, 1, 1) == -EEXIST
    found = opened(other, new, name)
    assert other.posix_mq_unlink(name) == 0
    assert maker.posix_mq_unlink(name) == other.posix_mq_open(new(other), name, BOTH, 0, 0, 0) == -ENOENT
    assert maker.now_posix_mq_send(made, b"still", 0) == 0
    assert other.now_posix_mq_receive(found, 64) == (b"still", 0)


def test_queue_figures_are_the_same(pair, new, name):
    maker, other = pair
    before = os.umask(0o027)
    try:
        made = queue_of(maker, new, name, 3, 77, mode=0o666)
    finally:
        os.umask(before)
    maker.now_posix_mq_send(made, b"one", 0)
    found = opened(other, new, name)
    expected = (3, 77, 1, os.geteuid(), os.getegid(), 0o640)
    assert maker.now_posix_mq_stat(made) == other.now_posix_mq_stat(found) == expected


def test_queue_is_for_what_it_was_opened_for(pair, new, name):
    maker, other = pair
    queue_of(maker, new, name)
    reader, writer = opened(other, new, name, other.POSIX_READ), opened(other, new, name, other.POSIX_WRITE)
    assert other.now_posix_mq_send(reader, b"x", 0) == other.now_posix_mq_send(reader, bytes(65), 0) == -EBADF
    assert other.now_posix_mq_receive(writer, 64) == other.now_posix_mq_receive(writer, 1) == -EBADF
    assert other.now_posix_mq_send(writer, b"x", 3) == 0
    assert other.now_posix_mq_receive(reader, 64) == (b"x", 3)


def test_queue_takes_no_message_that_is_too_long_and_gives_none_to_who_has_no_room(backend, new, name):
    queue = queue_of(backend, new, name)
    assert backend.now_posix_mq_send(queue, bytes(65), 0) == -EMSGSIZE
    assert backend.now_posix_mq_send(queue, b"x", 32768) == -EINVAL
    assert backend.now_posix_mq_receive(queue, 63) == -EMSGSIZE
    assert backend.now_posix_mq_send(queue, b"x", 0) == 0
    assert backend.now_posix_mq_receive(queue, 63) == backend.now_posix_mq_receive(queue, 0) == -EMSGSIZE
    assert backend.now_posix_mq_stat(queue)[2] == 1


def test_queue_that_cannot_be_made_says_why_and_owns_nothing(backend, new, name, forked):
    owner = new(backend)
    for most, size in (0, 1), (1, 0), (-1, 1), (1 << 40, 1), (1, 1 << 40):
        assert backend.posix_mq_open(owner, name, NEW | BOTH, 0o600, most, size) == -EINVAL
    long = b"x" * 256
    assert backend.posix_mq_open(owner, long, NEW | BOTH, 0o600, 1, 1) == -ENAMETOOLONG
    assert backend.posix_mq_unlink(long) == -ENAMETOOLONG
    assert owner._number == -1

    def full():
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        return backend.posix_mq_open(owner, name, NEW | BOTH, 0o600, 1, 1)

    def too_much():
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (100, 100))
        return backend.posix_mq_open(owner, name, NEW | BOTH, 0o600, 10, 1000)

    assert [forked(full)(), forked(too_much)()] == [-EMFILE, -EMFILE]
    assert owner._number == -1
    assert backend.posix_mq_unlink(name) == -ENOENT


def test_queue_of_others_is_refused(pair, new, name, forked, privileged):
    maker, other = pair
    made = queue_of(maker, new, name, mode=0o644)

    def look():
        owner = owner_of(other)
        return [
            other.posix_mq_open(owner, name, BOTH, 0, 0, 0),
            other.posix_mq_open(owner, name, other.POSIX_READ, 0, 0, 0),
            other.now_posix_mq_receive(owner, 64),
            owner._close(),
        ]

    maker.now_posix_mq_send(made, b"for all", 0)
    assert forked(look, user=NOBODY)() == [-EACCES, 0, (b"for all", 0), 0]


def test_queue_that_was_closed_is_not_used_whatever_has_its_number(backend, new, name):
    """The other queue gets the very number."""
    first = queue_of(backend, new, name)
    number = first.fileno()
    assert first._close() == 0
    second = queue_of(backend, new, name + b"-second")
    assert second.fileno() == number
    assert backend.now_posix_mq_send(first, b"x", 0) == backend.now_posix_mq_receive(first, 64) == -EBADF
    assert backend.now_posix_mq_stat(first) == backend.now_posix_mq_notify(first, 0, 0, 0) == -EBADF
    another = os.dup(number)
    assert backend.now_adopt(first, another) == 0  # of the second queue, and not by this number
    assert backend.now_posix_mq_send(first, b"x", 0) == (-ENOTSUP if backend.NAME == "fallback" else 0)
    assert backend.now_posix_mq_stat(second)[2] == (backend.NAME == "native")
    assert backend.posix_mq_unlink(name + b"-second") == 0


def test_queue_by_a_name_of_any_bytes(pair, new, name):
    maker, other = pair
    strange = name + b"\xff\xfe \n\xc3\xa4"
    made = queue_of(maker, new, strange)
    found = opened(other, new, strange)
    assert other.now_posix_mq_send(found, b"x", 0) == 0
    assert maker.now_posix_mq_receive(made, 64) == (b"x", 0)
    assert other.posix_mq_unlink(strange) == 0
    assert other.posix_mq_unlink(strange) == -ENOENT


def test_queue_carries_everything_in_order_between_two_processes(pair, new, name, forked):
    one, two = pair
    count = 300
    made = queue_of(one, new, name)

    def take():
        owner = owner_of(two)
        two.posix_mq_open(owner, name, two.POSIX_READ, 0, 0, 0)
        got = []
        while len(got) < count:
            two.fd_wait(owner.fileno(), two.READABLE, FOREVER)
            message = two.now_posix_mq_receive(owner, 64)
            if message != -EAGAIN:
                got.append(int(message[0]))
        owner._close()
        return got

    answer = forked(take)
    for number in range(count):
        while (result := one.now_posix_mq_send(made, b"%d" % number, 3)) == -EAGAIN:
            one.fd_wait(made.fileno(), one.WRITABLE, FOREVER)
        assert result == 0
    assert answer() == list(range(count))


def test_queue_wait_of_a_descriptor_does_not_mind_what_others_do(pair, new, name, soon):
    maker, other = pair
    made = queue_of(maker, new, name)
    found = opened(other, new, name)
    assert other.fd_wait(found.fileno(), other.READABLE, PAST) == -ETIMEDOUT
    assert other.fd_wait(found.fileno(), other.WRITABLE, PAST) == 0
    maker.now_posix_mq_send(made, b"x", 0)
    assert other.fd_wait(found.fileno(), other.READABLE, soon(20)) == 0


def test_queue_message_takes_no_more_memory_than_it_has_bytes(backend, new, name):
    queue = queue_of(backend, new, name, size=8192)
    kept = []
    tracemalloc.start()
    try:
        for _ in range(50):
            backend.now_posix_mq_send(queue, b"xy", 0)
            kept.append(backend.now_posix_mq_receive(queue, 8192))
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept == [(b"xy", 0)] * 50
    assert held < 50 * 1000


# ---- who is told ----


def notify_by(backend, queue, what=signal.SIGUSR1, value=0):
    return backend.now_posix_mq_notify(queue, backend.NOTIFY_BY_SIGNAL, what, value)


def nobody(backend, queue):
    return backend.now_posix_mq_notify(queue, backend.NOTIFY_NOBODY, 0, 0)


def told(queue):
    """Which process is, as the kernel says."""
    text = os.pread(queue.fileno(), 200, 0)
    return int(text.partition(b"NOTIFY_PID:")[2])


def test_queue_sends_a_signal_once_for_a_message_to_an_empty_one(pair, new, name, handling, until):
    waiter, other = pair
    queue = queue_of(waiter, new, name)
    sender = opened(other, new, name)
    seen = []
    handling(signal.SIGUSR1, lambda *_: seen.append(1))
    assert notify_by(waiter, queue) == 0
    assert told(queue) == os.getpid()
    assert other.now_posix_mq_send(sender, b"x", 0) == 0
    until(lambda: seen)
    assert told(queue) == 0
    assert other.now_posix_mq_receive(sender, 64) == (b"x", 0)
    assert other.now_posix_mq_send(sender, b"y", 0) == 0
    assert notify_by(waiter, queue) == 0
    assert other.now_posix_mq_send(sender, b"z", 0) == 0  # to one that is not empty
    assert told(queue) == os.getpid()
    assert len(seen) == 1
    assert nobody(waiter, queue) == nobody(waiter, queue) == 0
    assert told(queue) == 0


def test_queue_tells_one_alone(pair, new, name, forked):
    one, two = pair
    queue = queue_of(one, new, name)
    second = opened(one, new, name)
    assert notify_by(one, queue) == 0
    assert notify_by(one, queue) == notify_by(one, second) == -EBUSY
    assert told(queue) == os.getpid()

    def look():
        owner = owner_of(two)
        two.posix_mq_open(owner, name, BOTH, 0, 0, 0)
        answers = [notify_by(two, owner), nobody(two, owner)]
        owner._close()
        return answers

    assert forked(look)() == [-EBUSY, 0]
    assert told(queue) == os.getpid()
    assert nobody(one, queue) == 0


def test_queue_signal_that_is_none_is_refused(backend, new, name):
    queue = queue_of(backend, new, name)
    assert notify_by(backend, queue, 65) == notify_by(backend, queue, -1) == -EINVAL
    assert told(queue) == 0


def test_queue_signal_with_a_value_brings_it_or_is_refused(backend, new, name):
    queue = queue_of(backend, new, name)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        result = notify_by(backend, queue, signal.SIGUSR2, 77)
        if result == 0:
            backend.now_posix_mq_send(queue, b"x", 0)
            assert signal.sigtimedwait({signal.SIGUSR2}, 20).si_signo == signal.SIGUSR2
        else:
            assert (result, backend.NAME, told(queue)) == (-ENOTSUP, "fallback", 0)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})


@pytest.fixture
def news():
    """What tells of messages; threads that wait for them must be over by then."""
    made = []

    def make(backend):
        made.append(backend.posix_mq_news())
        return made[-1]

    yield make
    for one in made:
        one.close()


def waits(one, got):
    thread = threading.Thread(target=lambda: got.append(one.came()), daemon=True)
    thread.start()
    return thread


def test_queue_news_come_once_for_each_request(pair, new, name, news, until):
    waiter, other = pair
    queue = queue_of(waiter, new, name)
    sender = opened(other, new, name)
    one, got = news(waiter), []
    for count in range(1, 4):
        assert one.ask(queue) == 0
        assert one.ask(queue) == notify_by(waiter, queue) == -EBUSY
        thread = waits(one, got)
        assert len(got) == count - 1
        other.now_posix_mq_send(sender, b"x", 0)
        until(lambda count=count: len(got) == count)
        thread.join()
        assert other.now_posix_mq_receive(sender, 64) == (b"x", 0)
    assert got == [True] * 3
    assert told(queue) == 0


def test_queue_news_are_not_lost_when_the_message_is_gone_at_once(pair, new, name, news):
    waiter, other = pair
    queue = queue_of(waiter, new, name)
    one, got = news(waiter), []
    assert one.ask(queue) == 0
    thread = waits(one, got)
    sender = opened(other, new, name)
    other.now_posix_mq_send(sender, b"x", 0)
    other.now_posix_mq_receive(sender, 64)
    thread.join(20)
    assert got == [True]


@pytest.mark.parametrize("how", ["nobody", "closed"])
def test_queue_news_end_when_nobody_is_told_any_more(backend, new, name, news, how):
    queue = queue_of(backend, new, name)
    one, got = news(backend), []
    assert one.ask(queue) == 0
    thread = waits(one, got)
    assert (nobody(backend, queue) if how == "nobody" else queue._close()) == 0
    one.end()
    thread.join(20)
    assert got == [False]


def test_queue_news_for_who_may_only_send_come_or_are_refused(backend, new, name, news):
    queue = queue_of(backend, new, name)
    writer = opened(backend, new, name, backend.POSIX_WRITE)
    one = news(backend)
    assert one.ask(writer) in (0, -ENOTSUP)
    assert one.ask(writer) == (-EBUSY if told(queue) else -ENOTSUP)
    assert nobody(backend, queue) == 0


# ---- the fallback alone ----


def lacks(say, hear):
    import sys

    sys.modules["posix_ipc"] = None  # as if it were not installed
    from pyipc import posix
    from pyipc._backend import ops

    say({name: able for name, able in ops.capabilities().items() if name.startswith("posix.")})
    owner = ops.Descriptor()
    say(
        [
            ops.posix_sem_open(b"pyipc-none", 3, 0o600, 1),
            ops.posix_sem_unlink(b"pyipc-none"),
            ops.posix_mq_open(owner, b"pyipc-none", 15, 0o600, 1, 1),
            ops.posix_mq_unlink(b"pyipc-none"),
            ops.posix_mq_news(),
        ]
    )
    with posix.SharedMemory.create(None, 100) as memory:
        memory.write(b"works")
        say(memory.read(5))


def test_without_the_foreign_package_there_is_memory_and_the_rest_says_so(child):
    if not loaded("fallback"):
        pytest.skip("there is no fallback here")
    other = child(lacks, env={"PYIPC_BACKEND": "fallback"})
    assert other.hear() == {
        "posix.message_queues": False,
        "posix.semaphores": False,
        "posix.unnamed_semaphores": False,
    }
    assert other.hear() == [-ENOTSUP] * 5
    assert other.hear() == b"works"
    assert other.end() == 0


def imitated(say, hear):
    import sys
    import types

    import pyipc.posix  # noqa: F401
    from pyipc._backend import ops

    sys.modules["posix_ipc"] = types.ModuleType("posix_ipc")
    name = b"pyipc-imitated"
    sem = ops.posix_sem_open(name, 3, 0o600, 1)
    say([ops.now_posix_sem_try(sem), ops.posix_sem_open(name, 3, 0o600, 1), ops.posix_sem_unlink(name)])


def test_who_takes_the_place_of_the_foreign_package_does_not_take_ours(child):
    pytest.importorskip("posix_ipc")
    other = child(imitated, env={"PYIPC_BACKEND": "fallback"})
    assert other.hear() == [0, -EEXIST, 0]
    assert other.end() == 0


def test_queue_by_another_descriptor_is_refused_by_the_fallback_and_touched_by_nobody(backend, new, name):
    queue = queue_of(backend, new, name)
    twin = new(backend)
    assert backend.now_duplicate(twin, queue.fileno()) == 0
    if backend.NAME == "fallback":
        assert backend.now_posix_mq_send(twin, b"x", 0) == backend.now_posix_mq_stat(twin) == -ENOTSUP
        assert backend.now_posix_mq_receive(twin, 64) == -ENOTSUP
    else:
        assert backend.now_posix_mq_send(twin, b"x", 0) == 0
        assert backend.now_posix_mq_receive(twin, 64) == (b"x", 0)
    assert backend.now_posix_mq_stat(queue)[2] == 0
