"""Descriptors that have one owner, eventfds, pidfds; the kernel says what is open and where it leads."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from errno import (
    EAGAIN,
    EBADF,
    ECHILD,
    EINTR,
    EINVAL,
    EISDIR,
    EMFILE,
    ENAMETOOLONG,
    ENOENT,
    ENOTDIR,
    ENOTSUP,
    ESRCH,
    ETIMEDOUT,
)
from fcntl import F_GETFD, F_GETFL, F_SETFL, FD_CLOEXEC, fcntl

import pytest

NOBODY = 65534
PAST = 0
FOREVER = 2**63 - 1
NO_PID = 2**22 + 1  # above the kernel's PID_MAX_LIMIT
MOST = 2**64 - 2  # that an eventfd counts


def owners(backend):
    """A type of owners, as the chapters have them."""

    class Owner(backend.Descriptor):
        __slots__ = ()

        def _refuse(self):
            raise ValueError("it owns nothing")

        def __repr__(self):
            return f"<owner of {self._number}>"

    return Owner


@pytest.fixture
def new():
    """Make an owner that owns nothing yet; what it owns in the end is closed."""
    made = []

    def make(backend):
        kind = owners(backend)
        made.append(kind.__new__(kind))
        return made[-1]

    yield make
    for owner in made:
        owner._close()


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def file_of(number):
    facts = os.fstat(number)
    return facts.st_dev, facts.st_ino


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def is_cloexec(number):
    return bool(fcntl(number, F_GETFD) & FD_CLOEXEC)


def at_its_end(reading_end):
    """Whether the last descriptor of the other end is closed."""
    os.set_blocking(reading_end, False)
    try:
        return os.read(reading_end, 1) == b""
    except BlockingIOError:
        return False


def fill_table(leave):
    """Lower the limit, and take all numbers but so many."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.dup(0))
    for number in taken[len(taken) - leave :]:
        os.close(number)
    return taken[: len(taken) - leave]


# ---- owners ----


def test_an_owner_owns_nothing_at_first_whatever_it_is_made_with(backend):
    class Named(owners(backend)):
        __slots__ = ("name",)

        def __init__(self, number, *, name):
            self.name = name

    owner = Named(7, name="it")
    assert (owner._number, owner.name) == (-1, "it")
    assert owners(backend)._number is not None
    assert not hasattr(owner, "__dict__")
    assert owner._close() == 0
    assert owner._take() == -1


def test_who_owns_nothing_refuses_to_give_its_number(backend, new):
    with pytest.raises(ValueError, match="owns nothing"):
        new(backend).fileno()


def test_an_adopted_number_stays_the_same_and_becomes_close_on_exec(backend, new, pipe):
    os.set_inheritable(pipe[0], True)
    owner = new(backend)
    assert backend.now_adopt(owner, pipe[0]) == 0
    assert owner._number == owner.fileno() == pipe[0]
    assert is_cloexec(pipe[0])
    assert owner._close() == 0
    assert not is_open(pipe[0])


def test_number_0_is_a_number(backend, forked):
    def adopt_it():
        owner = owners(backend)()
        answers = [backend.now_adopt(owner, 0), owner._number, owner.fileno()]
        return [*answers, owner._close(), is_open(0), owner._number]

    assert forked(adopt_it)() == [0, 0, 0, 0, False, -1]


@pytest.mark.parametrize("number", [-1, 1 << 20, 2**31 - 1, -(2**31)])
def test_what_is_not_open_is_neither_adopted_nor_duplicated(backend, new, number):
    owner = new(backend)
    assert backend.now_adopt(owner, number) == -EBADF
    assert backend.now_duplicate(owner, number) == -EBADF
    assert owner._number == -1


