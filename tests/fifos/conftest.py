"""A folder of one's own, threads in a call, and strangers at the other end of a fifo."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pyipc
from pyipc import fifos

RUN_FUNCTION = Path(__file__).parents[1] / "children" / "run_function.py"


@pytest.fixture
def keep():
    """Close it when the test ends."""
    with contextlib.ExitStack() as kept:
        yield kept.enter_context


@pytest.fixture
def path(tmp_path):
    """Where no fifo is yet; nothing else must be left there."""
    yield str(tmp_path / "fifo")
    assert os.listdir(tmp_path) == []


@pytest.fixture
def fifo(path, keep):
    return keep(fifos.Fifo.create(path))


@pytest.fixture
def umask():
    """Set this process's umask, until the test ends."""
    before = os.umask(0o022)
    os.umask(before)
    yield os.umask
    os.umask(before)


@pytest.fixture
def serving(waiter):
    """Let a fifo serve in a thread; it is closed, and the thread joined, when the test ends."""
    running = []

    def start(fifo, producer, timeout=None):
        running.append((fifo, waiter(lambda: fifo.serve(producer, timeout))))
        return running[-1][1]

    yield start
    for fifo, thread in running:
        fifo.close()
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def cat():
    """Start a `cat` of this path; killed and reaped at the end of the test."""
    started = []

    def start(path):
        started.append(subprocess.Popen(["cat", path], stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()
        one.stdout.close()


OPENAT = {"257", "56"}  # of x86_64, and of aarch64


def _in_open(pid):
    """Whether that process sleeps in open(2): of a fifo, for nothing else makes one sleep for long."""
    with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/syscall") as call:
        return stat.read().rpartition(")")[2].split()[0] == "S" and call.read().split()[0] in OPENAT


@pytest.fixture
def in_open():
    return _in_open


@pytest.fixture
def open_count():
    """How many descriptors of this process lead to that path."""

    def count(path):
        found = 0
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                found += os.readlink(f"/proc/self/fd/{number}").startswith(path)
        return found

    return count


@pytest.fixture
def alarm(handling):
    """Run a function when SIGALRM comes, after so many seconds."""

    def start(seconds, function):
        handling(signal.SIGALRM, lambda *_: function())
        signal.setitimer(signal.ITIMER_REAL, seconds)

    return start


# Becomes another user only once everything is imported that its files may forbid to read.
START = """
def start_{name}(say, hear, *arguments):
    import ctypes
    import os
    import resource

    from pyipc import fifos

    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    {name}(say, hear, *arguments)
"""


@pytest.fixture
def nobody(process, tmp_path):
    """Run a function in a second process, as a user who may nothing but go to the test's own folder."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    for folder in (tmp_path, *list(tmp_path.parents)[:-1]):
        folder.chmod(folder.stat().st_mode | 0o011)

    def start(function, *arguments):
        source = textwrap.dedent(inspect.getsource(function)) + START.format(name=function.__name__)
        environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
        started = process([sys.executable, RUN_FUNCTION], env=environment)
        started.say((f"start_{function.__name__}", source, arguments, None))
        return started

    return start
