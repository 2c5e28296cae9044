"""Forked processes that answer, so that handles need not be carried."""

from __future__ import annotations

import ast
import os
import select
import signal
import sys
import time
import traceback

import pytest

PATIENCE = 20.0


class Forked:
    """A child that runs a function, which gets it: each side says and hears values."""

    def __init__(self, function, arguments):
        (self._hears, theirs_says), (theirs_hears, self._says) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(theirs_says)
            os.close(theirs_hears)
            self._unread = b""
            return
        os.close(self._hears)
        os.close(self._says)
        self._hears, self._says, self._unread = theirs_hears, theirs_says, b""
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(50)  # whatever happens to the test
            function(self, *arguments)
            status = 0
        except BaseException:  # it must not fall through into the tests
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def say(self, value=None):
        os.write(self._says, f"{value!r}\n".encode())

    def hear(self, timeout=PATIENCE):
        give_up = time.monotonic() + timeout
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._hears], [], [], max(0, give_up - time.monotonic()))
            assert ready, f"no answer within {timeout} s"
            more = os.read(self._hears, 65536)
            assert more, "it ended before it answered"
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return ast.literal_eval(line.decode())

    def has_said(self):
        """Whether it said something that nobody has heard yet."""
        return bool(self._unread or select.select([self._hears], [], [], 0)[0])

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        return self.end()

    def end(self):
        """Its exit status, or minus the signal."""
        status = os.waitpid(self.pid, 0)[1]
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def clear_away(self):
        if self.pid:
            self.kill()
        os.close(self._hears)
        os.close(self._says)


@pytest.fixture
def fork():
    """Run a function in a forked child; it gets the child, and the arguments."""
    children = []

    def start(function, *arguments):
        children.append(Forked(function, arguments))
        return children[-1]

    yield start
    for child in children:
        child.clear_away()


@pytest.fixture
def handling():
    """Handle a signal with a function, until the test ends."""
    old = {}

    def handle(number, function):
        old.setdefault(number, signal.signal(number, function))

    yield handle
    for number, before in old.items():
        signal.signal(number, before)


@pytest.fixture
def sleeps(until):
    """Wait until that process, or thread of it, is asleep in a futex."""

    def look(pid, thread=None):
        path = f"/proc/{pid}/task/{thread or pid}/syscall"
        futex = {"x86_64": "202", "aarch64": "98"}[os.uname().machine]

        def is_asleep():
            with open(path) as text:
                return text.read().split()[0] == futex

        until(is_asleep)

    return look