def test_a_duplicate_is_another_number_of_the_same_open_file(backend, new, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with open(path, "rb", buffering=0) as file:
        owner = new(backend)
        assert backend.now_duplicate(owner, file.fileno()) == 0
        assert owner.fileno() != file.fileno()
        assert is_cloexec(owner.fileno())
        file.seek(7)
        assert os.read(owner.fileno(), 3) == b"789"
        assert owner._close() == 0
        assert is_open(file.fileno())


def test_a_full_table_has_no_room_for_duplicates_and_files(backend, forked):
    def attempts():
        owner = owners(backend)()
        fill_table(leave=0)
        answers = [backend.now_duplicate(owner, 0), backend.fd_open(owner, b"/dev/null", os.O_RDONLY)]
        return [*answers, owner._number]

    assert forked(attempts)() == [-EMFILE, -EMFILE, -1]


def test_a_file_that_is_there_is_opened_as_the_flags_say(backend, new, tmp_path):
    path = tmp_path / "a file \udcff"
    path.write_bytes(b"content")
    reading, writing, looking = new(backend), new(backend), new(backend)
    assert backend.fd_open(reading, os.fsencode(path), os.O_RDONLY) == 0
    assert backend.fd_open(writing, os.fsencode(path), os.O_WRONLY | os.O_APPEND) == 0
    assert backend.fd_open(looking, os.fsencode(tmp_path), os.O_PATH | os.O_DIRECTORY) == 0
    assert os.write(writing.fileno(), b", more") == 6
    assert os.read(reading.fileno(), 100) == b"content, more"
    assert os.listdir(f"/proc/self/fd/{looking.fileno()}") == [path.name]
    assert all(is_cloexec(owner.fileno()) for owner in (reading, writing, looking))


def test_what_cannot_be_opened_says_why_and_is_never_made(backend, new, tmp_path):
    path, folder = os.fsencode(tmp_path / "file"), os.fsencode(tmp_path)
    owner = new(backend)
    attempts = {
        (path, os.O_RDONLY): -ENOENT,
        (path, os.O_RDWR | os.O_CREAT): -EINVAL,
        (folder, os.O_RDWR | os.O_TMPFILE): -EINVAL,
        (folder, os.O_WRONLY): -EISDIR,
        (b"/dev/null", os.O_RDONLY | os.O_DIRECTORY): -ENOTDIR,
        (b"x" * 5000, os.O_RDONLY): -ENAMETOOLONG,
    }
    assert {attempt: backend.fd_open(owner, *attempt) for attempt in attempts} == attempts
    assert owner._number == -1
    assert os.listdir(folder) == []


def test_a_move_leaves_one_owner(backend, new, pipe):
    first, second = new(backend), new(backend)
    assert backend.now_adopt(first, pipe[0]) == 0
    assert backend.now_move(first, second) == 0
    assert (first._number, second._number) == (-1, pipe[0])
    assert first._close() == 0
    assert is_open(pipe[0])
    assert backend.now_move(first, second) == -EBADF
    assert second._number == pipe[0]
    assert second._close() == 0
    assert backend.now_move(first, second) == -EBADF
    assert second._number == -1


def test_closing_again_does_not_close_what_has_the_number_then(backend, new, pipe):
    owner = new(backend)
    assert backend.now_adopt(owner, pipe[0]) == 0
    assert owner._close() == 0
    os.dup2(pipe[1], pipe[0])
    assert owner._close() == 0
    assert is_open(pipe[0])


def test_closing_what_somebody_else_has_closed_is_told_once(backend, new, pipe):
    owner = new(backend)
    assert backend.now_adopt(owner, pipe[0]) == 0
    os.close(pipe[0])
    assert owner._close() == -EBADF
    assert owner._close() == 0


def test_what_was_taken_is_the_takers(backend, new, pipe):
    owner = new(backend)
    assert backend.now_adopt(owner, pipe[0]) == 0
    assert owner._take() == pipe[0]
    assert owner._take() == owner._number == -1
    assert owner._close() == 0
    assert is_open(pipe[0])


@pytest.mark.parametrize("count", [0, 1, 253, 254, 700])
def test_all_of_many_are_closed_and_none_twice(backend, forked, count):
    def close_them():
        resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000))
        reading, writing = os.pipe()
        many = [owners(backend)() for _ in range(count + 2)]
        results = {backend.now_duplicate(owner, writing) for owner in many[1:-1]}
        os.close(writing)
        before = at_its_end(reading)
        backend.close_all(many)
        after = at_its_end(reading), {owner._number for owner in many}
        kept = os.open("/dev/null", os.O_RDONLY)
        backend.close_all(many)
        return [results - {0}, before, *after, is_open(kept)]

    assert forked(close_them)() == [set(), count == 0, True, {-1}, True]


