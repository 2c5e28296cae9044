"""Second processes at the other end of a socket; the kernel's word that memory is gone; foreign memory."""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import os
import struct
import sys
import textwrap
from fcntl import fcntl
from pathlib import Path

import pytest

import pyipc
from pyipc import fds

RUN_FUNCTION = Path(__file__).parents[1] / "children" / "run_function.py"


@pytest.fixture
def partner(process):
    """Run a function in a second process, as `child` does, and give our end of a pair of sockets, too.

    The function gets `say`, `hear`, the number of its end, and the arguments.
    """
    with contextlib.ExitStack() as sockets:

        def start(program, *arguments):
            ours, theirs = map(sockets.enter_context, fds.socketpair())
            environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
            words = [sys.executable, RUN_FUNCTION]
            started = process(words, env=environment, pass_fds=[theirs.fileno()])
            source = textwrap.dedent(inspect.getsource(program))
            started.say((program.__name__, source, (theirs.fileno(), *arguments), None))
            theirs.close()
            return started, ours

        yield start


_F_ADD_SEALS = 1033
_IN_DELETE_SELF = 0x400
_EVENT = struct.Struct("iIII")


class Watch:
    """Tells whether a file without a name is gone: no process has it open or mapped any more (inotify(7))."""

    def __init__(self, number):
        libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        path = f"/proc/self/fd/{number}".encode()
        added = libc.inotify_add_watch(self._inotify, path, _IN_DELETE_SELF)
        assert added >= 0, os.strerror(ctypes.get_errno())
        self._gone = False

    def gone(self):
        with contextlib.suppress(BlockingIOError):
            self._gone = _EVENT.unpack_from(os.read(self._inotify, 4096))[1] == _IN_DELETE_SELF
        return self._gone

    def close(self):
        os.close(self._inotify)


@pytest.fixture
def watch():
    """Watch the file of a handle; the answer's `gone()` tells."""
    made = []

    def start(handle):
        made.append(Watch(handle.fileno()))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def made():
    """Make descriptors; those that are left open are closed."""
    numbers = []

    def keep(number):
        numbers.append(number)
        return number

    yield keep
    for number in numbers:
        with contextlib.suppress(OSError):
            os.close(number)


@pytest.fixture
def foreign(made):
    """Foreign memory, with these seals."""

    def make(seals=0, data=b"foreign", size=100_000):
        number = made(os.memfd_create("foreign", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        os.ftruncate(number, size)
        os.pwrite(number, data[:size], 0)
        with contextlib.suppress(OSError):  # an older kernel has not all of them
            fcntl(number, _F_ADD_SEALS, seals)
        return number

    return make
