"""Who is told that a message came: by a call, by a signal; once, or again and again."""

from __future__ import annotations

import ctypes
import os
import signal
import threading

import pytest

import pyipc
from pyipc import posix

pytestmark = pytest.mark.needs("posix.message_queues")


@pytest.fixture
def queue(name):
    with posix.MessageQueue.create(name, max_messages=10, max_size=64) as made:
        yield made


@pytest.fixture
def other(queue):
    with posix.MessageQueue.open(queue.name) as opened:
        yield opened


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("notices")]


def send(us, name):
    with posix.MessageQueue.open(name) as queue:
        for data in iter(us.hear, None):
            queue.send(data)
            us.say()


@pytest.fixture
def sender(fork, queue):
    return fork(send, queue.name)


def tell(sender, data):
    sender.say(data)
    sender.hear()


def test_a_call(queue, sender, until):
    came = []
    queue.notify_by_call(lambda: came.append(threading.current_thread()))
    tell(sender, b"1")
    until(lambda: came)
    tell(sender, b"2")
    assert queue.receive() == (b"1", 0)
    assert queue.receive() == (b"2", 0)
    tell(sender, b"3")  # nobody asked for it
    until(lambda: not threads())
    assert len(came) == 1
    assert came[0] is not threading.main_thread()
    queue.receive()
    queue.notify_by_call(lambda: came.append(None))  # one may ask again
    tell(sender, b"4")
    until(lambda: len(came) == 2)


def test_only_of_a_queue_that_was_empty(queue, sender, until):
    came = []
    tell(sender, b"1")
    queue.notify_by_call(lambda: came.append(1))
    tell(sender, b"2")
    queue.receive()
    queue.receive()
    assert not came
    tell(sender, b"3")
    until(lambda: came)


def test_again_and_again(queue, sender, until):
    took = []

    def take():
        while True:
            try:
                took.append(queue.receive(0).data)
            except pyipc.WouldBlockError:
                return

    queue.notify_by_call(take, rearm=True)
    for n in range(200):
        sender.say(b"%d" % n)
    for _ in range(200):
        sender.hear()
    until(lambda: len(took) == 200)
    assert took == [b"%d" % n for n in range(200)]
    assert len(threads()) == 1
    with pytest.raises(pyipc.InUseError, match=queue.name):
        queue.notify_by_call(print)
    queue.notify_nobody()
    until(lambda: not threads())
    tell(sender, b"unheard")
    assert queue.receive() == (b"unheard", 0)
    assert len(took) == 200


def test_asked_again_and_again_is_asked_also_between_two_messages(queue, sender, until):
    called, go_on = threading.Event(), threading.Event()

    def take():
        queue.receive()
        called.set()
        go_on.wait(30)

    queue.notify_by_call(take, rearm=True)
    tell(sender, b"1")
    assert called.wait(30)
    tell(sender, b"2")  # the kernel has told us of it, and knows of no request from now on
    with pytest.raises(pyipc.InUseError, match=queue.name):
        queue.notify_by_call(print)
    called.clear()
    go_on.set()
    assert called.wait(30)


def test_what_the_function_raises_ends_nothing(queue, sender, until, monkeypatch):
    raised = []
    monkeypatch.setattr(threading, "excepthook", lambda how: raised.append(how.exc_type))

    def fail():
        queue.receive()
        raise ZeroDivisionError

    queue.notify_by_call(fail, rearm=True)
    for n in range(3):
        tell(sender, b"x")
        until(lambda n=n: len(raised) == n + 1)
    assert raised == [ZeroDivisionError] * 3
    queue.notify_nobody()
    until(lambda: not threads())


def test_a_signal_with_a_value(queue, sender):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
    try:
        if pyipc.backend() == "native":
            queue.notify_by_signal(signal.SIGRTMIN, value=12345)
        else:
            with pytest.raises(pyipc.UnsupportedError):
                queue.notify_by_signal(signal.SIGRTMIN, value=12345)
            queue.notify_by_signal(signal.SIGRTMIN)
        tell(sender, b"x")
        # By the C library, since Python's own does not show the value.
        wanted, info, limit = (ctypes.c_uint64 * 16)(), (ctypes.c_int32 * 32)(), (ctypes.c_int64 * 2)(20, 0)
        wanted[0] = 1 << (signal.SIGRTMIN - 1)
        assert ctypes.CDLL(None).sigtimedwait(wanted, info, limit) == signal.SIGRTMIN
        assert (info[2], info[4]) == (-3, sender.pid)  # si_code SI_MESGQ, si_pid
        if pyipc.backend() == "native":
            assert info[6] == 12345  # si_value
        queue.receive()
        tell(sender, b"y")
        assert signal.sigtimedwait({signal.SIGRTMIN}, 0) is None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGRTMIN})


