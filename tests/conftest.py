"""What every test has: a check that it leaves nothing behind, and real processes to talk to."""

from __future__ import annotations

import ast
import contextlib
import ctypes
import fcntl
import functools
import gc
import inspect
import os
import platform
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
from pathlib import Path

import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir

import pyipc
import pyipc.posix  # the same
import pyipc.sysv

# It opens what it opens now, not within some test. And it starts threads, which inherit what is blocked:
# a signal to the process is for the thread of the tests.
_UNBLOCKED = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
import numpy  # noqa: E402, F401  # only now

signal.pthread_sigmask(signal.SIG_SETMASK, _UNBLOCKED)

CHILDREN = Path(__file__).parent / "children"
NOBODY = 65534
COUNTS_REFERENCES = sys.implementation.name == "cpython"  # else garbage may be there for long
PATIENCE = 20.0  # seconds: longer than anything here takes on a busy machine

# No database, and what it keeps besides goes with the run: tests leave no files behind.
HYPOTHESIS_HOME = tempfile.mkdtemp(prefix="pyipc-tests-")
set_hypothesis_home_dir(HYPOTHESIS_HOME)
hypothesis.settings.register_profile("pyipc", database=None, deadline=None, max_examples=40)
hypothesis.settings.load_profile("pyipc")


def pytest_configure(config):
    # A shell that starts a job in the background lets it, and its children, ignore these two.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    config.addinivalue_line("markers", "needs(*capabilities): skipped where the backend lacks one of them")
    config.addinivalue_line("markers", "needs_ipv6: skipped where this machine has none")


def pytest_unconfigure():
    shutil.rmtree(HYPOTHESIS_HOME, ignore_errors=True)


def pytest_report_header():
    return f"pyipc {pyipc.__version__}, backend {pyipc.backend()}"


def pytest_runtest_setup(item):
    able = pyipc.capabilities()
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            if not able[name]:
                pytest.skip(f"the {pyipc.backend()} backend has no {name}")
    if item.get_closest_marker("needs_ipv6") and not _has_ipv6():
        pytest.skip("this machine has no ::1")


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


# ---- nothing is left behind ----


def _descriptors():
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that listed them
            found.add(f"descriptor {number}: {os.readlink(f'/proc/self/fd/{number}')}")
    return found


def _parent_is_us(pid):
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
    return False


def _children():
    """Of each thread, as the kernel keeps them; to look at every process takes a hundred times as long."""
    pids = []
    for thread in os.listdir("/proc/self/task"):
        try:
            pids += Path(f"/proc/self/task/{thread}/children").read_text().split()
        except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
            pids += filter(_parent_is_us, filter(str.isdigit, os.listdir("/proc")))
    return {f"child {pid}: {_name(pid)}" for pid in pids}


def _name(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return "gone"


def _objects():
    found = set()
    for table, kind in ("shm", "segment"), ("sem", "semaphore set"), ("msg", "message queue"):
        for line in Path(f"/proc/sysvipc/{table}").read_text().splitlines()[1:]:
            key, id = line.split()[:2]
            found.add(f"{kind} id {id}, key {key}")
    return found


def _files():
    place = "/dev/shm"
    return {f"file {place}/{name}" for name in os.listdir(place)} if os.path.isdir(place) else set()


@functools.cache
def _queue_folder():
    """Where POSIX message queues are listed: if /dev/mqueue is none, a mount of our own that has no place.

    Kept open for ever. None without the right to mount (fsopen, fsconfig, fsmount).
    """
    if os.path.ismount("/dev/mqueue"):
        return os.open("/dev/mqueue", os.O_RDONLY | os.O_DIRECTORY)
    syscall = ctypes.CDLL(None).syscall
    cloexec, create = 1, 6  # FSOPEN_CLOEXEC and FSMOUNT_CLOEXEC; FSCONFIG_CMD_CREATE
    context = syscall(430, b"mqueue", cloexec)
    if context < 0:
        return None
    try:
        made = syscall(431, context, create, None, None, 0) == 0
        mounted = syscall(432, context, cloexec, 0) if made else -1
        if mounted < 0:
            return None
        try:
            return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mounted)
        finally:
            os.close(mounted)
    finally:
        os.close(context)


def _queues():
    folder = _queue_folder()
    return set() if folder is None else {f"POSIX message queue /{name}" for name in os.listdir(folder)}


def _threads():
    return {f"thread {thread.name}" for thread in threading.enumerate()}


def _everything():
    return _descriptors() | _children() | _objects() | _files() | _queues() | _threads()


def _remove_objects(leaks):
    for leak in leaks:
        kind, _, rest = leak.partition(" id ")
        switch = {"segment": "-m", "semaphore set": "-s", "message queue": "-q"}.get(kind)
        if switch:
            subprocess.run(["ipcrm", switch, rest.split(",")[0]], check=False)


