"""A server becomes another program, which has its listeners."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

import pyipc
from pyipc.sockets import Server, connect

PACKAGE = Path(pyipc.__file__).parent  # the one that is tested, wherever it is installed
MODELS = ("serial", "thread", "fork", "prefork", "dispatch")

# Whatever speaks sd_listen_fds(3); and not a line of it ours.
_PLAIN = """
import os, signal, socket
print((os.getpid(), os.environ["LISTEN_PID"], os.environ["LISTEN_FDNAMES"]), flush=True)
unix, tcp = socket.socket(fileno=3), socket.socket(fileno=4)
state = os.pread(5, 100, 0)
others = [number for number in range(6, 1000) if os.path.exists(f"/proc/self/fd/{number}")]
pipes = signal.getsignal(signal.SIGPIPE) != signal.SIG_IGN
print((os.environ["LISTEN_FDS"], unix.getsockname(), os.get_blocking(3), state, others), flush=True)
while True:
    with unix.accept()[0] as connection:
        if connection.recv(100) == b"end\\n":
            break
        connection.sendall(b"%d" % os.getpid())
"""

_OURS = """
import os, signal, sys
from pyipc.sockets import Server
address, times = sys.argv[1], int(sys.argv[2])
def answer(connection):
    connection.recv(100)
    connection.sendall(b"%d" % times)
def save():
    return b"after %d" % times
with Server(address.split(), answer, model=sys.argv[3], save=save) as server:
    same = "fd:served" if "fd:served" in address else "fd:3 fd:4"
    again = [sys.executable, __file__, same, str(times + 1), sys.argv[3]]
    signal.signal(signal.SIGHUP, lambda *_: server.exec_successor(*again))
    print((os.getpid(), server.addresses, server.inherited and server.inherited.read()), flush=True)
    server.serve()
print("over", flush=True)
"""


def _environment():
    path = filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYIPC_BACKEND": pyipc.backend(), "PYTHONPATH": ":".join(path)}


@pytest.fixture
def ours(process, tmp_path):
    """Our program, which becomes itself at SIGHUP."""
    program = tmp_path / "ours.py"
    program.write_text(_OURS)

    def start(address, model, prefix=()):
        words = [*prefix, sys.executable, program, address, 0, model]
        return process(map(str, words), env=_environment())

    return start


@pytest.mark.parametrize("model", MODELS)
def test_a_program_becomes_itself_under_load(model, ours, tmp_path, answer, asking):
    server = ours(f"tcp://127.0.0.1:0 unix:{tmp_path}/served", model)
    pid, addresses, state = server.hear()
    assert state is None
    client = asking(addresses)
    for times in range(3):
        server.kill(signal.SIGHUP)
        assert server.hear() == (pid, addresses, b"after %d" % times)
        assert [answer(address) for address in addresses] == [times + 1] * 2
    client.say()
    ends = client.hear()
    assert set(ends) <= {0, 1, 2, 3}, ends
    server.kill(signal.SIGTERM)
    assert server.line() == "over"
    assert server.end() == 0
    assert (tmp_path / "served").exists()  # is nobody's, and in nobody's way
    with Server(f"unix:{tmp_path}/served", print):
        pass
    assert not (tmp_path / "served").exists()


def test_any_program_can_follow(process, tmp_path, answer):
    program = (
        "import sys\n"
        "from pyipc.sockets import Server\n"
        "def become(connection): server.exec_successor(*sys.argv[2:])\n"
        "with Server(sys.argv[1].split(), become, save=lambda: b'a state') as server:\n"
        "    server.serve()\n"
    )
    path = f"{tmp_path}/served"
    environment = {**_environment(), "LISTEN_PIDFDID": "7"}
    follower = [sys.executable, "-c", _PLAIN]
    words = [sys.executable, "-c", program, f"unix:{path} tcp://127.0.0.1:0", *follower]
    server = process(words, env=environment)
    while not _reachable(path):
        time.sleep(0.001)  # between two looks at it
    assert server.hear() == (server.pid, str(server.pid), "listener:listener:state")
    assert server.hear() == ("3", path, True, b"a state", [])
    assert answer(f"unix:{path}") == server.pid
    with connect(f"unix:{path}", 20) as connection:
        connection.sendall(b"end\n")
    assert server.end() == 0


def test_what_cannot_be_executed(tmp_path):
    bad = tmp_path / "bad"
    bad.write_text("no program")
    bad.chmod(0o755)
    numbers = {name: os.readlink(f"/proc/self/fd/{name}") for name in map(str, range(3, 9)) if _exists(name)}
    with Server([f"unix:{tmp_path}/served"], print, save=lambda: b"state") as server:
        with pytest.raises(pyipc.NotFoundError, match="nothing-like-it"):
            server.exec_successor("nothing-like-it")
        server.exec_successor(str(bad))
        with pytest.raises(OSError, match="Exec format"):
            server.serve()
        assert {name: os.readlink(f"/proc/self/fd/{name}") for name in numbers} == numbers
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN


def test_one_that_is_stopped_while_it_saves_becomes_no_program(child):
    def program(say, hear):
        import threading

        from pyipc.sockets import Server

        def save():
            server.stop()
            return b"state"

        with Server("tcp://127.0.0.1:0", print, model="serial", save=save) as server:
            threading.Timer(0.01, server.exec_successor, ["echo", "'became it'"]).start()
            server.serve()
        say("came back")

    assert child(program, measured=False).hear() == "came back"


def test_one_that_has_handed_over_becomes_no_program(child, tmp_path, until):
    def old(say, hear, path):
        import threading

        from pyipc.sockets import Server

        def handler(connection):
            connection.recv(1)
            server.exec_successor("echo", "'became it'")  # its listeners are another's

        with Server("tcp://127.0.0.1:0", handler, handover=path) as server:
            threading.Timer(0.01, say, [server.address]).start()
            server.serve()
            say(server.handed_over)

    def new(say, hear, path, address):
        from pyipc.sockets import Server

        with Server(address, print, handover=path) as server:
            hear()
            server.stop()
            server.serve()

    path = f"{tmp_path}/handover"
    first = child(old, path, measured=False)
    address = first.hear()
    with connect(address, 20) as client:
        second = child(new, path, address)
        second.say()
        assert second.end() == 0
        client.sendall(b"x")
        assert first.hear() is True


_STOPPED = """
import os, signal, sys
from pyipc.sockets import Server
def answer(connection):
    with connection.makefile("rb") as lines:
        for line in lines:
            connection.sendall(line)
