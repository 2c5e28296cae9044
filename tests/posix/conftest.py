"""What tests of POSIX objects share: names, peers in C, a /dev of one's own, a clock that is wrong."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

import pyipc
from pyipc import posix

CHILDREN = Path(__file__).parents[1] / "children"


@pytest.fixture
def names():
    """Make a name that nobody has; what still has one in the end, a test that failed has left behind."""
    given = []

    def fresh():
        given.append(f"/pyipc-test-{os.urandom(6).hex()}")
        return given[-1]

    yield fresh
    for name in given:
        with contextlib.suppress(pyipc.IPCError, OSError), posix.MessageQueue.open(name) as queue:
            queue.remove()


@pytest.fixture
def name(names):
    return names()


# ---- who waits ----

_NUMBERS = {
    # futex; mq_timedsend, mq_timedreceive, poll, ppoll, clock_nanosleep, select, pselect6
    "x86_64": (202, {242, 243, 7, 271, 230, 23, 270}),
    "aarch64": (98, {182, 183, 73, 115, 72}),
}.get(platform.machine(), (None, None))


@pytest.fixture
def asleep():
    """Whether a thread sleeps in a call that waits for somebody else's semaphore or message.

    CPython's own locks are futexes, too, but not such as are shared with other processes.
    """
    futex, others = _NUMBERS

    def look(pid, thread=None):
        task = f"/proc/{pid}/task/{thread or pid}"
        try:
            fields = Path(f"{task}/syscall").read_text().split()
            if futex is not None:
                if not fields[0].isdigit():
                    return False
                number = int(fields[0])
                return number in others or (number == futex and not int(fields[2], 16) & 0x80)
        except OSError:
            pass  # not every kernel tells
        return Path(f"{task}/stat").read_text().rpartition(")")[2].split()[0] == "S"

    return look


# ---- peers in C ----


@pytest.fixture(scope="session")
def _compiled_posix_peer(tmp_path_factory):
    return _compile("posix_peer", tmp_path_factory, "-lrt", "-pthread")


def _compile(name, tmp_path_factory, *options):
    compiler = shutil.which("cc")
    if not compiler:
        return None
    program = tmp_path_factory.mktemp("peer") / name
    words = [compiler, "-Wall", "-Werror", "-o", program, CHILDREN / f"{name}.c", *options]
    subprocess.run(words, check=True)
    return program


@pytest.fixture
def posix_peer(process, _compiled_posix_peer):
    """Run the C peer of tests/children/posix_peer.c; it has opened or made what it should."""
    if _compiled_posix_peer is None:
        pytest.skip("there is no C compiler")

    def start(*arguments, **options):
        other = process([_compiled_posix_peer, *map(str, arguments)], **options)
        assert other.line() == "ready"
        return other

    return start


@pytest.fixture
def ask():
    """Say something to a peer in C, and hear the answer."""

    def ask(other, words):
        other.say(words)
        return other.line()

    return ask


# ---- a wall clock that is wrong ----


@pytest.fixture(scope="session")
def _compiled_wrong_clock(tmp_path_factory):
    return _compile("wrong_clock", tmp_path_factory, "-shared", "-fPIC", "-lrt", "-pthread")


class WrongClock:
    def __init__(self, library, path):
        self._path = path
        path.write_bytes(bytes(8))
        self.env = {"LD_PRELOAD": str(library), "WRONG_CLOCK": str(path)}

    def set(self, seconds):
        """From now on it goes wrong by so much."""
        with open(self._path, "r+b", buffering=0) as file:
            file.write(struct.pack("q", int(seconds * 1e9)))


@pytest.fixture
def wrong_clock(_compiled_wrong_clock, tmp_path):
    if _compiled_wrong_clock is None:
        pytest.skip("there is no C compiler")
    return WrongClock(_compiled_wrong_clock, tmp_path / "clock")


# ---- a /dev, and limits, of one's own ----

_OWN_DEV = """
set -e
d=$(mktemp -d)
mount -t tmpfs none "$d"
mkdir "$d/shm" "$d/mqueue"
for f in null urandom; do : >"$d/$f"; mount --bind "/dev/$f" "$d/$f"; done
mount -t mqueue none "$d/mqueue"
mount -t tmpfs -o "size=$1,mode=1777" none "$d/shm"
mount --move "$d" /dev
rmdir "$d"
shift
exec "$@"
"""


@pytest.fixture
def own_dev(child):
    """Run a function where /dev/shm has this size, /dev/mqueue is mounted, and limits are the child's own."""
    unshare = shutil.which("unshare")
    able = (
        unshare
        and not subprocess.run(
            [unshare, "--ipc", "--mount", "sh", "-c", _OWN_DEV, "sh", "64k", "true"],
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode
    )
    if not able:
        pytest.skip("no namespaces of our own to be had: needs unshare(1) and the right to mount")

    def start(program, *arguments, size="64m", **options):
        prefix = [unshare, "--ipc", "--mount", "sh", "-c", _OWN_DEV, "sh", size]
        return child(program, *arguments, prefix=prefix, **options)

    return start
