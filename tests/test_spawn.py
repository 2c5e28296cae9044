"""A child of ours: how it ended, its group, what `close()` does, and what a forked copy must not do."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import select
import signal
import subprocess
import threading
import time
import warnings

import pytest

import pyipc
from pyipc import errors
from pyipc._spawn import OWN_GROUP, Child, spawn

LASTING = "exec sleep 100"  # until it is killed
native = pytest.mark.skipif(
    pyipc.backend() != "native", reason="a signal handler may raise within `subprocess`"
)


@pytest.fixture
def start():
    """Start a shell command; what is left of it is killed and reaped."""
    children = []

    def start(script, **options):
        children.append(spawn(["sh", "-c", script], **options))
        return children[-1]

    yield start
    for child in children:
        with contextlib.suppress(errors.StatusLostError):
            child.close()


@pytest.fixture
def pipe():
    read, write = os.pipe()
    ends = {"read": read, "write": write}
    yield ends
    for number in ends.values():
        if number is not None:
            os.close(number)


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_zombie(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


# ---- how it ended ----


@pytest.mark.parametrize("code", [0, 1, 2, 127, 255])
def test_an_exit_status_is_told_as_often_as_asked(start, code):
    child = start(f"exit {code}")
    ended = child.wait()
    assert (ended.code, ended.signal, ended.status, ended.pid) == (code, None, code, child.pid)
    assert bool(ended) == (code == 0)
    assert child.wait(0) == child.wait(5) == child.poll() == child.exit == ended
    assert not is_there(child.pid)
    child.close()
    assert child.wait() == child.poll() == ended
    assert str(code) in str(ended)


@pytest.mark.parametrize("name", ["TERM", "KILL", "USR1", "SEGV"])
def test_a_signal_is_told(start, name):
    number = getattr(signal, f"SIG{name}")
    child = start(f"ulimit -c 0; kill -{name} $$")
    ended = child.wait()
    assert (ended.code, ended.signal, ended.status) == (None, number, -number)
    assert f"SIG{name}" in str(ended)
    assert not ended


def test_a_child_that_runs_is_waited_for_no_longer_than_asked(start, costs_little):
    child = start(LASTING)
    assert child.poll() is None
    assert child.exit is None
    with pytest.raises(pyipc.WouldBlockError):
        child.wait(0)
    with costs_little():
        began = time.monotonic()
        with pytest.raises(pyipc.TimedOutError, match=f"child {child.pid}"):
            child.wait(0.1)
        assert 0.1 <= time.monotonic() - began < 5
    child.kill()
    assert child.wait().signal == signal.SIGKILL


@pytest.mark.parametrize("timeout", [-1, float("nan"), -0.001])
def test_a_timeout_that_is_none(start, timeout):
    with pytest.raises(ValueError, match="timeout"):
        start("exit").wait(timeout)


def test_it_is_readable_once_it_has_ended(start):
    child = start(LASTING)
    assert select.select([child], [], [], 0)[0] == []
    child.kill()
    assert select.select([child], [], [], 20)[0] == [child]
    assert is_zombie(child.pid)
    child.wait()


def test_signal_handlers_run_while_it_is_waited_for(start, handling):
    seen = []
    child = start(LASTING)
    handling(signal.SIGALRM, lambda *_: seen.append(child.kill()))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    assert child.wait(20).signal == signal.SIGKILL
    assert seen == [None]


def test_threads_that_wait_at_once_are_all_told(start):
    child = start(LASTING)
    ends = []
    threads = [threading.Thread(target=lambda: ends.append(child.wait(20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    child.kill()
    ends.append(child.wait())
    for thread in threads:
        thread.join()
    assert len(ends) == 9
    assert {ended.signal for ended in ends} == {signal.SIGKILL}


def test_closing_it_ends_the_wait_of_another_thread(start, until, asleep):
    child = start(LASTING)
    said = []

    def wait():
        me.append(threading.get_native_id())
        try:
            said.append(child.wait().signal)
        except pyipc.ClosedError:
            said.append("closed")

    me = []
    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: me and asleep(os.getpid(), me[0]))
    child.close()
    thread.join(20)
    # It may see the end, or the handle close: whatever it sees first.
    assert said[0] in (signal.SIGKILL, "closed")
    assert child.exit.signal == signal.SIGKILL


@pytest.mark.parametrize("how", ["poll", "wait", "close"])
def test_a_status_that_somebody_else_has_taken(start, how):
    child = start("exit 3")
    os.waitpid(child.pid, 0)
    with pytest.raises(errors.StatusLostError, match=f"child {child.pid}") as caught:
        getattr(child, how)()
    assert caught.value.errno == errno.ECHILD
    assert isinstance(caught.value, ChildProcessError)
    assert how != "close" or child.closed


def test_where_children_are_ignored_the_status_is_lost(child):
    def ignore(say, _hear):
        import signal

        from pyipc import errors
        from pyipc._spawn import spawn

        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            with spawn(["true"]) as started:
                started.wait(20)
        except (errors.StatusLostError, errors.ProcessGoneError):  # the fallback may find it gone at once
            say("lost")
        with_none = []
        try:
            spawn(["no-such-program"])
        except FileNotFoundError:
            with_none.append(1)
        say(with_none)

    other = child(ignore)
    assert other.hear() == "lost"
    assert other.hear() == [1]


# ---- signals ----


def test_signals_go_to_it_alone_or_to_its_group(start, pipe):
    child = group_of(start, pipe)
    child.send(signal.SIGTERM)
    assert child.wait(20).signal == signal.SIGTERM
    child.send_group(signal.SIGKILL)  # it was waited for: nobody
    child.kill()
    child.close()
    assert select.select([pipe["read"]], [], [], 0.05)[0] == []  # they live
    os.killpg(child.pid, signal.SIGKILL)
    assert os.read(pipe["read"], 1) == b""


def group_of(start, pipe, script="sleep 100 & sleep 100 & wait"):
    """One with children of its own, who all have the other end of the pipe."""
    child = start(
        f"({script}) & echo x; exec sleep 100", process_group=OWN_GROUP, descriptors={1: pipe["write"]}
    )
    os.close(pipe["write"])
    pipe["write"] = None
    assert os.read(pipe["read"], 2) == b"x\n"
    assert select.select([pipe["read"]], [], [], 0)[0] == []
    return child


@pytest.mark.parametrize("how", ["close", "kill"])
def test_its_whole_group_is_killed(start, pipe, how):
    child = group_of(start, pipe)
    getattr(child, how)()
    assert os.read(pipe["read"], 1) == b""  # nobody has the other end
    child.close()


def test_send_group_tells_them_all(start, pipe):
    child = group_of(start, pipe)
    child.send_group(signal.SIGTERM)
    assert os.read(pipe["read"], 1) == b""
    assert child.wait(20).signal == signal.SIGTERM


def test_one_without_a_group_of_its_own_is_told_alone(start):
    child = start(LASTING)
    child.send_group(signal.SIGTERM)  # and not we
    assert child.wait(20).signal == signal.SIGTERM


def test_of_a_child_whose_status_was_taken_no_group_is_killed(start, pipe):
    """Its number may be another group's by now: here, it still is its own, which shows."""
    child = group_of(start, pipe)
    os.kill(child.pid, signal.SIGKILL)
    os.waitpid(child.pid, 0)
    with pytest.raises(errors.StatusLostError):
        child.close()
    assert select.select([pipe["read"]], [], [], 0.05)[0] == []
    os.killpg(child.pid, signal.SIGKILL)
    assert os.read(pipe["read"], 1) == b""


