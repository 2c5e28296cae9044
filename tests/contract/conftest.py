"""Both backends in one process, by the calls of the protocol: numbers in, numbers out."""

from __future__ import annotations

import ast
import gc
import os
import time
import traceback
from pathlib import Path

import pytest

from pyipc._backend import NAMES, load

ID = {"shm": "shmid", "sem": "semid", "msg": "msqid"}


def _backend(name):
    try:
        return load(name)
    except ImportError as problem:
        pytest.skip(f"there is no {name} backend here: {problem}")


@pytest.fixture(params=NAMES)
def backend(request):
    return _backend(request.param)


@pytest.fixture(params=[(a, b) for a in NAMES for b in NAMES], ids=lambda pair: f"{pair[0]} and {pair[1]}")
def pair(request):
    """Who makes an object, and who finds it."""
    return [_backend(name) for name in request.param]


@pytest.fixture
def both():
    """For what needs the two of them at once."""
    for name in NAMES:
        _backend(name)


@pytest.fixture
def privileged():
    """For what needs another user: asked before anything is made."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")


@pytest.fixture
def row():
    """What the kernel lists of an object, as numbers; None if it does not exist."""

    def look(table, id):
        with open(f"/proc/sysvipc/{table}") as lines:
            names = next(lines).split()
            for line in lines:
                found = dict(zip(names, line.split()))
                if int(found[ID[table]]) == id:
                    return {name: int(text, 8 if name == "perms" else 10) for name, text in found.items()}
        return None

    return look


@pytest.fixture
def remains():
    """Everything there is, to be the same afterwards."""

    def look():
        return [Path(f"/proc/sysvipc/{table}").read_text().count("\n") for table in ID]

    return look


def _run(function, arguments, user, answers):
    gc.callbacks.clear()  # hypothesis has one in Python, and what a test raises in there goes nowhere
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    try:
        answer = function(*arguments)
    except BaseException:  # the child must not fall through into the tests
        traceback.print_exc()
        answer = "failed, see standard error"
    os.write(answers, repr(answer).encode())


@pytest.fixture
def forked():
    """Run a function in a forked child, and give back what it returned; or wait for that later."""
    running = []

    def start(function, *arguments, user=None):
        if user is not None and os.geteuid() != 0:
            pytest.skip("only root can become another user")
        end, answers = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                _run(function, arguments, user, answers)
            finally:
                os._exit(0)
        os.close(answers)
        running.append((pid, end))

        def result():
            text = b""
            while more := os.read(end, 65536):
                text += more
            status = os.waitpid(pid, 0)[1]
            running.remove((pid, end))
            os.close(end)
            assert status == 0
            return ast.literal_eval(text.decode())

        result.pid = pid
        return result

    yield start
    for pid, end in running:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(end)


@pytest.fixture
def soon():
    """A deadline that is some seconds away."""
    return lambda seconds: time.monotonic_ns() + int(seconds * 1e9)
