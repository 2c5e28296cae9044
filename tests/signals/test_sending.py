"""Sending, to one and to a group; who is alive. perl and processes of our own at the other end."""

from __future__ import annotations

import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

import pyipc
from pyipc import signals

pytestmark = pytest.mark.timeout(20)

PERL = """
my %seen; my @names = qw(HUP TERM USR1);
for my $name (@names) { $SIG{$name} = sub { print "$_[0]\\n" } }
print "ready\\n";
while (1) { select(undef, undef, undef, 0.05) }
"""


def kinds(pid):
    yield pid
    yield signals.Identity.of(pid)
    with signals.Pidfd.open(pid) as pidfd:
        yield pidfd


def test_a_signal_by_any_name_reaches_perl_by_any_name(perl):
    other = perl(PERL)
    assert other.line() == "ready"
    for target in kinds(other.pid):
        for one in "HUP", signal.SIGTERM, 10:
            signals.send(target, one)
            assert f"SIG{other.line()}" == signals.name(signals.number(one))


def wait_for_values(say, hear):
    import signal

    wanted = [signal.SIGUSR1, signal.SIGRTMIN + 1]
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    say("ready")
    while True:
        came = signal.sigwaitinfo(wanted)
        say((came.si_signo, came.si_code, came.si_pid, came.si_uid))


@pytest.mark.needs("signals")
def test_a_value_says_who_has_sent_it(child):
    """The standard library over there says all but the value."""
    other = child(wait_for_values)
    assert other.hear() == "ready"
    us = os.getpid(), os.getuid()
    for target in kinds(other.pid):
        signals.send(target, "RTMIN+1", 7)
        assert other.hear() == (signal.SIGRTMIN + 1, -1, *us)
        signals.send(target, "USR1")
        assert other.hear() == (signal.SIGUSR1, 0, *us)


@pytest.mark.needs("signals")
def test_there_is_a_limit_on_those_that_wait_and_it_has_a_name(fork):
    def many(side):
        most = 20
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (most, most))
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
        try:
            for _ in range(100):
                signals.send(os.getpid(), "RTMIN", 1)
        except pyipc.LimitError as problem:
            side.say((problem.limit, problem.value, "SIGRTMIN" in str(problem)))

    child = fork(many)
    assert child.hear() == ("RLIMIT_SIGPENDING", 20, True)
    assert child.end() == 0


def test_who_has_gone_is_told(fork):
    child = fork(lambda side: side.hear())
    targets = list(kinds(child.pid))[:2]
    with signals.Pidfd.open(child.pid) as pidfd:
        pid = child.pid
        child.say()
        assert child.end() == 0
        for target in *targets, pidfd:
            with pytest.raises(pyipc.ProcessGoneError, match="SIGTERM"):
                signals.send(target, "TERM")
            assert signals.alive(target) is signals.Life.GONE
    with pytest.raises(pyipc.ProcessGoneError, match=str(pid)):
        signals.Identity.of(pid)
    with pytest.raises(pyipc.ClosedError):
        signals.send(pidfd, "TERM")
    with pytest.raises(pyipc.ClosedError):
        signals.alive(pidfd)


def send_to(say, hear, pid, started):
    import pyipc
    from pyipc import signals

    answers = []
    for target in pid, signals.Identity(pid, started):
        answers.append(str(signals.alive(target)))
        try:
            signals.send(target, "TERM")
        except pyipc.AccessError as problem:
            answers.append(str(pid) in str(problem))
    say(answers)


def test_what_is_somebody_else_s_is_not_mine(unprivileged):
    me = signals.Identity.of(os.getpid())
    other = unprivileged(send_to, me.pid, me.started)
    assert other.hear() == ["not mine", True, "not mine", True]
    assert other.end() == 0


