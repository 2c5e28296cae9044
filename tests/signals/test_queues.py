"""Signals as data. In processes of their own: the threads of numpy, which is here, do not block them."""

from __future__ import annotations

import os
import signal
import threading

import pytest

import pyipc
from pyipc import signals

pytestmark = [pytest.mark.needs("signals"), pytest.mark.timeout(20)]


def read(say, hear, names, count):
    from pyipc import signals

    with signals.SignalQueue(*names) as queue:
        say("ready")
        for _ in range(count):
            came = queue.get(20)
            say((came.name, came.signal, came.code, came.pid, came.uid, came.value))
    say("closed")


def test_who_has_sent_it_and_what_value(child):
    other = child(read, ["HUP", "USR1", "RTMIN+2"], 5)
    us = os.getpid(), os.getuid()
    assert other.hear() == "ready"
    signals.send(other.pid, "HUP")
    assert other.hear() == ("SIGHUP", 1, 0, *us, None)
    for value in 7, -(2**31), 2**31 - 1:
        signals.send(other.pid, "RTMIN+2", value)
        assert other.hear() == ("SIGRTMIN+2", signal.SIGRTMIN + 2, -1, *us, value)
    signals.send(other.pid, "USR1", 0)
    assert other.hear() == ("SIGUSR1", signal.SIGUSR1, -1, *us, 0)
    assert other.hear() == "closed"
    assert other.end() == 0


def test_perl_and_kill_say_who_they_are(child, perl):
    other = child(read, ["TERM"], 1)
    assert other.hear() == "ready"
    sender = perl("my ($pid) = @ARGV; kill 'TERM', $pid; print \"sent\\n\"; <STDIN>", other.pid)
    assert sender.line() == "sent"
    assert other.hear()[3] == sender.pid


def read_many(say, hear):
    from pyipc import WouldBlockError, signals

    with signals.SignalQueue("USR1", "RTMIN") as queue:
        say("ready")
        hear()
        came = []
        try:
            while True:
                one = queue.get(timeout=0)
                came.append((one.name, one.value))
        except WouldBlockError as problem:
            say((came, "signal queue" in str(problem)))


def test_those_in_real_time_all_arrive_in_order_and_others_once(child):
    other = child(read_many)
    assert other.hear() == "ready"
    for value in range(50):
        signals.send(other.pid, "RTMIN", value)
        signals.send(other.pid, "USR1")
    other.say("go")
    assert other.hear() == ([("SIGUSR1", None), *(("SIGRTMIN", value) for value in range(50))], True)
    assert other.end() == 0


def wait_in_many_ways(say, hear):
    import os
    import select
    import threading
    import time

    import pyipc
    from pyipc import signals

    with signals.SignalQueue("USR1", "USR2", "CHLD") as queue:
        say(os.get_inheritable(queue.fileno()))
        say(select.select([queue], [], [], 0)[0] == [])
        say(pyipc.wait([queue], 0) == [])
        started = time.monotonic()
        try:
            queue.get(0.05)
        except pyipc.TimedOutError:
            say(time.monotonic() - started >= 0.05)
        os.kill(os.getpid(), 10)
        say(select.select([queue], [], [], 0)[0] == [queue])
        say(pyipc.wait([queue], 5) == [queue])
        say(queue.get().name)
        later = threading.Thread(target=lambda: (time.sleep(0.05), os.kill(os.getpid(), 12)))
        later.start()
        say(next(queue).name)
        later.join()
        pid = os.fork()
        if not pid:
            os._exit(3)
        came = queue.get(20)
        say((came.name, came.pid == pid, came.status))
        os.waitpid(pid, 0)
        closing = threading.Thread(target=lambda: (time.sleep(0.05), queue.close()))
        closing.start()
        say(list(queue))
        closing.join()
        try:
            queue.get()
        except pyipc.ClosedError:
            say(repr(queue))


def test_it_can_be_waited_for_in_every_way_and_closed_meanwhile(child):
    other = child(wait_in_many_ways)
    assert [other.hear() for _ in range(6)] == [False, True, True, True, True, True]
    assert [other.hear() for _ in range(3)] == ["SIGUSR1", "SIGUSR2", ("SIGCHLD", True, 3)]
    assert other.hear() == []
    assert other.hear() == "<signal queue closed>"
    assert other.end() == 0