with Server(sys.argv[1], answer, model=sys.argv[2], concurrency=4) as server:
    def become(*_):
        server.exec_successor("true")
        print("becomes", flush=True)
    signal.signal(signal.SIGHUP, become)
    stop = server.stop
    def stopped():
        stop()
        print("stopped", flush=True)
    server.stop = stopped
    print("serves", flush=True)
    server.serve()
print("over", flush=True)
"""


@pytest.mark.parametrize("model", MODELS)
def test_who_has_queued_for_a_program_that_does_not_come_is_served(model, process, tmp_path, asleep, until):
    words = [sys.executable, "-c", _STOPPED, f"unix:{tmp_path}/served", model]
    server = process(words, env=_environment())
    assert server.line() == "serves"
    with contextlib.ExitStack() as stack:
        before = stack.enter_context(connect(f"unix:{tmp_path}/served", 20))
        before.settimeout(20)
        before.sendall(b"before\n")
        assert before.recv(100) == b"before\n"
        server.kill(signal.SIGHUP)
        assert server.line() == "becomes"
        queued = [stack.enter_context(connect(f"unix:{tmp_path}/served", 20)) for _ in range(3)]
        # Python looks for signals before it reads on: one that comes after that look waits for the client.
        until(lambda: asleep(server.pid))
        server.kill(signal.SIGTERM)
        assert server.line() == "stopped"
        before.close()
        for one in queued:
            one.settimeout(20)
            one.sendall(b"hello\n")
            one.shutdown(socket.SHUT_WR)
            assert one.recv(100) == b"hello\n"
            assert one.recv(100) == b""
    assert server.line() == "over"
    assert server.end() == 0
    assert not os.listdir(tmp_path)


def place_at_each_step(say, hear):
    """Put descriptors at 3, 4 and 5, and raise at each step of it; how often they are there afterwards."""
    import fcntl
    import os

    from each_step import at_each_step

    from pyipc.sockets import _exec

    def there():
        found = {}
        for name in os.listdir("/proc/self/fd"):
            if os.path.lexists(f"/proc/self/fd/{name}"):  # not that of this listing
                found[name] = os.readlink(f"/proc/self/fd/{name}"), os.get_inheritable(int(name))
        return found

    with open(os.devnull) as one:
        given = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 10) for _ in range(3)]
        while os.dup(0) < 5:
            pass
        os.set_inheritable(4, True)
        if not hear():
            os.close(5)
        placed = []

        def place():
            placed.append(_exec._Placed(given))
            placed[0].__enter__()
            return True

        before, kept = there(), 0
        for steps, entered in at_each_step(place, _exec):
            if entered:
                assert there() != before
            elif there() != before:
                kept += 1
            while placed:
                placed.pop().__exit__()
            assert there() == before, steps
    say((steps, kept))


@pytest.mark.parametrize("full", [True, False])
def test_a_signal_handler_that_raises_while_descriptors_are_placed(child, full):
    process = child(place_at_each_step, measured=False)
    process.say(full)
    steps, kept = process.hear(50)
    assert steps > 20
    assert kept <= 4  # of the steps that come back, after which they are to be there
    assert process.end() == 0


def _reachable(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _exists(name):
    return os.path.lexists(f"/proc/self/fd/{name}")


def test_systemd_first_and_then_itself(ours, tmp_path, answer):
    if not shutil.which("systemd-socket-activate"):
        pytest.skip("systemd-socket-activate is not installed")
    path = tmp_path / "served"
    passed = [f"--setenv={name}" for name in ("PYIPC_BACKEND", "PYTHONPATH")]
    prefix = ["systemd-socket-activate", "--fdname=served", f"--listen={path}", *passed]
    server = ours("fd:served", "thread", prefix)
    while not _reachable(path):
        time.sleep(0.001)  # between two looks at it
    with connect(f"unix:{path}", 20) as connection:
        connection.sendall(b"hello\n")
        pid, addresses, state = server.hear()
        assert addresses == [f"unix:{path}"]
        assert state is None
        connection.settimeout(20)
        assert int(connection.recv(100)) == 0
    server.kill(signal.SIGHUP)
    assert server.hear() == (pid, addresses, b"after 0")
    assert answer(addresses[0]) == 1
    server.kill(signal.SIGTERM)
    assert server.line() == "over"
    assert server.end() == 0
    assert path.exists()  # systemd's
