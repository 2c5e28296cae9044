"""Channels, threads in a call, and when somebody sleeps there."""

from __future__ import annotations

import gc
import os
import threading
import time

import pytest

from pyipc import channels


@pytest.fixture(scope="module", autouse=True)
def _few_to_look_at():
    """What is there before is no garbage: so that to collect it after each test takes no time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _collected():
    """A test that has caught a problem is in a round with it, and so are its handles."""
    yield
    gc.collect()


@pytest.fixture
def channel():
    with channels.Channel(slots=8, slot_size=64, capacity=1 << 20) as made:
        yield made


@pytest.fixture
def ends():
    """A reader and a writer, and nobody else."""
    reader, writer = channels.Channel(slots=8, slot_size=64, capacity=1 << 20).split()
    with reader, writer:
        yield reader, writer


class Waiter(threading.Thread):
    """A thread in a call; what it gave or raised, once it is joined."""

    def __init__(self, call, arguments, named):
        super().__init__()
        self.call, self.arguments, self.named = call, arguments, named
        self.result = self.took = None
        self.start()

    def run(self):
        begun = time.monotonic()
        try:
            self.result = self.call(*self.arguments, **self.named)
        except BaseException as problem:  # the test looks at which it is
            self.result = problem.with_traceback(None)  # whose frames have the handle
        self.took = time.monotonic() - begun

    def outcome(self, timeout=20):
        self.join(timeout)
        assert not self.is_alive(), f"{self.call} does not return"
        return self.result


@pytest.fixture
def waiter():
    """Run a call in a thread, which must come to its end with the test."""
    started = []

    def start(call, *arguments, **named):
        started.append(Waiter(call, arguments, named))
        return started[-1]

    yield start
    for thread in started:
        thread.join(20)
        thread.call = thread.arguments = thread.result = None  # which may have a handle


@pytest.fixture
def slept(until):
    """Do something once a wait on this handle of ours sleeps in the kernel: `with slept(handle): begin()`."""

    class Slept:
        def __init__(self, *handles):
            self.handles = handles
            self.before = self.sleeps()

        def sleeps(self):
            return sum(handle.statistics().sleeps for handle in self.handles)

        def __enter__(self):
            return self

        def __exit__(self, *problem):
            until(lambda: self.sleeps() > self.before)

    return Slept


@pytest.fixture
def blocked(asleep, until):
    """Wait until that process, of one thread, sleeps in the kernel."""
    futex = {"x86_64": "202", "aarch64": "98"}.get(os.uname().machine)

    def look(pid):
        def is_asleep():
            with open(f"/proc/{pid}/syscall") as text:
                return text.read().split()[0] == futex or asleep(pid)

        until(is_asleep)

    return look