def close_with_one_waiting(say, hear, how):
    import signal

    from pyipc import signals

    def late(*_):
        say("handled")
        raise ZeroDivisionError

    signal.pthread_sigmask(signal.SIG_BLOCK, [12])
    if how == "handler":
        signal.signal(10, late)
    queue = signals.SignalQueue("USR1", "USR2")
    signal.raise_signal(10)
    try:
        queue.close()
    except ZeroDivisionError:
        say("raised")
    say((queue.closed, [int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, [])]))


def test_what_waits_at_the_end_is_handled_then(child):
    other = child(close_with_one_waiting, "handler")
    assert [other.hear() for _ in range(3)] == ["handled", "raised", (True, [12])]
    assert other.end() == 0
    assert child(close_with_one_waiting, "default").end() == -signal.SIGUSR1


def test_a_thread_that_would_take_them_is_an_error_that_names_it(blocked):
    ready, done = threading.Event(), threading.Event()

    def work():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        ready.set()
        done.wait(20)

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait(20)
    mask = blocked()
    try:
        with pytest.raises(pyipc.InUseError, match=r"SIGUSR1: thread \d+ \(.*\) does not block it"):
            signals.SignalQueue("USR1")
        assert blocked() == mask
    finally:
        done.set()
        thread.join()


def fork_with_it(say, hear):
    import os

    from pyipc import WouldBlockError, signals

    queue = signals.SignalQueue("USR1")
    signals.send(os.getpid(), "USR1")
    pid = os.fork()
    if not pid:
        try:
            queue.get(0)
        except WouldBlockError:
            signals.send(os.getpid(), "USR1", 5)
            os._exit(queue.get(0).value)
    status = os.waitpid(pid, 0)[1]
    say((os.WEXITSTATUS(status), queue.get(0).name))
    queue.close()


def test_a_forked_child_reads_its_own(child):
    other = child(fork_with_it)
    assert other.hear() == (5, "SIGUSR1")
    assert other.end() == 0


def be_strange(say, hear):
    import os

    from pyipc import WouldBlockError, signals

    with signals.SignalQueue("USR1") as queue:
        os.set_blocking(queue.fileno(), True)
        try:
            queue.get(0)
        except WouldBlockError:
            say("would block")
        for call in queue.dup, lambda: queue.__init__("USR2"):
            try:
                call()
            except (TypeError, ValueError) as problem:
                say(type(problem).__name__)
        say(queue.signals)
        import pickle

        try:
            pickle.dumps(queue)
        except TypeError:
            say("no pickle")


def test_who_clears_the_flag_cannot_make_us_wait_and_there_is_one_handle(child):
    other = child(be_strange)
    said = [other.hear() for _ in range(5)]
    assert said == ["would block", "TypeError", "ValueError", [signal.SIGUSR1], "no pickle"]
    assert other.end() == 0


@pytest.mark.parametrize("wrong", ["KILL", "STOP", "NOSUCH", 0, 65])
def test_what_cannot_be_queued_is_a_value_error(wrong, blocked):
    mask = blocked()
    with pytest.raises(ValueError, match=r"SIGKILL|SIGSTOP|there is no signal"):
        signals.SignalQueue("USR1", wrong)
    with pytest.raises(ValueError, match="which signals"):
        signals.SignalQueue()
    assert blocked() == mask


def starve(say, hear):
    import os
    import resource
    import signal

    import pyipc
    from pyipc import signals

    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    os.listdir("/proc/self/task")
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
    for _ in range(3):
        try:
            signals.SignalQueue("USR1").close()
        except pyipc.LimitError as problem:
            say((problem.limit, 10 in signal.pthread_sigmask(signal.SIG_BLOCK, [])))
        else:
            say("made")
        os.close(taken.pop())


def test_without_a_descriptor_nothing_is_blocked(child):
    other = child(starve)
    said = [other.hear() for _ in range(3)]
    assert said[0] == ("RLIMIT_NOFILE", False)
    assert said[-1] == "made"


def test_a_record_says_what_it_is():
    info = signals.SignalInfo(34, -1, 7, 8, 9, 0)
    assert repr(info) == f"<{signals.name(34)} with 9 from process 7 of user 8>"