@pytest.mark.parametrize("wrong", [0, -1, -(2**31), 2**31, 2**40])
def test_a_pid_means_one_process(wrong):
    for call in (lambda pid: signals.send(pid, "TERM")), signals.alive, signals.Identity.of:
        with pytest.raises(ValueError, match="a pid is"):
            call(wrong)


@pytest.mark.parametrize("wrong", [1.5, "1", None])
def test_what_is_no_number_is_a_type_error(wrong):
    for call in (lambda pid: signals.send(pid, "URG")), signals.alive, signals.Identity.of:
        with pytest.raises(TypeError, match="a pid is an int"):
            call(wrong)


@pytest.mark.parametrize("wrong", [0, 65, "NOSUCH", -1])
def test_a_signal_that_is_none_is_not_sent(wrong):
    with pytest.raises(ValueError, match="there is no signal"):
        signals.send(os.getpid(), wrong)
    with pytest.raises(ValueError, match="there is no signal"):
        signals.send_group(wrong)


@pytest.mark.parametrize("wrong", [2**31, -(2**31) - 1, 1.5, "1"])
def test_a_value_is_an_int_of_c(wrong):
    kind = ValueError if isinstance(wrong, int) else TypeError
    with pytest.raises(kind, match="value is"):
        signals.send(os.getpid(), "RTMIN", wrong)


# ---- alive ----


def test_a_process_is_alive_until_it_has_ended_whether_it_was_reaped_or_not(fork, ended):
    child = fork(lambda side: side.hear())
    for target in kinds(child.pid):
        assert signals.alive(target) is signals.Life.ALIVE
        assert signals.alive(target)
    identity = signals.Identity.of(child.pid)
    with signals.Pidfd.open(child.pid) as pidfd:
        child.say()
        ended(child.pid)
        os.kill(child.pid, 0)  # which says that it is there
        for target in child.pid, identity, pidfd:
            assert signals.alive(target) is signals.Life.GONE
            assert not signals.alive(target)
    child.end()


def test_a_process_whose_first_thread_has_ended_is_alive(fork, until):
    def first_goes(side):
        import ctypes

        ready = threading.Event()
        threading.Thread(target=lambda: (ready.wait(), side.say("on"), side.hear(), os._exit(5))).start()
        ready.set()
        exit_of_the_thread = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
        ctypes.CDLL(None).syscall(exit_of_the_thread, 0)

    child = fork(first_goes)
    assert child.hear() == "on"

    def state():
        with open(f"/proc/{child.pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"

    until(state)
    for target in kinds(child.pid):
        assert signals.alive(target) is signals.Life.ALIVE
    child.kill()


def test_who_has_the_pid_of_another_is_not_taken_for_it():
    me = signals.Identity.of(os.getpid())
    before = signals.Identity(me.pid, me.started - 1)
    assert signals.alive(me) is signals.Life.ALIVE
    assert signals.alive(before) is signals.Life.GONE
    with pytest.raises(pyipc.ProcessGoneError):
        signals.send(before, "KILL")
    assert me == signals.Identity(me.pid, me.started)
    assert len({me, before, signals.Identity.of(me.pid)}) == 2


def test_answers_and_identities_survive_a_pickle():
    for one in signals.Life.ALIVE, signals.Life.NOT_MINE, signals.Life.GONE:
        assert pickle.loads(pickle.dumps(one)) is one
    me = signals.Identity.of(os.getpid())
    assert pickle.loads(pickle.dumps(me)) == me


# ---- groups ----


def lead_a_group(say, hear, members, ourselves):
    """In a group of our own, with that many members; who of them got the signal?"""
    import os
    import signal

    from pyipc import signals

    came = []
    signal.signal(signal.SIGHUP, lambda *_: came.append(1))
    children = []
    for _ in range(members):
        ready, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGHUP, lambda *_: os._exit(7))
            os.write(theirs, b"r")
            while True:
                signal.pause()
        os.read(ready, 1)
        os.close(ready)
        os.close(theirs)
        children.append(pid)
    signals.send_group("HUP", ourselves=ourselves)
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    say((ends, len(came), signals.name(1)))
    hear()