def test_a_signal_for_one_that_has_ended_is_nothing(start):
    child = start("exit 0")
    select.select([child], [], [])
    child.send(signal.SIGTERM)
    child.wait()
    child.send(signal.SIGTERM)
    child.kill()
    child.close()
    child.send(signal.SIGTERM)
    child.kill()


def test_what_is_no_signal(start):
    child = start(LASTING)
    with pytest.raises(pyipc.IPCError):
        child.send(1000)


# ---- closing ----


def test_close_kills_and_reaps(start):
    child = start(LASTING)
    child.close()
    assert child.closed
    assert child.exit.signal == signal.SIGKILL
    assert not is_there(child.pid)
    child.close()
    with pytest.raises(ValueError, match="closed"):
        child.fileno()


def test_a_block_ends_it(start):
    with start(LASTING) as child:
        pass
    assert child.exit.signal == signal.SIGKILL
    assert repr(child) == f"<child {child.pid} was killed by SIGKILL>"


def test_one_that_is_dropped_is_killed_with_a_warning(pipe):
    child = spawn(["sleep", "100"])
    pid = child.pid
    with pytest.warns(ResourceWarning, match=f"child {pid}"):  # noqa: PT031  # collected here, not later
        del child
        gc.collect()
    assert not is_there(pid)
    child = spawn(["true"])
    child.wait()
    child.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del child
        gc.collect()