def test_one_that_cannot_be_closed_does_not_keep_the_others_open(backend, forked):
    def close_them():
        reading, writing = os.pipe()
        many = [owners(backend)() for _ in range(5)]
        results = {backend.now_duplicate(owner, writing) for owner in many}
        os.close(writing)
        os.close(many[1]._number)
        backend.close_all(many)
        return [results, at_its_end(reading)]

    assert forked(close_them)() == [{0}, True]


# ---- owners that are dropped ----


def test_an_owner_that_is_dropped_open_closes_and_says_so(backend, pipe):
    owner = owners(backend)()
    assert backend.now_adopt(owner, pipe[1]) == 0
    with pytest.warns(ResourceWarning, match=rf"^<owner of {pipe[1]}> was dropped without close\(\)$"):
        del owner
    assert at_its_end(pipe[0])


def test_a_warning_that_is_an_error_keeps_nothing_open(backend, pipe, monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: seen.append(what.exc_type))
    owner = owners(backend)()
    assert backend.now_adopt(owner, pipe[1]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del owner
    assert seen == [ResourceWarning]
    assert at_its_end(pipe[0])


def test_an_owner_without_words_closes_all_the_same(backend, pipe, monkeypatch):
    class Silent(owners(backend)):
        def __repr__(self):
            raise LookupError

    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: seen.append(what.exc_type))
    owner = Silent()
    assert backend.now_adopt(owner, pipe[1]) == 0
    del owner
    assert seen == [LookupError]
    assert at_its_end(pipe[0])


def test_an_owner_that_was_moved_taken_or_closed_is_dropped_in_silence(backend, new, pipe):
    first, second = owners(backend)(), new(backend)
    assert backend.now_adopt(first, pipe[0]) == 0
    assert backend.now_move(first, second) == 0
    del first  # a warning would be an error here
    assert second._take() == pipe[0]
    assert is_open(pipe[0])


def test_an_owner_among_garbage_closes_too(backend, pipe):
    class Round(owners(backend)):
        __slots__ = ("itself",)

    owner = Round()
    owner.itself = owner
    assert backend.now_adopt(owner, pipe[1]) == 0
    del owner
    with pytest.warns(ResourceWarning):
        gc.collect()
    gc.collect()  # the warning, when it is recorded, had kept it
    assert at_its_end(pipe[0])


def test_an_exception_that_is_on_its_way_is_not_lost_over_a_dropped_owner(backend, pipe):
    def drop_and_raise():
        owner = owners(backend)()
        backend.now_adopt(owner, pipe[1])
        raise KeyError("mine")

    with pytest.warns(ResourceWarning), pytest.raises(KeyError, match="mine"):
        drop_and_raise()
    assert at_its_end(pipe[0])


