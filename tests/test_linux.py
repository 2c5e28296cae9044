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


def test_a_child_is_watched_and_killed_without_names_for_it(monkeypatch):
    monkeypatch.delattr(_signal, "pidfd_send_signal", raising=False)
    monkeypatch.setattr(_fork, "_pidfd_open", _fork._pidfd_of)
    born = {}
    _fork.start_bare(born, signal.pause)
    assert select.select([born["pidfd"]], [], [], 0)[0] == []
    _fork.kill(born)
    assert select.select([born["pidfd"]], [], [], 20)[0] == [born["pidfd"]]
    _fork.close_pidfd(born)
    assert os.waitstatus_to_exitcode(os.waitpid(born.pop("pid"), 0)[1]) == -signal.SIGKILL