def test_a_forked_copy_only_lets_go(start, fork):
    child = start(LASTING, process_group=OWN_GROUP)

    def copy(other, child):
        try:
            child.poll()
        except ChildProcessError as problem:
            other.say("another process's" in str(problem))
        child.end()
        child.close()
        other.say(child.closed)

    other = fork(copy, child)
    assert other.hear() is True
    assert other.hear() is True
    assert other.end() == 0
    assert child.poll() is None
    child.kill()
    assert child.wait().signal == signal.SIGKILL


def test_a_forked_copy_of_one_that_is_waited_for_does_not_hang(start, fork, until, asleep):
    child = start(LASTING)
    me = []

    def wait():
        me.append(threading.get_native_id())
        child.wait(20)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: me and asleep(os.getpid(), me[0]))

    def copy(other, child):
        try:
            child.poll()
        except ChildProcessError:
            other.say("it is another's")

    other = fork(copy, child)
    assert other.hear() == "it is another's"
    assert other.end() == 0
    child.kill()
    thread.join(20)


def test_one_that_we_may_not_kill_any_more_is_let_go(child):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def drop_rights(say, _hear):
        import os
        import signal

        from pyipc import errors
        from pyipc._spawn import spawn

        read, write = os.pipe()
        started = spawn(["cat"], descriptors={0: read}, process_group=0)
        os.setresuid(65534, 65534, 65534)
        for call in (lambda: started.send(signal.SIGTERM)), started.kill, started.close:
            try:
                call()
            except errors.AccessError as problem:
                say(f"child {started.pid}" in str(problem))
        say(started.closed)
        os.close(write)  # which ends it
        say(os.waitstatus_to_exitcode(os.waitpid(started.pid, 0)[1]))

    other = child(drop_rights)
    assert [other.hear() for _ in range(5)] == [True, True, True, True, 0]


def test_it_is_no_thing_to_make_or_to_pickle(start):
    import pickle

    with pytest.raises(TypeError):
        Child()
    with pytest.raises(TypeError, match="one parent"):
        pickle.dumps(start("exit"))


# ---- bad input ----


@pytest.fixture
def file(tmp_path):
    def make(text, mode=0o755, name="file"):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
        return tmp_path / name

    return make


def test_a_program_that_is_not_there():
    for program in "no-such-program", "/no/such/program", b"no-such", "./no-such":
        with pytest.raises(pyipc.NotFoundError, match=r"no.such"):
            spawn([program])


def test_a_directory_and_a_file_that_may_not_be_run(tmp_path, file):
    with pytest.raises(pyipc.AccessError, match="it is a directory"):
        spawn([tmp_path])
    with pytest.raises(pyipc.AccessError, match="it is a directory"):
        spawn(["./" + tmp_path.name], directory=tmp_path.parent)
    with pytest.raises(pyipc.AccessError, match="file"):
        spawn([file("#!/bin/sh\n", 0o644)])


def test_scripts(file):
    with spawn([file("#!/bin/sh\nexit 4\n")]) as child:
        assert child.wait().code == 4
    with pytest.raises(pyipc.NotFoundError, match="interpreter"):
        spawn([file("#!/no/such/interpreter\n")])
    with pytest.raises(pyipc.NotFoundError, match="interpreter"):
        spawn(["./file"], directory=file("#!/no/such/interpreter\n").parent)
    with pytest.raises(pyipc.IPCError) as caught:
        spawn([file("exit 4\n")])
    assert caught.value.errno == errno.ENOEXEC


