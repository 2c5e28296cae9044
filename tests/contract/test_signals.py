"""Signals: what happens at one, masks, values, signals as data; the oracles are /proc and `signal`."""

from __future__ import annotations

import os
import signal
from errno import EAGAIN, EBADF, ECHILD, EINVAL, ESRCH

import pytest

USR1, USR1_BIT = int(signal.SIGUSR1), 1 << (signal.SIGUSR1 - 1)
FIRST = int(signal.SIGRTMIN)
IGNORED = (1, 0, 0, 0)

pytestmark = pytest.mark.usefixtures("both")  # which a machine without ctypes lacks


def nothing(number, frame):
    pass


def test_what_happens_at_a_signal_is_the_kernel_s_word_for_it(pair):
    one, other = pair
    old = signal.signal(USR1, nothing)
    try:
        handled = one.now_signal_get(USR1)
        assert handled[0] > 1
        signal.siginterrupt(USR1, False)
        restarted = other.now_signal_get(USR1)
        assert (restarted[0], restarted[1] & ~handled[1]) == (handled[0], 0x10000000)  # SA_RESTART
        assert other.now_signal_set(USR1, IGNORED) == 0
        assert one.now_signal_get(USR1)[0] == 1
        assert signal.getsignal(USR1) is nothing
        signal.raise_signal(USR1)
        assert one.now_signal_set(USR1, restarted) == 0
        assert other.now_signal_get(USR1) == restarted
    finally:
        signal.signal(USR1, old)


def test_what_cannot_be_is_refused(backend):
    for number in 0, -1, 65, 2**30:
        assert backend.now_signal_get(number) == -EINVAL
        assert backend.now_signal_set(number, IGNORED) == -EINVAL
    for number in signal.SIGKILL, signal.SIGSTOP:
        assert backend.now_signal_set(int(number), IGNORED) == -EINVAL


def blocked():
    with open(f"/proc/self/task/{os.getpid()}/status") as lines:
        return next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk"))


def test_a_mask_is_of_this_thread_and_of_the_signals_that_were_named(pair):
    one, other = pair
    first = blocked()
    last = 1 << 63
    assert one.now_signal_mask(one.BLOCK, 0) == first
    assert one.now_signal_mask(one.BLOCK, USR1_BIT | last) == first
    assert blocked() == first | USR1_BIT | last
    assert other.now_signal_mask(other.UNBLOCK, last) == first | USR1_BIT | last
    assert other.now_signal_mask(other.UNBLOCK, USR1_BIT) == first | USR1_BIT
    assert blocked() == first


def queue_to_self(one, other):
    wanted = USR1_BIT | 1 << (FIRST - 1)
    one.now_signal_mask(one.BLOCK, wanted)
    owner, pidfd = one.Descriptor(), other.Descriptor()
    answers = [one.now_signalfd(owner, wanted), os.get_inheritable(owner.fileno())]
    answers.append(one.now_signalfd_read(owner))
    os.set_blocking(owner.fileno(), True)
    answers.append(one.now_signalfd_read(owner))
    me = os.getpid()
    answers += [other.now_signal_queue(me, FIRST, -(2**31)), other.now_signal_queue(me, FIRST, 2**31 - 1)]
    answers += [other.now_pidfd_open(pidfd, me), other.now_pidfd_queue(pidfd, FIRST, 7)]
    answers += [other.now_signal_send(me, USR1), other.now_signal_send(me, 0)]
    read = [one.now_signalfd_read(owner) for _ in range(5)]
    answers += [pidfd._close(), owner._close()]
    answers += [one.now_signalfd_read(owner), other.now_pidfd_queue(pidfd, FIRST, 7)]
    us = me, os.getuid()
    wanted = [(USR1, 0, *us), (FIRST, -1, *us, -(2**31)), (FIRST, -1, *us, 2**31 - 1), (FIRST, -1, *us, 7)]
    return answers, [one[: len(two)] for one, two in zip(read, wanted)] == wanted, read[4]


def test_what_is_sent_with_a_value_is_read_with_it(pair, forked):
    answers, read, then = forked(queue_to_self, *pair)()
    assert answers[:4] == [0, False, -EAGAIN, -EAGAIN]
    assert answers[4:10] == [0] * 6
    assert answers[10:] == [0, 0, -EBADF, -EBADF]
    assert read
    assert then == -EAGAIN


def test_nobody_is_there(backend):
    assert backend.now_signal_send(2**31 - 1, USR1) == -ESRCH
    assert backend.now_signal_queue(2**31 - 1, USR1, 1) == -ESRCH
    assert backend.now_signal_send(os.getpid(), 1000) == -EINVAL
    assert backend.now_signal_queue(os.getpid(), 1000, 1) == -EINVAL


def test_how_a_child_ended_is_told_by_its_pid(backend, forked):
    def make():
        pid = os.fork()
        if not pid:
            signal.pause()
        answers = [backend.now_child_status(pid, True), backend.now_child_status(os.getpid(), False)]
        os.kill(pid, signal.SIGTERM)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        answers += [backend.now_child_status(pid, False), backend.now_child_status(pid, True)]
        answers += [backend.now_child_status(pid, False), backend.now_child_status(0, True)]
        return [answers[0], answers[1], *(one[1:] for one in answers[2:4]), *answers[4:]]

    ended = (-1, 15, False)
    assert forked(make)() == [-EAGAIN, -ECHILD, ended, ended, -ECHILD, -EINVAL]


def test_leaving_is_called_until_it_has_left(backend):
    """Also where C calls it; what was raised first is raised."""

    @backend.sure_exit
    class Scope:
        _left = False
        calls = 0

        def __enter__(self):
            return self

        def _leave(self, *how):
            self.calls += 1
            self.how = how
            if self.calls == 1:
                raise ZeroDivisionError
            self._left = True

        def __exit__(self, *how):
            try:
                self._leave(*how)
            except ZeroDivisionError:
                self._leave(*how)
                raise

    scope = Scope()
    with pytest.raises(ZeroDivisionError), scope:
        raise KeyError
    assert scope.calls == 2
    assert scope.how[0] is KeyError
    assert scope._left


def test_leaving_may_raise_once_it_has_left(backend):
    @backend.sure_exit
    class Scope:
        _left = False

        def __enter__(self):
            return self

        def _leave(self, *how):
            self._left = True
            raise KeyError

        def __exit__(self, *how):
            self._leave(*how)

    with pytest.raises(KeyError), Scope():
        pass


def test_leaving_that_never_ends_is_given_up(backend):
    if backend.NAME != "native":
        pytest.skip("Python stands for itself")

    @backend.sure_exit
    class Scope:
        calls = 0

        def __enter__(self):
            return self

        def _leave(self, *how):
            self.calls += 1
            raise KeyError

        def __exit__(self, *how):
            self._leave(*how)

    scope = Scope()
    with pytest.raises(KeyError), scope:
        pass
    assert 1 <= scope.calls < 10_000
