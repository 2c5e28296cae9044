"""What some Pythons have no name for: PyPy, and those that were built where the C library was old."""

from __future__ import annotations

import _signal
import fcntl
import os
import resource
import select
import signal
import socket

import pytest

from pyipc import _fork, _linux
from pyipc._backend import ops


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("O_PATH", os),
        ("F_DUPFD_CLOEXEC", fcntl),
        ("MSG_NOSIGNAL", socket),
        ("EPOLLEXCLUSIVE", select),
        ("RLIMIT_SIGPENDING", resource),
        ("RLIMIT_MSGQUEUE", resource),
    ],
)
def test_a_number_is_the_one_that_python_has(name, module):
    if not hasattr(module, name):
        pytest.skip("this Python has no name for it")
    assert getattr(_linux, name) == getattr(module, name)


def test_processors(monkeypatch):
    if hasattr(os, "sched_getaffinity"):
        assert _linux.processors() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert _linux.processors() == os.cpu_count()


def test_a_child_is_killed_without_a_name_for_it(monkeypatch):
    monkeypatch.delattr(_signal, "pidfd_send_signal", raising=False)
    born: list[int] = []
    assert ops.fork(born) == 0
    if not born[0]:
        _fork.run(signal.pause, ())
    assert select.select([born[1]], [], [], 0)[0] == []
    _fork.kill(born)
    assert select.select([born[1]], [], [], 20)[0] == [born[1]]
    _fork.close_pidfd(born)
    assert os.waitstatus_to_exitcode(os.waitpid(born.pop(), 0)[1]) == -signal.SIGKILL
