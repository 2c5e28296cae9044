"""A lock that is a file: who has it, who waits for it, and what becomes of it when processes fork and die."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import signal
import stat
import tempfile
import threading
import time
from errno import ENOTSUP
from pathlib import Path

import pytest

import pyipc
from pyipc._backend import ops
from pyipc.sync import FileLock

pytestmark = pytest.mark.timeout(30)

PATIENCE = 20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def handling():
    """Handle SIGALRM with a function, until the test ends."""
    old = signal.getsignal(signal.SIGALRM)
    yield lambda handler: signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


class Waiter(threading.Thread):
    """A thread in a call, and what came of it."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self.call, self.outcome = call, None
        self.start()

    def run(self):
        try:
            self.outcome = self.call()
        except BaseException as problem:
            self.outcome = problem

    def result(self):
        self.join(PATIENCE)
        assert not self.is_alive()
        return self.outcome


def is_free(path):
    """What a handle of nobody here says."""
    with_lock = FileLock(path)
    free = with_lock.acquire(False)
    with_lock.close()
    return free


def waits(lock):
    """Whether a thread of ours waits for it in the kernel, or between two tries."""
    return len(lock._waiting) > 0


# ---- the file ----


def test_the_file_is_made_with_exactly_its_mode_and_stays(path):
    old = os.umask(0o077)
    try:
        lock = FileLock(path, 0o664)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o664
    lock.close()
    path.chmod(0o640)
    with FileLock(path, 0o600):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640  # one that is there keeps its own
    assert path.stat().st_size == 0


def test_by_default_it_is_its_owners_alone(path):
    FileLock(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("elsewhere", path)])
def test_what_is_no_regular_file_is_refused(path, make):
    make(path)
    with pytest.raises(pyipc.IPCError, match="lock"):
        FileLock(path)
    assert sorted(os.listdir(path.parent)) == ["lock"]


def test_a_directory_that_is_not_there_is_named(path):
    with pytest.raises(pyipc.NotFoundError, match="nowhere"):
        FileLock(path.parent / "nowhere" / "lock")


@pytest.mark.parametrize("wrong", [-1, 0o1000, 0o7777])
def test_a_mode_out_of_range_is_a_value_error(path, wrong):
    with pytest.raises(ValueError, match="mode"):
        FileLock(path, wrong)
    assert not path.exists()


def test_arguments_of_other_kinds_are_errors(path):
    with pytest.raises(TypeError):
        FileLock(3)
    with pytest.raises(TypeError):
        FileLock(path, "0600")
    with pytest.raises(ValueError, match="NUL"):
        FileLock(f"{path}\0x")
    assert not path.exists()


