"""What happens at signals, as the kernel has it."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from pyipc._backend import ops


@pytest.fixture
def now():
    """What happens at a signal just now: for the kernel, and for Python."""

    def look(number):
        return ops.now_signal_get(number), signal.getsignal(number)

    return look


@pytest.fixture
def blocked():
    """What this thread blocks, says /proc."""

    def look():
        thread = threading.get_native_id()
        with open(f"/proc/self/task/{thread}/status") as lines:
            bits = next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk"))
        return {bit + 1 for bit in range(64) if bits >> bit & 1}

    return look


@pytest.fixture
def in_thread():
    """Run a call in another thread: what it gave, or raised."""

    def run(call):
        outcome = []

        def work():
            try:
                outcome.append(call())
            except Exception as problem:  # the test looks at which it is
                outcome.append(problem)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return outcome[0]

    return run


@pytest.fixture
def ended(until):
    """Wait until a child is a zombie."""

    def wait(pid):
        until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))

    return wait