@pytest.fixture(autouse=True)
def _leaves_nothing_behind():
    _queue_folder()  # opens what it opens now
    before = _everything()
    yield
    give_up = time.monotonic() + 2
    while True:
        if not COUNTS_REFERENCES:
            gc.collect()
        leaks = _everything() - before
        # A thread that was joined, a process that was reaped and whatever the rest of the machine
        # is doing may need a moment.
        if not leaks or time.monotonic() > give_up:
            break
        time.sleep(0.01)  # between two looks at the kernel's lists
    _remove_objects(leaks)  # so that one leak is one failure
    assert not leaks, "left behind: " + "; ".join(sorted(leaks))


# ---- facts ----


def _until(fact, timeout=PATIENCE):
    """Wait until `fact()` is true, and give back what it said."""
    give_up = time.monotonic() + timeout
    while True:
        answer = fact()
        if answer:
            return answer
        assert time.monotonic() < give_up, f"not within {timeout} s: {inspect.getsource(fact).strip()}"
        time.sleep(0.001)  # between two looks at the fact


_WAITS = {
    # semop, msgsnd, msgrcv, semtimedop; clock_nanosleep, select and pselect6 of naps between tries;
    # poll and ppoll; epoll_wait and epoll_pwait; recvfrom
    "x86_64": {65, 69, 70, 220, 230, 23, 270, 7, 271, 232, 281, 45},
    "aarch64": {193, 189, 188, 192, 115, 72, 73, 22, 207},
}.get("" if os.environ.get("PYIPC_EMULATED") else platform.machine())  # else they are those of another


def _asleep(pid, thread=None):
    """Whether that thread sleeps in the kernel, in a call that waits for somebody."""
    task = f"/proc/{pid}/task/{thread or pid}"
    try:
        call = Path(f"{task}/syscall").read_text().split()[0]
        if _WAITS is not None:
            return call.isdigit() and int(call) in _WAITS
    except OSError:
        pass  # not every kernel tells
    return Path(f"{task}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def _lives_on(group):
    """Whether a process of that group is more than a zombie, for whom who has adopted it takes his time."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            state, _, of = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:3]
            if int(of) == group and state != "Z":
                return True
    return False


@pytest.fixture
def until():
    return _until


@pytest.fixture
def asleep():
    return _asleep


@contextlib.contextmanager
def _costs_little():
    began, started = time.thread_time(), time.monotonic()
    yield
    took = time.monotonic() - started
    assert time.thread_time() - began < max(0.02, took / 4)


@pytest.fixture
def costs_little():
    """`with costs_little(): ...`: this thread sleeps there.

    A busy machine makes each wake cost many times as much, and coverage, too; but who looks again and
    again takes all the time, or half of it beside another suite.
    """
    return _costs_little


@pytest.fixture
def key():
    """A key that nobody uses."""
    taken = _objects()
    while True:
        chosen = int.from_bytes(os.urandom(3), "little") + 0x50000000
        if not any(line.endswith(f"key {chosen}") for line in taken):
            return chosen


@pytest.fixture
def huge_page_pool():
    """The machine's pool of pages of 2 MiB, which is this test's alone: another suite may run beside us."""
    pool = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
    if not pool.exists():
        pytest.skip("this kernel has no huge pages of 2 MiB")
    directory = os.open(pool, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield pool
    finally:
        os.close(directory)


@contextlib.contextmanager
def _ringing(seconds, interval=0.0):
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, interval)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture
def ringing():
    """`with pytest.raises(...), ringing(0.05): ...`: SIGALRM comes in it, and never before it or after.

    Two lines, one that sets the timer and one that begins the block, may be as far apart as a busy machine
    likes.
    """
    return _ringing


@pytest.fixture
def handling():
    """Handle a signal with a function, until the test ends."""
    old = {}

    def handle(number, function):
        old.setdefault(number, signal.signal(number, function))

    yield handle
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, before in old.items():
        signal.signal(number, before)


# ---- threads, other processes ----


class Waiter(threading.Thread):
    """A thread in a call; what it gave or raised, once it is joined."""

    def __init__(self, call):
        super().__init__()
        self.call = call
        self.outcome = None
        self.start()

    def run(self):
        try:
            self.outcome = self.call()
        except Exception as problem:  # the test looks at which it is
            self.outcome = problem


@pytest.fixture
def waiter():
    """Run a call in a thread."""
    return Waiter


class Process:
    """A child that answers by lines."""

    def __init__(self, argv, **options):
        self._popen = subprocess.Popen(
            [os.fspath(word) for word in argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # so that its own children can be killed with it
            **options,
        )
        self.pid = self._popen.pid
        self._seen = b""

    def line(self, timeout=PATIENCE):
        """The next line that it wrote."""
        give_up = time.monotonic() + timeout
        out = self._popen.stdout.fileno()
        while b"\n" not in self._seen:
            ready, _, _ = select.select([out], [], [], max(0, give_up - time.monotonic()))
            assert ready, f"no answer within {timeout} s from {self._popen.args}"
            more = os.read(out, 65536)
            assert more, f"ended with {self._popen.wait()} before it answered: {self._popen.args}"
            self._seen += more
        line, _, self._seen = self._seen.partition(b"\n")
        return line.decode()

    def hear(self, timeout=PATIENCE):
        """The next value that it said."""
        return ast.literal_eval(self.line(timeout))

    def has_said(self):
        """Whether it wrote something that nobody has heard yet."""
        return bool(self._seen or select.select([self._popen.stdout], [], [], 0)[0])

    def say(self, value=None):
        os.write(self._popen.stdin.fileno(), f"{value!r}\n".encode())

    def kill(self, number=signal.SIGKILL):
        self._popen.send_signal(number)

    def kill_all(self):
        """SIGKILL, for its children too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def clear_away(self):
        """End it and its children; the tracker of multiprocessing last, which SIGTERM does not end.

        Killed with the others, it could not remove the semaphores that they had.
        """
        self.kill()
        self.end()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
            give_up = time.monotonic() + 1
            while time.monotonic() < give_up and _lives_on(self.pid):
                time.sleep(0.01)  # between two looks whether they have gone
            os.killpg(self.pid, signal.SIGKILL)

    def end(self, timeout=PATIENCE):
        """Its exit status, or minus the signal."""
        try:
            return self._popen.wait(timeout)
        finally:
            self._popen.stdin.close()
            self._popen.stdout.close()


@pytest.fixture
def process():
    """Start any program; it is killed and reaped at the end of the test."""
    started = []

    def start(argv, **options):
        started.append(Process(argv, **options))
        return started[-1]

    yield start
    for child in started:
        child.clear_away()


@pytest.fixture
def has_ipv6():
    return _has_ipv6()


@pytest.fixture
def child(process):
    """Run a function (or a script of tests/children/) in a second Python process.

    The function gets `say`, `hear` and the arguments; it comes without its module, so it imports
    what it uses. `prefix` is put before the interpreter, `user` is the uid to become.
    What measures coverage brings multiprocessing along, and handlers that raise at any moment may
    do so within it, whereupon it waits for itself: then the child is not to be `measured`.
    """

    def start(program, *arguments, user=None, prefix=(), env=None, measured=True):
        environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend(), **(env or {})}
        if not measured:
            environment.pop("COVERAGE_PROCESS_CONFIG", None)
        if isinstance(program, str):
            words = [CHILDREN / program, *map(str, arguments)]
            return process([*prefix, sys.executable, *words], env=environment)
        started = process([*prefix, sys.executable, CHILDREN / "run_function.py"], env=environment)
        source = textwrap.dedent(inspect.getsource(program))
        started.say((program.__name__, source, arguments, user))
        return started

    return start