def test_a_signal_again_and_again(queue, sender, until, handling):
    took = []
    handling(signal.SIGUSR1, lambda *_: took.append(queue.receive(0).data))
    queue.notify_by_signal(signal.SIGUSR1, rearm=True)
    for n in range(5):
        tell(sender, b"%d" % n)
        until(lambda n=n: len(took) == n + 1)
    queue.notify_nobody()
    until(lambda: not threads())


def test_what_cannot_be_asked_for(queue, sender):
    for wrong in None, 5, "print":
        with pytest.raises(TypeError):
            queue.notify_by_call(wrong)
    for wrong in 0, 65, -1, 1 << 40:
        with pytest.raises(ValueError, match="signal"):
            queue.notify_by_signal(wrong)
    for value in 1 << 31, -(1 << 31) - 1:
        with pytest.raises(ValueError, match="value"):
            queue.notify_by_signal(signal.SIGUSR1, value=value)
    with pytest.raises(ValueError, match="no value"):
        queue.notify_by_signal(signal.SIGUSR1, value=1, rearm=True)
    queue.notify_nobody()  # nothing was asked for
    queue.notify_by_call(print)
    queue.notify_nobody()


def ask(us, name):
    import pyipc

    with posix.MessageQueue.open(name) as queue:
        for _ in iter(us.hear, None):
            try:
                queue.notify_by_call(lambda: us.say("told"))
            except pyipc.InUseError:
                us.say("in use")
            else:
                us.say("asked")


@pytest.mark.parametrize("end", ["nobody", "close", "drop"])
def test_another_process_is_told(queue, fork, end, until):
    second = posix.MessageQueue.open(queue.name)
    asker = fork(ask, queue.name)
    second.notify_by_call(print)
    asker.say(1)
    assert asker.hear() == "in use"
    if end == "nobody":
        second.notify_nobody()
    elif end == "close":
        second.close()
    else:
        with pytest.warns(ResourceWarning):
            del second
    until(lambda: not threads())
    asker.say(1)
    assert asker.hear() == "asked"
    with pytest.raises(pyipc.InUseError):
        queue.notify_by_signal(signal.SIGUSR1)
    queue.send(b"x")
    assert asker.hear() == "told"
    queue.notify_by_call(print)
    queue.notify_nobody()
    if end == "nobody":
        second.close()
    asker.kill()


def test_who_died_is_told_no_more(queue, fork):
    asker = fork(ask, queue.name)
    asker.say(1)
    assert asker.hear() == "asked"
    asker.kill()
    queue.notify_by_call(print)
    queue.notify_nobody()


def test_a_forked_child_asked_for_nothing(queue, fork, sender, until):
    came = []
    queue.notify_by_call(lambda: came.append(1))

    def close(us):
        queue.notify_nobody()
        queue.close()

    assert fork(close).end() == 0
    tell(sender, b"x")
    until(lambda: came)


def test_who_waits_here_gets_it_and_it_is_told(queue, sender, until, asleep):
    """A wait of ours is poll(2), of which the kernel does not know."""
    came, took = [], []
    queue.notify_by_call(lambda: came.append(1))
    waiter = threading.Thread(target=lambda: took.append(queue.receive(20)))
    waiter.start()
    until(lambda: asleep(os.getpid(), waiter.native_id))
    tell(sender, b"x")
    waiter.join()
    until(lambda: came)
    assert took == [(b"x", 0)]


def test_who_waits_in_c_gets_it_and_nobody_is_told(queue, posix_peer, sender, until, asleep):
    came = []
    queue.notify_by_call(lambda: came.append(1))
    peer = posix_peer("mq", queue.name)
    peer.say("receive")
    until(lambda: asleep(peer.pid))
    tell(sender, b"for C")
    assert peer.line() == "0 for C"
    tell(sender, b"for nobody")
    until(lambda: came)
    assert queue.receive() == (b"for nobody", 0)
    assert len(came) == 1
