"""Steps of the wall clock move no wait. (posix_ipc's own waits they do: so these tests can fail.)"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.needs("posix.semaphores", "posix.message_queues")]

HOUR = 3600
LIBRARIES = ["pyipc", "posix_ipc"]
WAITS = ["acquire", "receive", "send"]


def wait(say, hear, library, what, name):
    """Waits as long as it hears to; says how it ended, and whether it took at least so long."""
    import time

    if library == "pyipc":
        import pyipc
        from pyipc import posix

        if what == "acquire":
            handle = posix.Semaphore.open_or_create(name, 0)
        else:
            handle = posix.MessageQueue.open_or_create(name, max_messages=1)
        calls = {
            "acquire": lambda timeout: handle.acquire(timeout),
            "receive": lambda timeout: handle.receive(timeout),
            "send": lambda timeout: handle.send(b"x", timeout=timeout),
        }
        over, remove = pyipc.TimedOutError, handle.remove
    else:
        import posix_ipc

        if what == "acquire":
            handle = posix_ipc.Semaphore(name, posix_ipc.O_CREAT, initial_value=0)
        else:
            handle = posix_ipc.MessageQueue(name, posix_ipc.O_CREAT, max_messages=1)
        calls = {
            "acquire": lambda timeout: handle.acquire(timeout),
            "receive": lambda timeout: handle.receive(timeout),
            "send": lambda timeout: handle.send(b"x", timeout),
        }
        over, remove = posix_ipc.BusyError, handle.unlink
    if what == "send":
        handle.send(b"full")
    say(time.time())
    for timeout in iter(hear, None):
        began = time.monotonic()
        say("waits")
        try:
            calls[what](timeout)
            ended = "got it"
        except over:
            ended = "over"
        say((ended, time.monotonic() - began >= timeout))
    remove()
    handle.close()


@pytest.fixture(params=WAITS)
def start(request, child, wrong_clock, name):
    def start(library):
        other = child(wait, library, request.param, name, env=wrong_clock.env)
        other.hear()
        return other

    return start


def waiting(other, until, asleep, timeout):
    other.say(timeout)
    assert other.hear() == "waits"
    until(lambda: asleep(other.pid))


def test_the_fake_is_what_python_sees(child, wrong_clock, name):
    import time

    wrong_clock.set(-5 * HOUR)
    other = child(wait, "pyipc", "receive", name, env=wrong_clock.env)
    assert abs(other.hear() + 5 * HOUR - time.time()) < HOUR
    other.say(None)
    assert other.end() == 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_step_forward_while_it_waits(start, library, wrong_clock, until, asleep):
    other = start(library)
    waiting(other, until, asleep, 1.0)
    wrong_clock.set(HOUR)
    assert other.hear() == ("over", library == "pyipc")  # the other one gives up at once
    other.say(None)
    assert other.end() == 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_step_back_while_it_waits(start, library, wrong_clock, until, asleep):
    other = start(library)
    waiting(other, until, asleep, 0.3)
    wrong_clock.set(-HOUR)
    if library == "pyipc":
        assert other.hear() == ("over", True)
        other.say(None)
        assert other.end() == 0
        return
    with pytest.raises(AssertionError, match="no answer"):  # it would wait for an hour
        other.hear(timeout=1)
    wrong_clock.set(HOUR)
    assert other.hear() == ("over", True)
    other.say(None)
    assert other.end() == 0


def test_to_and_fro(start, wrong_clock, until, asleep):
    other = start("pyipc")
    for timeout in 0.2, 0.4:
        wrong_clock.set(-HOUR)
        waiting(other, until, asleep, timeout)
        for step in range(20):
            wrong_clock.set(HOUR if step % 2 else -HOUR)
        assert other.hear() == ("over", True)
    other.say(None)
    assert other.end() == 0
