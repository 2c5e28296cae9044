"""Children that end: all of ours are reaped, none of anybody else's; at any number, at any moment."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import threading
import time

import pytest

import pyipc
from pyipc import signals

pytestmark = pytest.mark.timeout(40)


@pytest.fixture
def reaper():
    with signals.Reaper() as one:
        yield one


@pytest.fixture
def start():
    """A forked child that ends, with a status or by a signal, once it is let go; what is left is reaped."""
    pids, ends = [], {}

    def begin(status=0, number=None):
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.close(writing)
                for other in ends.values():
                    os.close(other)
                os.read(reading, 1)
                if number:
                    os.kill(os.getpid(), number)
            finally:
                os._exit(status)
        os.close(reading)
        pids.append(pid)
        ends[pid] = writing
        return pid

    def let_go(pid):
        os.close(ends.pop(pid))

    begin.let_go = let_go
    yield begin
    for writing in ends.values():
        os.close(writing)
    for pid in pids:
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            continue


def is_child(pid):
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def test_each_end_is_told_as_it_was(reaper, start):
    wanted = {}
    for status, number in (0, None), (7, None), (255, None), (0, signal.SIGTERM), (0, signal.SIGKILL):
        pid = start(status, number)
        assert reaper.add(pid) == pid
        wanted[pid] = -number if number else status
    assert len(reaper) == 5
    with pytest.raises(pyipc.WouldBlockError):
        reaper.wait(0)
    for pid in wanted:
        start.let_go(pid)
    ends = list(reaper)
    assert {end.pid: end.status for end in ends} == wanted
    assert {(end.code, end.signal) for end in ends if end.signal} == {(None, 15), (None, 9)}
    assert {(end.code, end.signal) for end in ends if not end.signal} == {(0, None), (7, None), (255, None)}
    assert not any(map(is_child, wanted))
    assert len(reaper) == 0


def test_one_that_has_ended_before_it_is_added_is_not_lost(reaper, start, ended):
    pid = start(3)
    start.let_go(pid)
    ended(pid)
    reaper.add(pid)
    assert reaper.wait(5).code == 3


def test_a_pidfd_stays_the_caller_s(reaper, start):
    pid = start(4)
    with signals.Pidfd.open(pid) as pidfd:
        assert reaper.add(pidfd) == pid
        assert pid in reaper
        start.let_go(pid)
        assert reaper.wait(5).code == 4
        assert not pidfd.closed
        with pytest.raises(pyipc.IPCError) as caught:
            reaper.add(pidfd)
        assert type(caught.value) is pyipc.IPCError


def test_who_is_no_child_is_refused(reaper, start):
    for pid in os.getpid(), os.getppid(), 2**31 - 1:
        with pytest.raises(pyipc.IPCError, match=f"reap process {pid}") as caught:
            reaper.add(pid)
        assert caught.value.errno == 10
    for wrong in 0, -1, 2**31:
        with pytest.raises(ValueError, match="a pid is"):
            reaper.add(wrong)
    pid = start()
    reaper.add(pid)
    with pytest.raises(ValueError, match="added before"):
        reaper.add(pid)
    assert len(reaper) == 1


def test_without_children_there_is_nothing_to_wait_for(reaper):
    for timeout in None, 0, 1.0:
        with pytest.raises(pyipc.IPCError, match="No child") as caught:
            reaper.wait(timeout)
        assert caught.value.errno == 10
    assert list(reaper) == []


def test_a_timeout_is_a_timeout_and_costs_little(reaper, start, costs_little):
    reaper.add(start())
    began = time.monotonic()
    with costs_little(), pytest.raises(pyipc.TimedOutError):
        reaper.wait(0.2)
    assert time.monotonic() - began >= 0.2
    for wrong in -1, float("nan"):
        with pytest.raises(ValueError, match="timeout"):
            reaper.wait(wrong)


def test_a_status_that_somebody_has_stolen_is_an_error_and_the_others_go_on(reaper, start):
    stolen, kept = start(1), start(2)
    reaper.add(stolen)
    reaper.add(kept)
    start.let_go(stolen)
    assert os.waitpid(stolen, 0)[0] == stolen  # a library that has never heard of us
    with pytest.raises(pyipc.StatusLostError, match=str(stolen)) as caught:
        reaper.wait(5)
    assert (caught.value.pid, caught.value.errno) == (stolen, 10)
    assert isinstance(caught.value, ChildProcessError)
    start.let_go(kept)
    assert reaper.wait(5).code == 2


def test_where_children_are_ignored_the_kernel_keeps_no_status(reaper, start, handling):
    handling(signal.SIGCHLD, signal.SIG_IGN)
    pid = start(1)
    reaper.add(pid)
    start.let_go(pid)
    with pytest.raises(pyipc.StatusLostError):
        reaper.wait(5)


def test_it_can_be_selected_on(reaper, start):
    pids = start(1), start(2)
    for pid in pids:
        reaper.add(pid)
    assert select.select([reaper], [], [], 0)[0] == []
    assert pyipc.wait([reaper], 0) == []
    start.let_go(pids[0])
    assert select.select([reaper], [], [], 5)[0] == [reaper]
    assert pyipc.wait([reaper], 5) == [reaper]
    assert reaper.wait(0).pid == pids[0]
    assert select.select([reaper], [], [], 0)[0] == []
    start.let_go(pids[1])
    assert pyipc.wait([reaper], 5) == [reaper]
    assert reaper.wait(0).pid == pids[1]


def test_closing_leaves_the_children_and_ends_waits(start, asleep, until):
    reaper = signals.Reaper()
    pid = start(3)
    reaper.add(pid)
    outcome = []

    def work():
        try:
            reaper.wait()
        except Exception as problem:  # the test looks at which it is
            outcome.append(problem)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: asleep(os.getpid(), thread.native_id))
    reaper.close()
    reaper.close()
    thread.join()
    assert type(outcome[0]) is pyipc.ClosedError
    for call in reaper.wait, reaper.fileno, lambda: reaper.add(pid):
        with pytest.raises(pyipc.ClosedError):
            call()
    assert repr(reaper) == "<reaper closed>"
    start.let_go(pid)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_threads_share_the_work(reaper, start):
    pids = [start(number % 200) for number in range(60)]
    for pid in pids:
        reaper.add(pid)
    ends = []
    threads = [threading.Thread(target=lambda: ends.extend(reaper)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for pid in pids:
        start.let_go(pid)
    for thread in threads:
        thread.join()
    assert sorted((end.pid, end.code) for end in ends) == sorted((pid, n % 200) for n, pid in enumerate(pids))


def test_a_forked_child_has_no_part_in_it(reaper, start, fork):
    pid = start(6)
    reaper.add(pid)

    def try_it(side):
        try:
            reaper.wait(0)
        except pyipc.IPCError as problem:
            side.say(str(os.getppid()) in str(problem))
        reaper.close()

    other = fork(try_it)
    assert other.hear() is True
    assert other.end() == 0
    start.let_go(pid)
    assert reaper.wait(5).code == 6


def collect_at_each_step(say, hear):
    """Reap a child, and at each step of that in turn let a handler do so; where it was not told of once."""
    import contextlib
    import os

    from each_step import at_each_step_run

    from pyipc import IPCError, signals
    from pyipc.signals import reaper as module

    pid, told = 0, []

    def begin():
        nonlocal pid
        pid = os.fork()
        if not pid:
            os._exit(0)
        told.clear()
        every.add(pid)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    def reap():
        with contextlib.suppress(IPCError):
            told.append(every.wait(0))

    def reap_all():
        while every:
            reap()
        return [end.pid for end in told] == [pid]

    with signals.Reaper() as every:
        wrong = [steps for steps, right in at_each_step_run(begin, reap_all, reap, module) if not right]
    say(wrong)


def test_one_that_a_handler_reaps_at_whatever_step_is_told_of_once(child):
    other = child(collect_at_each_step)
    assert other.hear(40) == []
    assert other.end() == 0


def test_a_handler_may_use_it_while_it_is_used(reaper, start, handling):
    pids = [start(n) for n in range(40)]
    for pid in pids:
        reaper.add(pid)
    ends = []

    def at_any_time(*_):
        try:
            ends.append(reaper.wait(0))
        except pyipc.IPCError:
            return

    handling(signal.SIGCHLD, at_any_time)
    for pid in pids:
        start.let_go(pid)
    ends.extend(reaper)
    assert sorted(end.pid for end in ends) == sorted(pids)


# ---- where there are no pidfds ----


@pytest.fixture
def no_pidfds(monkeypatch):
    def refuse(pid):
        raise pyipc.UnsupportedError(38, "a sandbox")

    monkeypatch.setattr(signals.Pidfd, "open", refuse)


def test_without_pidfds_children_are_reaped_all_the_same(no_pidfds, reaper, start):
    pids = [start(number) for number in range(5)]
    for pid in pids:
        reaper.add(pid)
    assert os.waitpid(start(), os.WNOHANG) == (0, 0)
    with pytest.raises(pyipc.TimedOutError):
        reaper.wait(0.05)
    for pid in pids:
        start.let_go(pid)
    assert {end.pid: end.code for end in reaper} == {pid: number for number, pid in enumerate(pids)}


def test_without_pidfds_an_identity_is_looked_at(no_pidfds, start):
    pid = start()
    who = signals.Identity.of(pid)
    with pytest.raises(pyipc.ProcessGoneError):
        signals.send(signals.Identity(pid, who.started + 1), "KILL")
    signals.send(who, "TERM")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
    with pytest.raises(pyipc.ProcessGoneError):
        signals.send(who, "TERM")


# ---- many ----


def reap_many(say, hear, many, most_open):
    """All die at once; subprocess and multiprocessing have children beside them."""
    import multiprocessing
    import os
    import resource
    import subprocess
    import sys
    import threading

    from pyipc import signals

    if most_open:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_open, most_open))
    before = len(os.listdir("/proc/self/fd"))
    others, stop = [], threading.Event()

    def use_subprocess():
        while not stop.is_set():
            others.append(subprocess.run([sys.executable, "-S", "-c", "raise SystemExit(5)"]).returncode)

    words = [sys.executable, "-S", "-c", "raise SystemExit(6)"]
    popens = [subprocess.Popen(words) for _ in range(5)]
    processes = [multiprocessing.get_context("fork").Process(target=os._exit, args=(7,)) for _ in range(5)]
    for one in processes:
        one.start()
    reading, writing = os.pipe()
    wanted = {}
    reaper = signals.Reaper()
    for number in range(many):
        pid = os.fork()
        if not pid:
            os.close(writing)
            os.read(reading, 1)
            os._exit(number % 256)
        wanted[pid] = number % 256
        reaper.add(pid)
    os.close(reading)
    thread = threading.Thread(target=use_subprocess)
    thread.start()
    os.close(writing)
    found = {end.pid: end.code for end in reaper}
    stop.set()
    thread.join()
    reaper.close()
    others += [one.wait() for one in popens]
    for one in processes:
        one.join()
        others.append(one.exitcode)
        one.close()
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        left = file.read()
    say((found == wanted, sorted(set(others)), left, len(os.listdir("/proc/self/fd")) - before))


@pytest.mark.parametrize(("many", "most_open"), [(1000, 0), (400, 100)], ids=["", "with 100 descriptors"])
def test_a_thousand_that_end_at_once_are_reaped_and_nobody_else_s(child, many, most_open):
    other = child(reap_many, many, most_open, measured=False)
    assert other.hear(50) == (True, [5, 6, 7], "", 0)
    assert other.end() == 0


def watch_few(say, hear):
    import os
    import resource

    import pyipc
    from pyipc import signals

    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    with signals.Reaper() as reaper:
        reading, writing = os.pipe()
        pids = []
        for number in range(30):
            pids.append(os.fork())
            if not pids[-1]:
                os.close(writing)
                os.read(reading, 1)
                os._exit(number)
            reaper.add(pids[-1])
        spare = os.dup(0)  # the program still has some
        say(spare < 16)
        os.kill(pids[-1], 9)  # which has no pidfd
        say(pyipc.wait([reaper], 10) == [reaper])
        say(reaper.wait(10).signal)
        os.close(writing)
        say(sorted(end.code for end in reaper) == list(range(29)))


def test_beyond_the_descriptors_children_are_watched_all_the_same(child):
    other = child(watch_few)
    assert [other.hear() for _ in range(4)] == [True, True, 9, True]
    assert other.end() == 0


def storm(say, hear, rounds):
    """A handler raises at any moment: no status is lost, and no child is left."""
    import os
    import random
    import signal

    from pyipc import signals

    armed, chance = False, random.Random(1)

    def late(*_):
        nonlocal armed
        if armed:
            armed = False
            raise ZeroDivisionError

    signal.signal(signal.SIGALRM, late)
    raised, lost = 0, 0
    with signals.Reaper() as reaper:
        for number in range(rounds):
            pid = os.fork()
            if not pid:
                os._exit(number % 256)
            reaper.add(pid)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            end = None
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 100e-6))
                end = reaper.wait(5)
                armed = False
            except ZeroDivisionError:
                raised += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            if len(reaper):
                end = reaper.wait(5)
            lost += end is None  # between the return and the assignment, which no library can help
            assert end is None or (end.pid, end.code) == (pid, number % 256)
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        left = file.read()
    say((raised, lost, left))


def test_handlers_that_raise_lose_no_child(child):
    other = child(storm, 600, measured=False)
    raised, lost, left = other.hear()
    assert raised > 30
    assert lost < raised / 2
    assert left == ""
    assert other.end() == 0


def test_a_forked_child_can_close_it_whatever_another_thread_was_at(reaper, fork):
    held, done = threading.Event(), threading.Event()

    def hold():
        with reaper._lock:
            held.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(20)
        other = fork(lambda side: reaper.close())
        assert other.end() == 0
    finally:
        done.set()
        thread.join()


PTRACE_SEIZE = 0x4206


def trace(side, pid):
    """Be told first how it ends, and do not care."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long,) * 4
    side.say(libc.ptrace(PTRACE_SEIZE, pid, 0, 0))
    side.hear()


def test_one_that_is_traced_is_waited_for_and_costs_little(reaper, start, fork, costs_little):
    pid = start()
    reaper.add(pid)
    tracer = fork(trace, pid)
    if tracer.hear():
        pytest.skip("nobody may trace here")
    signals.send(pid, "KILL")
    with costs_little(), pytest.raises(pyipc.TimedOutError):
        reaper.wait(0.3)
    tracer.say()
    assert reaper.wait(10).signal == signal.SIGKILL
    assert tracer.end() == 0
