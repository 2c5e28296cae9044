"""Processes by descriptor: who it is, how it ended, and that it is never somebody else."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time

import pytest

import pyipc
from pyipc import fds
from pyipc._pidfd import Pidfd

NOBODY = 65534
NO_PID = 2**22 + 1  # above the kernel's PID_MAX_LIMIT


@pytest.fixture
def start():
    """Start a shell command as a child of ours; what is left of it is killed and reaped."""
    pids = []

    def start(script):
        pids.append(os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ))
        return pids[-1]

    yield start
    for pid in pids:
        with contextlib.suppress(ChildProcessError):  # reaped already
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


LASTING = "exec sleep 100"  # until it is killed


@pytest.fixture
def running(start):
    """A pidfd of a child that runs until it is killed."""
    with Pidfd.open(start(LASTING)) as pidfd:
        yield pidfd


def is_zombie(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


# ---- who it is ----


def test_a_pidfd_is_of_the_process_that_has_the_pid(start):
    pid = start(LASTING)
    with Pidfd.open(pid) as pidfd:
        assert pidfd.pid == pid
        assert "pidfd" in os.readlink(f"/proc/self/fd/{pidfd.fileno()}")
        assert not os.get_inheritable(pidfd.fileno())
        assert repr(pidfd) == f"<pidfd {pidfd.fileno()}>"
    with Pidfd.open(os.getpid()) as me:
        assert me.pid == os.getpid()


@pytest.mark.parametrize("pid", [0, -1, 2**31, 2**64, -(2**70)])
def test_what_is_no_pid_is_a_value_error(pid):
    with pytest.raises(ValueError, match=str(pid)):
        Pidfd.open(pid)


@pytest.mark.parametrize("pid", ["1", 1.5, None, b"1"])
def test_a_pid_that_is_no_number_is_a_type_error(pid):
    with pytest.raises(TypeError):
        Pidfd.open(pid)


def test_who_does_not_exist_is_a_process_gone_error():
    with pytest.raises(pyipc.ProcessGoneError, match=str(NO_PID)) as caught:
        Pidfd.open(NO_PID)
    assert isinstance(caught.value, ProcessLookupError)


def test_once_it_was_reaped_it_has_no_pid_and_is_nobody_else(running):
    pid = running.pid
    running.send(signal.SIGKILL)
    assert running.reap(20) == -signal.SIGKILL
    assert running.pid == -1
    with pytest.raises(pyipc.ProcessGoneError):
        running.send(0)
    with pytest.raises(pyipc.ProcessGoneError):
        os.close(Pidfd.open(pid).detach())


def test_what_is_no_pidfd_has_no_pid_and_no_process():
    with Pidfd(os.open("/dev/null", os.O_RDONLY)) as wrong:
        for ask in lambda: wrong.pid, lambda: wrong.send(0), lambda: wrong.reap(0):
            with pytest.raises(pyipc.IPCError) as caught:
                ask()
            assert caught.value.errno == errno.EINVAL


# ---- signals ----


def wait_for_a_signal(say, hear):
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    say("blocked")
    say(int(signal.sigwait({signal.SIGUSR1})))


@pytest.mark.parametrize("number", [signal.SIGUSR1, int(signal.SIGUSR1)])
def test_a_signal_comes_and_zero_sends_none(child, number):
    other = child(wait_for_a_signal)
    assert other.hear() == "blocked"
    with Pidfd.open(other.pid) as pidfd:
        pidfd.send(0)
        pidfd.send(number)
        assert other.hear() == signal.SIGUSR1
        assert other.end() == 0
        with pytest.raises(pyipc.ProcessGoneError, match="send signal 10"):
            pidfd.send(signal.SIGUSR1)


@pytest.mark.parametrize("number", [-1, 65, 1 << 40])
def test_a_signal_that_does_not_exist_is_an_error(running, number):
    with pytest.raises(ValueError, match=str(number)):
        running.send(number)
    for wrong in "9", None, 9.0:
        with pytest.raises(TypeError):
            running.send(wrong)
    with pytest.raises(pyipc.WouldBlockError):
        running.wait(0)


def signal_a_stranger(say, hear, pid, user):
    import os
    import signal  # noqa: F401  # while its file can still be read

    import pyipc
    from pyipc import fds

    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    with fds.Pidfd.open(pid) as pidfd:
        for attempt in lambda: pidfd.send(0), lambda: pidfd.send(9), lambda: pidfd.getfd(0):
            try:
                attempt()
            except pyipc.AccessError as problem:
                say(str(problem))
            except pyipc.UnsupportedError:
                say("Operation not permitted (nor anywhere on this backend)")
        try:
            pidfd.wait(0.01)
        except pyipc.TimedOutError:
            say("waited")


def test_of_somebody_elses_process_only_the_end_can_be_had(child, start):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    pid = start(LASTING)
    other = child(signal_a_stranger, pid, NOBODY)
    for _ in range(3):
        assert "not permitted" in other.hear()
    assert other.hear() == "waited"
    assert other.end() == 0
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)


# ---- how it ended ----


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -TERM $$", -signal.SIGTERM),
        ("kill -KILL $$", -signal.SIGKILL),
        ("ulimit -c 0; kill -SEGV $$", -signal.SIGSEGV),
    ],
)
def test_how_it_ended_is_told_as_often_as_asked_and_reaped_once(start, script, status):
    pid = start(script)
    with Pidfd.open(pid) as pidfd:
        assert [pidfd.wait(20.0), pidfd.wait(), pidfd.wait(0)] == [status] * 3
        assert is_zombie(pid)  # it was left for whoever reaps it
        assert pidfd.reap(0) == status
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        assert pidfd.wait(0) is None
        with pytest.raises(pyipc.IPCError, match="reap") as caught:
            pidfd.reap(0)
        assert caught.value.errno == errno.ECHILD


def test_reaping_by_others_still_works_after_a_wait(start):
    pid = start("exit 9")
    with Pidfd.open(pid) as pidfd:
        assert pidfd.wait(20) == 9
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        assert pidfd.wait(20) is None


def test_who_is_stopped_has_not_ended(running):
    running.send(signal.SIGSTOP)
    with pytest.raises(pyipc.TimedOutError):
        running.wait(0.02)
    with pytest.raises(pyipc.WouldBlockError):
        running.reap(0)


def start_a_grandchild(say, hear):
    import os

    pid = os.fork()
    if not pid:
        hear()
        os._exit(5)
    say(pid)
    say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def test_the_end_of_a_grandchild_can_be_waited_for_and_is_its_parents_to_know(child):
    other = child(start_a_grandchild)
    with Pidfd.open(other.hear()) as pidfd:
        with pytest.raises(pyipc.TimedOutError):
            pidfd.wait(0.02)
        other.say("end")
        assert pidfd.wait(20) is None
        with pytest.raises(pyipc.IPCError) as caught:
            pidfd.reap(20)
        assert caught.value.errno == errno.ECHILD
    assert other.hear() == 5
    assert other.end() == 0


# ---- waiting ----


@pytest.mark.parametrize("seconds", [0.0001, 0.02, 0.3])
@pytest.mark.parametrize("name", ["wait", "reap"])
def test_a_timeout_is_never_early_and_hardly_late_and_costs_little(running, name, seconds, costs_little):
    started = time.monotonic()
    with costs_little(), pytest.raises(pyipc.TimedOutError, match=f"pidfd {running.fileno()}"):
        getattr(running, name)(seconds)
    took = time.monotonic() - started
    assert seconds <= took < seconds + 0.5  # on a busy machine; the benchmarks measure
    with pytest.raises(pyipc.WouldBlockError):
        getattr(running, name)(0)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_timeout_that_makes_no_sense_is_a_value_error_whether_it_runs_or_not(running, seconds):
    for _ in range(2):
        for call in running.wait, running.reap:
            with pytest.raises(ValueError, match="timeout"):
                call(seconds)
        running.send(signal.SIGKILL)
        running.wait()


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_a_wait_ends_with_the_process(running, timeout, waiter, until, asleep):
    waiters = [waiter(lambda: running.wait(timeout)) for _ in range(3)]
    for waiting in waiters:
        until(lambda waiting=waiting: asleep(os.getpid(), waiting.native_id))
    running.send(signal.SIGTERM)
    for waiting in waiters:
        waiting.join()
        assert waiting.outcome == -signal.SIGTERM


@pytest.mark.parametrize("timeout", [None, 20.0])
@pytest.mark.parametrize("name", ["wait", "reap"])
def test_closing_in_another_thread_ends_a_wait(running, waiter, name, timeout, until, asleep):
    waiting = waiter(lambda: getattr(running, name)(timeout))
    until(lambda: asleep(os.getpid(), waiting.native_id))
    started = time.monotonic()
    running.close()
    waiting.join()
    assert type(waiting.outcome) is pyipc.ClosedError
    assert "pidfd" in str(waiting.outcome)
    assert time.monotonic() - started < 5


def test_handlers_run_during_a_wait_and_may_end_it(running, ringing):
    came = []

    def late(*_):
        came.append(1)
        if len(came) == 10:
            raise ZeroDivisionError

    old = signal.signal(signal.SIGALRM, late)
    try:
        with pytest.raises(ZeroDivisionError), ringing(0.01, 0.01):
            running.wait()
        signal.signal(signal.SIGALRM, lambda *_: running.send(signal.SIGTERM))
        with ringing(0.01):
            assert running.wait() == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGALRM, old)


def test_it_is_readable_once_the_process_has_ended(running):
    poll = select.poll()
    poll.register(running, select.POLLIN)
    assert select.select([running], [], [], 0)[0] == []
    assert poll.poll(0) == []
    running.send(signal.SIGKILL)
    assert select.select([running], [], [], 20)[0] == [running]
    assert poll.poll(20_000)[0][0] == running.fileno()
    assert running.reap(0) == -signal.SIGKILL


# ---- descriptors of that process ----


def open_a_pipe(say, hear):
    import os

    reading, writing = os.pipe()
    say((reading, writing))
    hear()
    os.close(writing)
    say(os.read(reading, 100))
    say(os.read(reading, 100))  # waits until the last copy is closed


@pytest.mark.needs("fds.pidfd_getfd")
def test_a_copy_of_its_descriptor_leads_where_that_leads(child):
    other = child(open_a_pipe)
    _, writing = other.hear()
    with Pidfd.open(other.pid) as pidfd:
        try:
            copy = pidfd.getfd(writing)
        except (pyipc.AccessError, pyipc.UnsupportedError) as problem:
            pytest.skip(f"not to be had here: {problem}")
        assert type(copy) is fds.Handle
        assert not os.get_inheritable(copy.fileno())
        other.say("close")
        with copy:
            os.write(copy.fileno(), b"into its pipe")
            assert other.hear() == b"into its pipe"
        assert other.hear() == b""
        assert other.end() == 0
        with pytest.raises(pyipc.ProcessGoneError):
            pidfd.getfd(writing)


@pytest.mark.needs("fds.pidfd_getfd")
@pytest.mark.parametrize("number", [1000, 2**31 - 1])
def test_a_descriptor_that_it_does_not_have_is_a_not_found_error(running, number):
    with pytest.raises(pyipc.NotFoundError, match=str(number)):
        running.getfd(number)


def test_a_backend_that_cannot_copy_descriptors_says_so(running):
    if pyipc.capabilities()["fds.pidfd_getfd"]:
        pytest.skip("this one can")
    with pytest.raises(pyipc.UnsupportedError):
        running.getfd(0)


# ---- received ----


def test_a_pidfd_that_was_received_is_as_good(start):
    ours, theirs = fds.socketpair()
    pid = start(LASTING)
    with ours, theirs:
        with Pidfd.open(pid) as pidfd:
            fds.send(ours, b"x", [pidfd])
        with fds.receive(theirs) as message, Pidfd(message.fds[0]) as received:
            assert message.fds[0].closed
            assert received.pid == pid
            received.send(signal.SIGTERM)
            assert received.reap(20) == -signal.SIGTERM


def test_who_is_no_child_is_not_waited_for():
    with _pidfd_of_parent() as pidfd, pytest.raises(pyipc.IPCError) as caught:
        pidfd.reap()
    assert caught.value.errno == errno.ECHILD


def _pidfd_of_parent():
    return Pidfd.open(os.getppid())