@pytest.mark.parametrize("ourselves", [True, False])
def test_a_signal_for_our_group_is_for_all_of_it_with_or_without_us(child, ourselves):
    other = child(lead_a_group, 5, ourselves)
    assert other.hear() == ([7] * 5, int(ourselves), "SIGHUP")


@pytest.mark.parametrize("ourselves", [True, False])
def test_a_signal_for_another_group(child, ourselves, until):
    def rest(say, hear):
        import os

        say(os.getpgrp())
        hear()

    other = child(rest)
    group = other.hear()
    assert group == other.pid
    signals.send_group("TERM", group, ourselves=ourselves)
    assert other.end() == -signal.SIGTERM
    with pytest.raises(pyipc.ProcessGoneError, match=f"SIGTERM to group {group}"):
        signals.send_group("TERM", group)


def be_sent_signals(say, hear, rounds):
    """While we send to the others, somebody sends to us: none of those is lost."""
    import os
    import signal

    from pyipc import signals

    came = 0

    def count(*_):
        nonlocal came
        came += 1

    signal.signal(signal.SIGUSR1, count)
    to_us, to_sender = os.pipe(), os.pipe()
    sender = os.fork()
    if not sender:
        os.setpgid(0, 0)
        for _ in range(rounds):
            os.kill(os.getppid(), signal.SIGUSR1)
            os.write(to_us[1], b"s")
            os.read(to_sender[0], 1)
        os._exit(0)
    for expected in range(1, rounds + 1):
        while came < expected:
            signals.send_group("USR1", ourselves=False)
        os.read(to_us[0], 1)
        os.write(to_sender[1], b"n")
    os.waitpid(sender, 0)
    say(came)


def test_what_others_send_us_meanwhile_is_not_lost(child):
    other = child(be_sent_signals, 30)
    assert other.hear() == 30


def test_a_group_of_another_pid_namespace_is_not_mistaken_for_others_there():
    program = """if True:
        import os, pyipc
        from pyipc import signals
        assert os.getpgrp() == 0
        signals.send_group("URG")
        try:
            signals.send_group("TERM", ourselves=False)
        except pyipc.UnsupportedError as problem:
            print(problem)
    """
    inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*inside, "true"], stderr=subprocess.DEVNULL).returncode
    ):
        pytest.skip("no pid namespaces may be made here")
    command = [*inside, sys.executable, "-c", program]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, start_new_session=True)
    assert b"another pid namespace" in done.stdout


def test_group_one_is_not_everybody():
    if os.getpgrp() == 1:
        pytest.skip("this is group 1")
    with pytest.raises(ValueError, match="group 1"):
        signals.send_group("USR1", 1)
    for wrong in 0, -1, -5, 2**31:
        with pytest.raises(ValueError, match="a pid is"):
            signals.send_group("USR1", wrong)


def send_to_group(say, hear, group):
    import pyipc
    from pyipc import signals

    try:
        signals.send_group("TERM", group)
    except pyipc.AccessError as problem:
        say(str(problem))


def test_a_group_of_somebody_else(unprivileged, fork):
    other = unprivileged(send_to_group, os.getpgrp())
    assert f"SIGTERM to group {os.getpgrp()}" in other.hear()


def test_those_of_the_group_that_others_own_are_refused_if_there_are_no_more(fork):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def alone(side):
        os.setpgid(0, 0)
        member = os.fork()
        if not member:
            time.sleep(20)
            os._exit(0)
        os.setresuid(65534, 65534, 65534)
        try:
            signals.send_group("TERM", ourselves=False)
        except pyipc.AccessError:
            side.say("refused")
        side.hear()
        os._exit(0)

    child = fork(alone)
    assert child.hear() == "refused"
    os.killpg(child.pid, signal.SIGKILL)
    child.end()
