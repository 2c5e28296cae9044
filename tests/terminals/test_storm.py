"""Signal handlers that raise at any moment: whatever was begun is ended, and nobody is left."""

from __future__ import annotations

import pytest

import pyipc


@pytest.mark.skipif(
    pyipc.backend() == "fallback",
    reason="subprocess, which the fallback starts programs with, loses them then",
)
def test_handlers_that_raise_leave_no_process_and_no_descriptor(child):
    def storm(say, hear, rounds):
        import os
        import random
        import signal
        import warnings

        from pyipc import terminals

        class Stop(Exception):  # noqa: N818 (it is no error)
            pass

        armed = False

        def stop(number, frame):
            nonlocal armed
            if armed:
                armed = False
                raise Stop

        def once():
            with terminals.spawn("cat", echo=False) as terminal:
                terminal.send_line("word")
                terminal.expect("word\r\n", 10)
                terminal.close(1)

        warnings.simplefilter("ignore")  # of what was just given, and is not stored yet
        once()
        before = sorted(os.listdir("/proc/self/fd"))
        signal.signal(signal.SIGALRM, stop)
        random.seed(7)
        stopped = 0
        for _ in range(rounds):
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, random.random() * 0.003 + 1e-6)
                once()
                armed = False
            except Stop:
                stopped += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        say(stopped)
        say(sorted(os.listdir("/proc/self/fd")) == before)
        try:
            while True:
                pid, status = os.waitpid(-1, 0)  # one whose handle was just given, and not stored
                say((pid, status))
        except ChildProcessError:
            say("nobody")

    other = child(storm, 200, measured=False)
    assert other.hear() > 20
    assert other.hear() is True
    left = 0
    while other.hear() != "nobody":
        left += 1
    assert left <= 3
    assert other.end() == 0