def test_what_no_program_can_be_told(tmp_path):
    for words in ["a\0b"], ["sh", "a\0"], ["sh", b"\0"], [], [""], [b""]:
        with pytest.raises(ValueError, match=r"NUL|program"):
            spawn(words)
    for words in "sh -c x", b"sh", [5], ["sh", None], ["sh", 1.5]:
        with pytest.raises(TypeError):
            spawn(words)
    for env in {"a=b": "c"}, {"": "x"}, {"a": "x\0"}, {"a\0": "x"}:
        with pytest.raises(ValueError, match="variable"):
            spawn(["true"], env=env)
    with pytest.raises(TypeError):
        spawn(["true"], env={"a": 5})
    with pytest.raises(ValueError, match="NUL"):
        spawn(["true"], directory="a\0b")
    for umask in -1, 0o1000, 1 << 40:
        with pytest.raises(ValueError, match="umask"):
            spawn(["true"], umask=umask)
    with pytest.raises(pyipc.NotFoundError, match="no-such-place"):
        spawn(["true"], directory=tmp_path / "no-such-place")


def test_long_lists_of_arguments():
    with spawn(["true", *["x" * 99] * 2048]) as child:  # 200 KiB
        assert child.wait().code == 0
    with pytest.raises(pyipc.LimitError, match="MAX_ARG_STRLEN") as caught:
        spawn(["true", "x" * 200 * 1024])
    assert (caught.value.limit, caught.value.value) == ("MAX_ARG_STRLEN", 131072)
    with pytest.raises(pyipc.LimitError, match="MAX_ARG_STRLEN"):
        spawn(["true"], env={"A": "x" * 200 * 1024})
    with pytest.raises(pyipc.LimitError) as caught:
        spawn(["true", *["x" * 100000] * 80])
    assert caught.value.limit == "ARG_MAX"


def test_no_room_for_descriptors():
    with spawn(["true"]) as child:  # imports what it imports
        child.wait()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(2)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 1, hard))
    try:
        while True:
            try:
                taken.append(os.dup(2))
            except OSError:
                break
        with pytest.raises(pyipc.LimitError) as caught:
            spawn(["true"])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in taken:
            os.close(number)
    assert caught.value.limit == "RLIMIT_NOFILE"


def test_no_room_for_processes(unprivileged):
    def have_none(say, _hear):
        import resource

        import pyipc
        from pyipc._spawn import spawn

        spawn(["true"]).close()
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        try:
            spawn(["true"])
        except pyipc.LimitError as problem:
            say((problem.limit, "true" in str(problem)))

    other = unprivileged(have_none)
    assert other.hear() == ("RLIMIT_NPROC", True)


def test_no_room_for_the_thread_that_lasts(unprivileged):
    """Where it cannot be started, nobody waits for it; and once it can, it is."""

    def have_none(say, _hear):
        import resource
        import threading

        import pyipc
        from pyipc._spawn import spawn

        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        spawn(["true"]).close()
        said = []

        def try_it():
            for _ in range(2):
                resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
                try:
                    spawn(["true"], die_with_parent=True).close()
                except pyipc.LimitError as problem:
                    said.append(problem.limit)
            resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
            with spawn(["true"], die_with_parent=True) as child:
                said.append(child.wait().code)

        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
        say(said)

    other = unprivileged(have_none)
    assert other.hear() == ["RLIMIT_NPROC", "RLIMIT_NPROC", 0]


def test_a_parent_without_standard_descriptors(child):
    def close_them(say, _hear, path):
        import os

        from pyipc._spawn import spawn

        kept = os.dup(1)
        for number in range(3):
            os.close(number)
        script = f'a=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo "$a" >{path}'
        with spawn(["sh", "-c", script]) as started:
            status = started.wait().status
        with open(path) as file:
            said = status, file.read().split()
        os.dup2(kept, 1)
        say(said)

    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        assert child(close_them, file.name, measured=False).hear() == (0, ["/dev/null"] * 3)


# ---- who it is ----