def test_a_path_may_be_of_any_kind_and_is_made_absolute(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    for given in "lock", b"lock", path, os.fspath(path):
        lock = FileLock(given)
        assert os.fsdecode(lock.path) == os.fspath(path)
        assert os.fspath(path) in repr(lock)
        lock.close()


# ---- one has it ----


def test_two_handles_exclude_each_other(path):
    one, two = FileLock(path), FileLock(path)
    assert one.acquire() is True
    assert two.acquire(False) is False
    assert two.acquire(timeout=0) is False
    assert two.acquire(True, -3) is False  # as multiprocessing has it
    assert two.acquire(timeout=0.01) is False
    one.release()
    assert two.acquire(False) is True
    assert one.acquire(False) is False
    two.release()
    one.close()
    two.close()


def test_it_is_not_recursive(path):
    lock = FileLock(path)
    with lock as same:
        assert same is lock
        assert lock.acquire(False) is False
        assert lock.acquire(timeout=0.02) is False
    assert is_free(path)
    lock.close()


def test_only_who_has_it_can_release_it(path):
    one, two = FileLock(path), FileLock(path)
    with one:
        with pytest.raises(ValueError, match="not acquired"):
            two.release()
        assert not is_free(path)
    with pytest.raises(ValueError, match="not acquired"):
        one.release()
    one.close()
    two.close()


def test_a_block_releases_it_whatever_happens(path):
    lock = FileLock(path)

    def fail():
        with lock:
            assert not is_free(path)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert is_free(path)
    lock.close()


@pytest.mark.parametrize("handles", ["one", "each its own"])
def test_threads_exclude_each_other(path, handles):
    together = FileLock(path)
    inside, most = [], []

    def work():
        lock = together if handles == "one" else FileLock(path)
        for i in range(50):
            assert lock.acquire(timeout=None if i % 2 else PATIENCE)
            inside.append(1)
            most.append(len(inside))
            time.sleep(0)  # let another one in, if it can
            inside.pop()
            lock.release()
        return "done"

    threads = [Waiter(work) for _ in range(4)]
    assert [thread.result() for thread in threads] == ["done"] * 4
    assert len(most) == 200
    assert max(most) == 1
    together.close()


def test_another_thread_may_release_it(path):
    lock = FileLock(path)
    lock.acquire()
    assert Waiter(lock.release).result() is None
    assert is_free(path)
    lock.close()


def test_any_number_share_it_and_exclude_who_does_not(path):
    alone = FileLock(path)
    one, two = FileLock(path, shared=True), FileLock(path, shared=True)
    with one, two:
        assert alone.acquire(False) is False
    with alone:
        assert one.acquire(False) is False
        assert "shared" in repr(one)
    for lock in alone, one, two:
        lock.close()


# ---- other processes ----


def hold(say, hear, path):
    from pyipc.sync import FileLock

    lock = FileLock(path)
    say(lock.acquire(timeout=20))
    hear()
    lock.release()
    say("released")
    hear()


def test_another_process_has_it_until_it_releases_it(path, child):
    other = child(hold, str(path))
    assert other.hear() is True
    lock = FileLock(path)
    assert lock.acquire(timeout=0.02) is False
    other.say()
    assert other.hear() == "released"
    assert lock.acquire(False) is True
    lock.close()
    other.say()
    assert other.end() == 0


@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_a_killed_holder_has_it_no_more(path, child, until, timeout):
    other = child(hold, str(path))
    assert other.hear() is True
    lock = FileLock(path)
    waiting = Waiter(lambda: lock.acquire(timeout=timeout))
    until(lambda: waits(lock))
    started = time.monotonic()
    other.kill()
    assert waiting.result() is True
    assert time.monotonic() - started < 5
    lock.close()
    other.end()


def count(say, hear, path, number, rounds):
    from pathlib import Path

    from pyipc.sync import FileLock

    lock, number = FileLock(path), Path(number)
    for _ in range(rounds):
        with lock:
            number.write_text(str(int(number.read_text()) + 1))
    say("done")


def test_processes_that_take_turns_lose_nothing(path, child, tmp_path):
    number = tmp_path / "number"
    number.write_text("0")
    others = [child(count, str(path), str(number), 200) for _ in range(3)]
    assert [other.hear() for other in others] == ["done"] * 3
    assert number.read_text() == "600"
    assert [other.end() for other in others] == [0] * 3


def use_what_others_own(say, hear, path, mode):
    import pyipc
    from pyipc.sync import FileLock

    try:
        lock = FileLock(path)
    except pyipc.IPCError as problem:
        say(type(problem).__name__)
        return
    say(lock.acquire(timeout=0))
    lock.close()


@pytest.fixture
def open_to_all():
    """A directory as /tmp is one."""
    directory = tempfile.mkdtemp(prefix="pyipc-test-")
    os.chmod(directory, 0o1777)
    yield Path(directory)
    shutil.rmtree(directory)


@pytest.mark.parametrize(("mode", "answer"), [(0o600, "AccessError"), (0o666, True)])
def test_an_ordinary_user_may_what_the_mode_says(open_to_all, unprivileged, mode, answer):
    """In a directory like /tmp too, where the kernel refuses O_CREAT of what others have made."""
    path = open_to_all / "lock"
    FileLock(path, mode).close()
    other = unprivileged(use_what_others_own, str(path), mode)
    assert other.hear() == answer
    assert other.end() == 0


def share_what_may_only_be_read(say, hear, path):
    import pyipc
    from pyipc.sync import FileLock

    shared = FileLock(path, shared=True)
    say(shared.acquire(timeout=0))
    try:
        FileLock(path)
    except pyipc.AccessError:
        say("refused")
    shared.close()


def test_to_share_it_one_need_only_read(open_to_all, unprivileged):
    path = open_to_all / "lock"
    FileLock(path, 0o644).close()
    other = unprivileged(share_what_may_only_be_read, str(path))
    assert other.hear() is True
    assert other.hear() == "refused"
    assert other.end() == 0


# ---- waiting ----


@pytest.mark.parametrize("seconds", [0.001, 0.05, 0.3])
def test_a_timeout_is_never_early_and_hardly_late_and_costs_little(path, seconds, costs_little):
    one, two = FileLock(path), FileLock(path)
    with one:
        for lock in one, two:  # one waits for its turn, the other for the lock
            started = time.monotonic()
            with costs_little():
                assert lock.acquire(timeout=seconds) is False
            assert seconds <= time.monotonic() - started < seconds + 0.5
    one.close()
    two.close()


def test_a_timeout_that_is_no_number_is_an_error_and_leaves_it_free(path):
    lock = FileLock(path)
    with lock:
        other = FileLock(path)
        assert other.acquire(timeout=float("nan")) is False  # which is no time to wait
        with pytest.raises(TypeError):
            other.acquire(timeout="1")
        other.close()
    assert is_free(path)
    lock.close()


@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_a_wait_ends_with_the_lock(path, timeout, until):
    one, two = FileLock(path), FileLock(path)
    one.acquire()
    waiting = Waiter(lambda: two.acquire(timeout=timeout))
    until(lambda: waits(two))
    one.release()
    assert waiting.result() is True
    assert not is_free(path)
    one.close()
    two.close()


@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_closing_wakes_those_who_wait(path, timeout, until):
    one, two = FileLock(path), FileLock(path)
    one.acquire()
    waiting = [Waiter(lambda: two.acquire(timeout=timeout)) for _ in range(3)]  # two of them for their turn
    until(lambda: waits(two))
    started = time.monotonic()
    two.close()
    for waiter in waiting:
        assert type(waiter.result()) is pyipc.ClosedError
    assert time.monotonic() - started < 5
    one.close()
    assert is_free(path)


def test_closing_wakes_at_once_who_waits_for_a_turn(path, until):
    lock = FileLock(path)
    lock.acquire()
    took = 0
    for _ in range(3):
        waiting = Waiter(lock.acquire)
        time.sleep(0.01)  # it may sleep by now; else it finds it closed, which is as good
        started = time.monotonic()
        lock.close()
        assert type(waiting.result()) is pyipc.ClosedError
        took += time.monotonic() - started
        lock = FileLock(path)
        assert lock.acquire(False)  # close() has released it
    assert took < 1.5
    lock.close()


def test_a_closed_one_is_refused(path):
    lock = FileLock(path)
    assert not lock.closed
    lock.close()
    lock.close()
    assert lock.closed
    assert "closed" in repr(lock)
    for call in lock.acquire, lambda: lock.acquire(False), lambda: lock.acquire(timeout=1), lock.release:
        with pytest.raises(pyipc.ClosedError):
            call()


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_a_handler_runs_during_a_wait_and_may_end_it(path, handling, ringing, timeout):
    one, two = FileLock(path), FileLock(path)
    came = []
    with one:
        handling(lambda *_: came.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        assert two.acquire(timeout=0.2) is False
        assert len(came) > 3
        signal.setitimer(signal.ITIMER_REAL, 0)

        def late(*_):
            raise ZeroDivisionError

        handling(late)
        for lock in two, one:
            with pytest.raises(ZeroDivisionError), ringing(0.01):
                lock.acquire(timeout=timeout)
    assert two.acquire(False) is True  # and not one who has left
    one.close()
    two.close()


def test_a_filesystem_without_such_locks_says_so(path, monkeypatch):
    lock = FileLock(path)
    for name in "lock_file", "now_lock_file":
        monkeypatch.setattr(ops, name, lambda *_: -ENOTSUP)
    with pytest.raises(pyipc.UnsupportedError, match="filesystem"):
        lock.acquire()
    monkeypatch.undo()
    assert lock.acquire(False) is True
    lock.close()


# ---- forks and pickles ----


def fork(function):
    """Run it in a fork of ours, which ends with what it gives for true."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if function() else 1
        finally:
            os._exit(status)
    return pid


def ended_well(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_forked_child_has_a_handle_and_not_the_lock(path):
    lock = FileLock(path)
    lock.acquire()

    def look():
        with pytest.raises(ValueError, match="not acquired"):
            lock.release()
        assert lock.acquire(timeout=0.02) is False
        lock.close()
        return lock.closed

    assert ended_well(fork(look))
    assert not is_free(path)
    lock.release()
    assert is_free(path)
    lock.close()


def test_a_forked_child_can_take_it(path):
    lock = FileLock(path)
    lock.acquire()
    ready, said = os.pipe()
    pid = fork(lambda: os.write(said, b"x") and lock.acquire(timeout=PATIENCE) and not is_free(path))
    os.read(ready, 1)
    lock.release()
    assert ended_well(pid)
    assert is_free(path)
    lock.close()
    os.close(ready)
    os.close(said)


def die_with_it_and_a_child(say, hear, path):
    import os

    from pyipc.sync import FileLock

    lock = FileLock(path)
    lock.acquire()
    pid = os.fork()
    if pid == 0:
        say(os.getpid())
        hear()
        os._exit(0)
    os.kill(os.getpid(), 9)


def test_a_child_that_lives_on_does_not_keep_the_lock_of_its_dead_parent(path, child, until):
    other = child(die_with_it_and_a_child, str(path), measured=False)
    pid = other.hear()
    until(lambda: is_free(path))
    assert Path(f"/proc/{pid}").exists()  # it is alive, and has the file open
    other.say()
    other.end()


def test_a_fork_during_a_wait_does_not_wait_in_the_child(path, until):
    one, two = FileLock(path), FileLock(path)
    one.acquire()
    waiting = Waiter(lambda: two.acquire(timeout=PATIENCE))
    until(lambda: waits(two))
    assert ended_well(fork(lambda: two.acquire(timeout=0.02) is False and two.close() is None))
    one.release()
    assert waiting.result() is True
    one.close()
    two.close()


def test_a_pickle_is_another_handle_on_the_same_path(path):
    lock = FileLock(path, 0o640, shared=True)
    with lock:
        twin = pickle.loads(pickle.dumps(lock))
        assert (twin.path, twin.shared) == (lock.path, True)
        assert twin.acquire(False) is True
        assert FileLock(path).acquire(False) is False
        twin.close()
    lock.close()
    path.unlink()
    pickle.loads(pickle.dumps(lock)).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_who_drops_it_lets_go_of_it(path):
    lock = FileLock(path)
    lock.acquire()
    del lock
    gc.collect()
    assert is_free(path)


def test_a_handler_that_raises_just_as_it_was_taken_leaves_it_free(path, monkeypatch):
    lock, real = FileLock(path), ops.lock_file

    def interrupted(number, shared, *_):
        assert real(number, shared, 0, 0) == 0
        raise KeyboardInterrupt

    for name in "lock_file", "now_lock_file":
        monkeypatch.setattr(ops, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        lock.acquire()
    monkeypatch.undo()
    assert is_free(path)
    assert lock.acquire(False) is True
    lock.close()