def test_an_owner_that_is_left_at_exit_makes_no_trouble(backend):
    program = f"""
import sys
from pyipc._backend import load
backend = load({backend.NAME!r})
class Owner(backend.Descriptor):
    __slots__ = ()
owner = Owner()
assert backend.now_duplicate(owner, 0) == 0
sys.kept = [owner, Owner()]
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


# ---- waiting for one ----


def test_what_can_go_on_does_not_wait(backend, pipe):
    os.write(pipe[1], b"x")
    assert backend.fd_wait(pipe[0], backend.READABLE, FOREVER) == 0
    assert backend.fd_wait(pipe[1], backend.WRITABLE, PAST) == 0
    assert backend.fd_wait(pipe[0], backend.READABLE | backend.WRITABLE, PAST) == 0


def test_a_deadline_is_kept_and_not_before_its_time(backend, pipe, soon):
    assert backend.fd_wait(pipe[0], backend.READABLE, PAST) == -ETIMEDOUT
    deadline = soon(0.03)
    result = -EINTR
    while result == -EINTR:
        result = backend.fd_wait(pipe[0], backend.READABLE, deadline)
    assert result == -ETIMEDOUT
    assert time.monotonic_ns() >= deadline


def test_a_wait_without_an_end_looks_around_within_a_second(backend, pipe):
    began = time.monotonic()
    assert backend.fd_wait(pipe[0], backend.READABLE, FOREVER) == -EINTR
    assert time.monotonic() - began < 5  # on a busy machine


@pytest.mark.parametrize("events", ["READABLE", "WRITABLE"])
def test_that_the_other_side_has_gone_ends_each_wait(backend, events):
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        assert backend.fd_wait(ours.fileno(), getattr(backend, events), FOREVER) == 0


def test_an_error_ends_a_wait_for_nothing_in_particular(backend, pipe):
    os.close(pipe[0])
    assert backend.fd_wait(pipe[1], 0, FOREVER) == 0


@pytest.mark.parametrize("number", [-1, -7, 1 << 20])
def test_what_is_not_open_cannot_be_waited_for(backend, number):
    assert backend.fd_wait(number, backend.READABLE, FOREVER) == -EBADF


def test_a_wait_ends_when_another_process_writes(backend, pipe, forked, soon):
    reading, writing = pipe

    def wait():
        deadline, result = soon(20), -EINTR
        os.write(writing, b"?")
        while result == -EINTR:
            result = backend.fd_wait(question, backend.READABLE, deadline)
        return result

    question, answer = os.pipe()
    waiting = forked(wait)
    assert os.read(reading, 1) == b"?"
    os.write(answer, b"!")
    assert waiting() == 0
    os.close(question)
    os.close(answer)


def test_a_handler_that_raises_ends_a_wait(backend, forked):
    def wait():
        def late(*_):
            raise TimeoutError("handler")

        signal.signal(signal.SIGALRM, late)
        reading, _ = os.pipe()
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            while True:
                result = backend.fd_wait(reading, backend.READABLE, FOREVER)
                assert result == -EINTR
        except TimeoutError as problem:
            return str(problem)

    assert forked(wait)() == "handler"


# ---- eventfds ----


@pytest.fixture
def counter(backend, new):
    """An eventfd of this backend."""
    if not backend.capabilities()["fds.eventfd"]:
        pytest.skip("os.eventfd came with Python 3.10")

    def make(initial=0, semaphore=False):
        owner = new(backend)
        assert backend.now_eventfd(owner, initial, semaphore) == 0
        return owner

    return make


def test_who_has_no_eventfds_says_so(backend, new):
    owner = new(backend)
    able = backend.capabilities()["fds.eventfd"]
    assert backend.now_eventfd(owner, 0, False) == (0 if able else -ENOTSUP)
    assert able is (owner._number >= 0)
    assert able is (backend.NAME == "native" or hasattr(os, "eventfd"))


def test_an_eventfd_is_close_on_exec_and_does_not_block(backend, counter):
    owner = counter(3)
    assert os.readlink(f"/proc/self/fd/{owner.fileno()}") == "anon_inode:[eventfd]"
    assert is_cloexec(owner.fileno())
    assert fcntl(owner.fileno(), F_GETFL) & os.O_NONBLOCK


@pytest.mark.parametrize("initial", [0, 1, 3, 2**32 - 1])
def test_a_read_takes_all_there_is(backend, counter, initial):
    owner = counter(initial)
    assert backend.now_eventfd_write(owner, 5) == 0
    assert backend.now_eventfd_read(owner) == initial + 5
    assert backend.now_eventfd_read(owner) == -EAGAIN


def test_a_semaphore_gives_one_at_a_time(backend, counter):
    owner = counter(2, semaphore=True)
    assert [backend.now_eventfd_read(owner) for _ in range(3)] == [1, 1, -EAGAIN]


def test_an_eventfd_has_a_maximum(backend, counter):
    owner = counter()
    assert backend.now_eventfd_write(owner, MOST) == 0
    assert backend.now_eventfd_write(owner, 1) == -EAGAIN
    assert backend.now_eventfd_write(owner, MOST + 1) == -EINVAL
    assert backend.now_eventfd_read(owner) == MOST


def test_an_eventfd_that_blocks_is_not_waited_for(backend, counter):
    """The flag belongs to all that share it, and another may have cleared it."""
    owner = counter()
    fcntl(owner.fileno(), F_SETFL, 0)
    assert backend.now_eventfd_read(owner) == -EAGAIN
    for value, too_much in (MOST, 1), (MOST - 4, 5), (1, MOST):
        assert backend.now_eventfd_write(owner, value) == 0
        assert backend.now_eventfd_write(owner, too_much) == -EAGAIN
        assert backend.now_eventfd_write(owner, 0) == 0
        assert backend.now_eventfd_read(owner) == value
    assert backend.now_eventfd_read(owner) == -EAGAIN


def test_one_backend_adds_what_the_other_takes(pair, new):
    giver, taker = pair
    if not giver.capabilities()["fds.eventfd"]:
        pytest.skip("os.eventfd came with Python 3.10")
    ours, theirs = new(giver), new(taker)
    assert giver.now_eventfd(ours, 0, False) == 0
    assert taker.now_duplicate(theirs, ours.fileno()) == 0
    assert taker.fd_wait(theirs.fileno(), taker.READABLE, PAST) == -ETIMEDOUT
    assert giver.now_eventfd_write(ours, 7) == 0
    assert taker.fd_wait(theirs.fileno(), taker.READABLE, PAST) == 0
    assert taker.now_eventfd_read(theirs) == 7
    assert giver.now_eventfd_read(ours) == -EAGAIN


def test_of_a_closed_eventfd_nothing_is_taken(backend, new):
    owner = new(backend)
    assert backend.now_eventfd_read(owner) == -EBADF
    assert backend.now_eventfd_write(owner, 0) == backend.now_eventfd_write(owner, 1) == -EBADF


@pytest.mark.parametrize("blocking", [True, False])
def test_what_is_no_eventfd_is_not_read_as_one_and_not_waited_for(backend, new, pipe, blocking):
    reading, writing = new(backend), new(backend)
    assert backend.now_adopt(reading, pipe[0]) == backend.now_adopt(writing, pipe[1]) == 0
    for end in pipe:
        os.set_blocking(end, blocking)
    assert backend.now_eventfd_read(reading) == (-EINVAL if blocking else -EAGAIN)
    os.write(pipe[1], b"abc")
    assert backend.now_eventfd_read(reading) == -EINVAL
    if blocking:
        assert backend.now_eventfd_write(writing, 1) == -EINVAL


def test_a_full_table_has_no_room_for_an_eventfd_or_a_pidfd(backend, forked):
    def make():
        owner = owners(backend)()
        fill_table(leave=0)
        answers = [backend.now_eventfd(owner, 0, False), backend.now_pidfd_open(owner, os.getpid())]
        return [*answers, owner._number]

    expected = -EMFILE if backend.capabilities()["fds.eventfd"] else -ENOTSUP
    assert forked(make)() == [expected, -EMFILE, -1]


# ---- pidfds ----


def pid_in(number):
    """Whose pidfd it is, says the kernel."""
    with open(f"/proc/self/fdinfo/{number}") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))


class Child:
    """A process that does what it is told by one byte."""

    def __init__(self, *, core=False):
        reading, self.orders = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                os.close(self.orders)
                most = resource.getrlimit(resource.RLIMIT_CORE)[1] if core else 0
                resource.setrlimit(resource.RLIMIT_CORE, (most, most))
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                code = os.read(reading, 1)
                os._exit(code[0] if code else 0)
            finally:
                os._exit(99)
        os.close(reading)

    def end(self, code):
        os.write(self.orders, bytes([code]))

    def clean_up(self):
        os.close(self.orders)
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


@pytest.fixture
def process(backend, new):
    """A child, and its pidfd."""
    made = []

    def start(**how):
        made.append(Child(**how))
        owner = new(backend)
        assert backend.now_pidfd_open(owner, made[-1].pid) == 0
        return made[-1], owner

    yield start
    for child in made:
        child.clean_up()


def ended(backend, pidfd, soon):
    deadline, result = soon(20), -EINTR
    while result == -EINTR:
        result = backend.fd_wait(pidfd.fileno(), backend.READABLE, deadline)
    return result == 0


def test_a_pidfd_is_of_this_process_and_close_on_exec(backend, new, process):
    child, pidfd = process()
    assert pid_in(pidfd.fileno()) == child.pid
    assert is_cloexec(pidfd.fileno())
    mine = new(backend)
    assert backend.now_pidfd_open(mine, os.getpid()) == 0
    assert pid_in(mine.fileno()) == os.getpid()


@pytest.mark.parametrize(("pid", "answer"), [(0, -EINVAL), (-1, -EINVAL), (NO_PID, -ESRCH)])
def test_who_is_no_process_has_no_pidfd(backend, new, pid, answer):
    owner = new(backend)
    assert backend.now_pidfd_open(owner, pid) == answer
    assert owner._number == -1


def test_an_exit_code_is_told_as_often_as_asked_and_then_reaped_once(backend, process, soon):
    child, pidfd = process()
    assert backend.now_pidfd_status(pidfd, False) == -EAGAIN
    assert backend.now_pidfd_status(pidfd, True) == -EAGAIN
    child.end(7)
    assert ended(backend, pidfd, soon)
    answer = (child.pid, 7, 0, False)
    assert [backend.now_pidfd_status(pidfd, reap) for reap in (False, False, True)] == [answer] * 3
    assert backend.now_pidfd_status(pidfd, True) == backend.now_pidfd_status(pidfd, False) == -ECHILD
    assert backend.now_pidfd_send(pidfd, 0) == -ESRCH


@pytest.mark.parametrize("core", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGQUIT])
def test_a_signal_is_sent_and_told_as_the_kernel_tells_it(
    backend, process, soon, number, core, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # for the core
    child, pidfd = process(core=core)
    assert backend.now_pidfd_send(pidfd, 0) == 0
    assert backend.now_pidfd_send(pidfd, number) == 0
    assert ended(backend, pidfd, soon)
    told = backend.now_pidfd_status(pidfd, False)
    status = os.waitpid(child.pid, 0)[1]
    assert told == (child.pid, -1, os.WTERMSIG(status), os.WCOREDUMP(status))
    assert os.WTERMSIG(status) == number


def test_who_is_stopped_has_not_ended(backend, process):
    child, pidfd = process()
    assert backend.now_pidfd_send(pidfd, signal.SIGSTOP) == 0
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    assert backend.now_pidfd_status(pidfd, True) == -EAGAIN
    assert backend.fd_wait(pidfd.fileno(), backend.READABLE, PAST) == -ETIMEDOUT


def test_only_a_parent_learns_how_a_process_ended(backend, new):
    mine = new(backend)
    assert backend.now_pidfd_open(mine, os.getpid()) == 0
    assert backend.now_pidfd_status(mine, True) == -ECHILD


def test_a_handler_runs_for_a_signal_to_oneself(backend, forked):
    def send():
        def late(*_):
            raise TimeoutError("handler")

        signal.signal(signal.SIGUSR1, late)
        mine = owners(backend)()
        backend.now_pidfd_open(mine, os.getpid())
        try:
            backend.now_pidfd_send(mine, signal.SIGUSR1)
            return "sent"
        except TimeoutError as problem:
            return str(problem)
        finally:
            mine._close()

    assert forked(send)() == "handler"


def test_wrong_signals_and_wrong_descriptors_are_refused(backend, new, process, pipe):
    _, pidfd = process()
    assert backend.now_pidfd_send(pidfd, 65) == -EINVAL
    assert backend.now_pidfd_send(pidfd, -1) == -EINVAL
    closed, wrong = new(backend), new(backend)
    assert backend.now_adopt(wrong, pipe[0]) == 0
    assert backend.now_pidfd_send(closed, 0) == backend.now_pidfd_send(wrong, 0) == -EBADF
    assert backend.now_pidfd_status(closed, False) == backend.now_pidfd_status(wrong, False) == -EBADF


def test_a_descriptor_of_another_process_is_copied_or_cannot_be(backend, new, process, pipe):
    _, pidfd = process()
    copy = new(backend)
    result = backend.now_pidfd_getfd(copy, pidfd, pipe[1])
    if not backend.capabilities()["fds.pidfd_getfd"]:
        assert (result, copy._number) == (-ENOTSUP, -1)
        return
    assert result == 0
    assert file_of(copy.fileno()) == file_of(pipe[1])
    assert is_cloexec(copy.fileno())
    assert copy._close() == 0
    assert backend.now_pidfd_getfd(copy, pidfd, 1 << 20) == -EBADF
    assert backend.now_pidfd_getfd(copy, new(backend), 0) == -EBADF
    assert copy._number == -1


def test_a_pidfd_of_one_backend_serves_the_other(pair, new):
    opener, user = pair
    child = Child()
    ours, theirs = new(opener), new(user)
    assert opener.now_pidfd_open(ours, child.pid) == 0
    assert user.now_duplicate(theirs, ours.fileno()) == 0
    assert user.now_pidfd_send(theirs, signal.SIGKILL) == 0
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    expected = (child.pid, -1, signal.SIGKILL, False)
    assert opener.now_pidfd_status(ours, False) == user.now_pidfd_status(theirs, True) == expected
    assert opener.now_pidfd_status(ours, True) == -ECHILD
    child.clean_up()


# ---- no gap between a descriptor and its owner ----


class HandlerError(TimeoutError):
    """What a signal handler raises: it must not be taken for the error of a call."""


def is_in_destructor(frame):
    """Whether an exception would go nowhere."""
    while frame and frame.f_code.co_name not in ("__del__", "_dropped"):
        frame = frame.f_back
    return frame is not None


def raised_at_every_step(action, check):
    """Call it until it comes through, with an exception one step of the interpreter later each time.

    A trace function raises where a signal handler could: between any two steps of any frame, but for
    those of a destructor, whose exceptions go nowhere. How often it raised comes back.
    """
    action()  # imports are no business of ours
    steps = 0
    while True:
        left = steps

        def trace(frame, event, argument):
            nonlocal left
            if event == "call" and is_in_destructor(frame):
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                left -= 1
                if left < 0:
                    raise HandlerError
            return trace

        raised = False
        sys._getframe().f_trace_opcodes = True  # before, or Python 3.12 does not look
        sys.settrace(trace)
        try:
            action()
        except HandlerError:
            raised = True
        finally:
            sys.settrace(None)
        check()
        assert raised is (left < 0), "what it raised was taken for an error of the call"
        if not raised:
            return steps
        steps += 1


def makers(backend, sock):
    """Each call that makes a descriptor for *owner*, moves or closes it."""

    def move(owner, other):
        backend.now_duplicate(owner, sock)
        backend.now_move(owner, other)

    def close(owner, other):
        backend.now_duplicate(owner, sock)
        owner._close()

    def close_all(owner, other):
        backend.now_duplicate(owner, sock)
        backend.now_duplicate(other, sock)
        backend.close_all([owner, other])

    def map_memory(owner, other):
        backend.memory_create(owner, 100, 0)
        backend.map_memory(owner._number, 100, 0)

    return {
        "duplicate": lambda owner, other: backend.now_duplicate(owner, sock),
        "open": lambda owner, other: backend.fd_open(owner, b"/dev/null", os.O_RDONLY),
        "move": move,
        "close": close,
        "close-all": close_all,
        "eventfd": lambda owner, other: backend.now_eventfd(owner, 0, False),
        "pidfd": lambda owner, other: backend.now_pidfd_open(owner, os.getpid()),
        "pair": lambda owner, other: backend.now_socketpair(backend.STREAM, owner, other),
        "peer": lambda owner, other: backend.now_peer_pidfd(owner, sock),
        "memory": lambda owner, other: backend.memory_create(owner, 100, 0),
        "mapping": map_memory,
    }


CALLS = ["duplicate", "open", "move", "close", "close-all", "eventfd", "pidfd", "pair", "peer", "memory"]


@pytest.mark.parametrize("name", [*CALLS, "mapping"])
def test_a_handler_may_raise_at_any_step_and_nothing_stays_open_or_is_closed_twice(backend, forked, name):
    def try_all():
        warnings.simplefilter("ignore", ResourceWarning)
        kind = owners(backend)
        ours, _theirs = socket.socketpair()
        call = makers(backend, ours.fileno())[name]
        before = opened()
        made = []

        def action():
            made[:] = kind(), kind()
            call(*made)
            made[0]._close()
            made[1]._close()

        def check():
            # These take the numbers of what is closed. Who still owns such a number closes it now.
            marks = [os.open("/dev/zero", os.O_RDONLY) for _ in range(3)]
            made.clear()
            where = {number: os.readlink(f"/proc/self/fd/{number}") for number in opened() - before}
            assert where == dict.fromkeys(marks, "/dev/zero")
            for mark in marks:
                os.close(mark)

        return raised_at_every_step(action, check)

    assert forked(try_all)() > 10


def opened():
    found = set()
    for number in map(int, os.listdir("/proc/self/fd")):
        if is_open(number):  # not the one that listed them
            found.add(number)
    return found


def test_threads_that_close_at_once_close_once(backend, new):
    for _ in range(200):
        reading, writing = os.pipe()
        owner = new(backend)
        assert backend.now_adopt(owner, writing) == 0
        results = []
        gate = threading.Barrier(3)

        def close(owner=owner, gate=gate, results=results):
            gate.wait()
            results.append(owner._close())

        threads = [threading.Thread(target=close) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [0, 0, 0]
        assert at_its_end(reading)
        os.close(reading)