@pytest.fixture
def unprivileged(child):
    """Run a function as a user who may nothing."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def start(program, *arguments):
        return child(program, *arguments, user=NOBODY)

    return start


@pytest.fixture(scope="session")
def _namespace_prefix():
    if not shutil.which("unshare"):
        return None
    for prefix in ["unshare", "--ipc"], ["unshare", "--user", "--map-root-user", "--ipc"]:
        attempt = [*prefix, "sh", "-c", "echo 7 >/proc/sys/kernel/shmmni"]
        if subprocess.run(attempt, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return prefix
    return None


@pytest.fixture
def namespace(child, _namespace_prefix):
    """Run a function in an IPC namespace of its own, where it may change the kernel's limits."""
    if _namespace_prefix is None:
        pytest.skip("no IPC namespace of our own to be had: needs unshare(1) and the right to use it")

    def start(program, *arguments):
        return child(program, *arguments, prefix=_namespace_prefix)

    return start


@pytest.fixture
def perl(process):
    """Run a Perl program; it answers by lines."""
    if not shutil.which("perl"):
        pytest.skip("perl is not installed")

    def start(program, *arguments):
        return process(["perl", "-w", "-Mstrict", "-e", f"$| = 1; {program}", *map(str, arguments)])

    return start


def _compile(name, tmp_path_factory):
    compiler = shutil.which("cc")
    if not compiler:
        return None
    program = tmp_path_factory.mktemp("peer") / name
    subprocess.run([compiler, "-Wall", "-Werror", "-o", program, CHILDREN / f"{name}.c"], check=True)
    return program


@pytest.fixture(scope="session")
def _compiled(tmp_path_factory):
    return _compile("peer", tmp_path_factory)


@pytest.fixture
def peer(process, _compiled):
    """Run the C peer, tests/children/peer.c."""
    if _compiled is None:
        pytest.skip("there is no C compiler")

    def start(*arguments):
        return process([_compiled, *map(str, arguments)])

    return start


@pytest.fixture(scope="session")
def _compiled_fds_peer(tmp_path_factory):
    return _compile("fds_peer", tmp_path_factory)


@pytest.fixture
def fds_peer(process, _compiled_fds_peer):
    """Run the C peer of tests/children/fds_peer.c; the socket is its own from now on."""
    if _compiled_fds_peer is None:
        pytest.skip("there is no C compiler")

    def start(mode, sock, *arguments):
        with sock:
            words = [_compiled_fds_peer, mode, sock.fileno(), *arguments]
            return process(map(str, words), pass_fds=[sock.fileno()])

    return start


# ---- forked ones ----


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
