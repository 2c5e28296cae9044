"""Sockets, pipes, and second processes at the other end of a socket."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

import pyipc
from pyipc import fds

RUN_FUNCTION = Path(__file__).parents[1] / "children" / "run_function.py"
KINDS = ["seqpacket", "datagram", "stream"]

# Becomes another user only once everything is imported that its files may forbid to read.
START = """
def start_{name}(say, hear, number, user, *arguments):
    import os
    import resource
    import signal
    import socket

    import pyipc.fds
    import pyipc.memory

    sock = socket.socket(fileno=number)
    sock.set_inheritable(False)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    {name}(say, hear, sock, *arguments)
"""


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def keep():
    """Close it when the test ends."""
    with contextlib.ExitStack() as kept:
        yield kept.enter_context


@pytest.fixture
def pair(keep):
    """Two connected sockets of a kind, closed when the test ends."""

    def make(kind="seqpacket"):
        return tuple(map(keep, fds.socketpair(kind)))

    return make


@pytest.fixture
def pipes(keep):
    """Make pipes, as pairs of unbuffered files; reading does not wait."""

    def make():
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        return keep(open(reading, "rb", 0)), keep(open(writing, "wb", 0))

    return make


@pytest.fixture
def files():
    """Two open files that are not the same."""
    with open("/dev/null") as null, open("/dev/zero") as zero:
        yield null, zero


@pytest.fixture
def partner(process):
    """Run a function in a second process, with a socket that is its own from now on.

    The function gets `say`, `hear`, the socket, and the arguments. It comes without its module, so it
    imports what it uses. `user` is the uid to become.
    """

    def start(program, sock, *arguments, user=None):
        name, source = program.__name__, textwrap.dedent(inspect.getsource(program))
        environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
        with sock:
            if user is not None and os.geteuid() != 0:
                pytest.skip("only root can become another user")
            started = process([sys.executable, RUN_FUNCTION], env=environment, pass_fds=[sock.fileno()])
            source += START.format(name=name)
            started.say((f"start_{name}", source, (sock.fileno(), user, *arguments), None))
        return started

    return start


@pytest.fixture
def opened():
    """The descriptors that this process has open; asked one by one, for a full table cannot list them."""

    def look():
        found = set()
        for number in range(1024):
            with contextlib.suppress(OSError):
                os.fstat(number)
                found.add(number)
        return found

    return look


@pytest.fixture
def handling():
    """Handle a signal with a function, until the test ends."""
    old = {}

    def start(number, handler):
        found = signal.signal(number, handler)
        old.setdefault(number, found)

    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in old.items():
        signal.signal(number, handler)