def test_threads_that_change_who_it_is_leave_the_parent_as_it_was(child):
    """The kernel marks the memory that it shares with its parent until it has another program."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def drop_at_once(say, _hear, rounds):
        import threading

        from pyipc._spawn import spawn

        def drop():
            for _ in range(rounds):
                with spawn(["true"], credentials=(65534, 65534, [])) as started:
                    statuses.append(started.wait().status)

        statuses = []
        threads = [threading.Thread(target=drop) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        import ctypes

        say((set(statuses), len(statuses), ctypes.CDLL(None).prctl(3)))  # PR_GET_DUMPABLE

    rounds = 40 if pyipc.backend() == "native" else 5
    assert child(drop_at_once, rounds).hear() == ({0}, 6 * rounds, 1)


# ---- signal handlers that raise, forks among threads ----


@native
def test_handlers_that_raise_at_any_moment_leave_nothing(child):
    def be_interrupted(say, _hear, rounds):
        import contextlib
        import gc
        import os
        import random
        import signal
        import time
        import warnings

        from pyipc._spawn import OWN_GROUP, spawn

        class InterruptedOnceError(Exception):
            pass

        armed = False

        def raise_it(*_):
            nonlocal armed
            if armed:
                armed = False
                raise InterruptedOnceError

        warnings.simplefilter("ignore", ResourceWarning)
        dice = random.Random(5)
        signal.signal(signal.SIGALRM, raise_it)
        spawn(["true"]).close()
        before = len(os.listdir("/proc/self/fd"))
        read, write = os.pipe()
        caught = 0
        for number in range(rounds):
            words = ["sh", "-c", "sleep 100 & echo x; exec sleep 100"] if number % 2 else ["true"]
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, dice.random() * 0.004 + 1e-6)
                # Some by the thread that lasts.
                who = (os.getuid(), -1, None) if number % 3 == 0 else (-1, -1, None)
                with (
                    contextlib.suppress(TimeoutError),
                    spawn(words, process_group=OWN_GROUP, descriptors={1: write}, credentials=who) as started,
                ):
                    if number % 4 < 2:
                        started.wait(0.002)
                    else:
                        started.poll()
                armed = False
            except InterruptedOnceError:
                caught += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            started = None
        gc.collect()
        patience = time.monotonic() + 10
        while True:  # the other thread may be about to undo what nobody wants any more
            try:
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if time.monotonic() > patience:
                say("a child is left")
                break
        os.close(write)
        while os.read(read, 65536):  # as long as somebody, a grandchild too, has the other end
            pass
        os.close(read)
        say((caught > rounds // 20, len(os.listdir("/proc/self/fd")) - before))

    assert child(be_interrupted, 400, measured=False).hear() == (True, 0)


@pytest.mark.skipif(pyipc.backend() != "native", reason="`subprocess` runs Python in a fork, among threads")
def test_threads_spawn_while_others_fork(child):
    def be_busy(say, _hear):
        import os
        import threading
        import warnings

        from pyipc._spawn import spawn

        warnings.simplefilter("ignore")  # a fork among threads
        wrong = []

        def work(number):
            for i in range(20):
                with spawn(["sh", "-c", f"exit {number + i}"], die_with_parent=True) as started:
                    if started.wait(20).code != number + i:
                        wrong.append(started)

        threads = [threading.Thread(target=work, args=(n * 30,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                try:
                    with spawn(["sh", "-c", "exit 9"], die_with_parent=True) as started:
                        os._exit(started.wait(20).code)
                finally:
                    os._exit(1)
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 9:
                wrong.append(pid)
        for thread in threads:
            thread.join()
        say(len(wrong))

    assert child(be_busy, measured=False).hear() == 0


def test_others_children_are_theirs(start):
    """Of `subprocess` and whoever else: nobody else's are reaped, and ours by nobody else."""
    others = [subprocess.Popen(["sh", "-c", f"exit {n}"]) for n in range(20)]
    ours = [start(f"exit {n}") for n in range(20)]
    assert [child.wait().code for child in ours] == list(range(20))
    assert [popen.wait() for popen in others] == list(range(20))


def test_many_that_end_at_once(start):
    children = [start(LASTING) for _ in range(50)]
    for child in children:
        child.kill()
    assert {child.wait(20).signal for child in children} == {signal.SIGKILL}
