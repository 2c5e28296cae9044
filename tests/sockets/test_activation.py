"""Sockets that a service manager opens: systemd-socket-activate, and a manager of our own."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
import tempfile
import textwrap

import pytest

import pyipc
from pyipc import fds, sockets

ACTIVATE = shutil.which("systemd-socket-activate")
needs_systemd = pytest.mark.skipif(ACTIVATE is None, reason="systemd-socket-activate is not installed")

SERVER = """
    import os, socket, sys
    import pyipc
    from pyipc import sockets

    def answer(address):
        try:
            with sockets.listen(address) as listener:
                listener.settimeout(20)
                connection, _ = listener.accept()
                number = listener.fileno()
                with connection:
                    connection.sendall(f"{listener.address} {number} {os.get_inheritable(number)}".encode())
        except pyipc.IPCError as problem:
            print(type(problem).__name__, problem, flush=True)

    for address in sys.argv[1:]:
        answer(address)
    print([name for name, _ in sockets.activated()], flush=True)
"""


@pytest.fixture
def place():
    """A directory whose path is short."""
    place = tempfile.mkdtemp(prefix="pyipc-")
    yield place
    shutil.rmtree(place)


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "server.py"
    path.write_text(textwrap.dedent(SERVER))
    return path


@pytest.fixture
def activate(process, program, until):
    """Let systemd listen, and start the program at the first connection."""

    def start(options, *addresses):
        words = [ACTIVATE, *options, "-E", f"PYIPC_BACKEND={pyipc.backend()}"]
        if "PYTHONPATH" in os.environ:
            words += ["-E", "PYTHONPATH"]
        return process([*words, sys.executable, program, *addresses])

    return start


def ask(address, until):
    """What the server has to say of itself; it may not listen yet."""

    def asked():
        try:
            return sockets.connect(address, 10)
        except (pyipc.PeerGoneError, pyipc.NotFoundError):
            return None

    with sockets.Stream(until(asked), 20) as stream:
        return stream.read_all(1000).decode()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@needs_systemd
@pytest.mark.parametrize("given", ["fd:", "fd:3", "fd:web"])
def test_a_path_of_systemd_is_listened_at_and_not_removed(activate, place, until, given):
    address = f"unix:{place}/sock"
    server = activate(["-l", f"{place}/sock", "--fdname=web"], given)
    assert ask(address, until) == f"{address} 3 False"
    assert server.line() == "[]"
    assert server.end() == 0
    assert os.listdir(place) == ["sock"]


@needs_systemd
def test_several_by_their_names(activate, place, until):
    port = free_port()
    options = ["-l", f"{place}/sock", "-l", f"127.0.0.1:{port}", "--fdname=first:second"]
    server = activate(options, "fd:second", "fd:first")
    assert ask(f"tcp://127.0.0.1:{port}", until) == f"tcp://127.0.0.1:{port} 4 False"
    assert ask(f"unix:{place}/sock", until) == f"unix:{place}/sock 3 False"
    assert server.line() == "[]"


@needs_systemd
def test_several_one_after_the_other(activate, place, until):
    options = ["-l", f"{place}/a", "-l", f"{place}/b"]
    server = activate(options, "fd:", "fd:")
    assert ask(f"unix:{place}/a", until) == f"unix:{place}/a 3 False"
    assert ask(f"unix:{place}/b", until) == f"unix:{place}/b 4 False"
    assert server.line() == "[]"


@needs_systemd
def test_a_name_that_is_not_there(activate, place, until):
    server = activate(["-l", f"{place}/sock", "--fdname=web"], "fd:no-such", "fd:9", "fd:web")
    assert ask(f"unix:{place}/sock", until)
    for name in "fd:no-such", "fd:9":
        line = server.line()
        assert line.startswith("NotFoundError")
        assert name in line


# ---- without systemd ----


# A manager: opens descriptors from 3 on, of all kinds, and becomes the program that they are for.
MANAGER = """
    import os, socket, sys

    place, program = sys.argv[1:]
    listening = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    for number, sock in enumerate(listening):
        sock.bind(f"{place}/{number}")
        sock.listen()
        sock.setblocking(False)
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    opened = [listening[0], datagrams, socket.socket(), open("/dev/null"), listening[1]]
    for place, one in enumerate(opened):
        os.dup2(one.fileno(), 100 + place, inheritable=False)
    for number in range(5):
        os.dup2(100 + number, 3 + number)
    os.environ.update(LISTEN_FDS="5", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="web:dgram:plain:null:web")
    os.execv(sys.executable, [sys.executable, "-c", program])
"""
LOOKS = """
    import os
    import pyipc
    from pyipc import sockets

    def say(call):
        try:
            print(repr(call()), flush=True)
        except pyipc.IPCError as problem:
            print((type(problem).__name__, problem.errno), flush=True)

    ours = dict(os.environ)
    for name, wrong in ("PID", os.getppid()), ("PID", "x"), ("FDS", "many"), ("FDS", -1):
        os.environ.update(ours)
        os.environ[f"LISTEN_{name}"] = str(wrong)
        say(sockets.activated)
    say(lambda: sockets.listen("fd:"))
    os.environ.update(ours)
    say(sockets.activated)
    say(lambda: [os.get_inheritable(number) for number in range(3, 8)])
    for name in "dgram", "plain", "null":
        say(lambda: sockets.listen(f"fd:{name}"))
    say(lambda: [number for _, number in sockets.activated()])
    first, second = sockets.listen("fd:web"), sockets.listen("fd:web")
    say(lambda: (first.fileno(), second.fileno(), first.address, second.address, first.getblocking()))
    say(lambda: sockets.listen("fd:web"))
    first.close()
    second.close()
    other = os.open("/dev/null", os.O_RDONLY)  # 3 is somebody else's now, and not to be had by that name
    say(lambda: (other, [number for _, number in sockets.activated()]))
    os.environ["LISTEN_FDS"] = str(10**9)
    say(lambda: [number for _, number in sockets.activated()])
    if os.fork() == 0:
        say(sockets.activated)
        os._exit(0)
    os.wait()
"""


def test_what_a_manager_has_opened(process, place):
    looks = textwrap.dedent(LOOKS)
    environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
    environment.pop("COVERAGE_PROCESS_CONFIG", None)  # what measures coverage opens files of its own
    manager = process([sys.executable, "-c", textwrap.dedent(MANAGER), place, looks], env=environment)
    assert [manager.hear() for _ in range(4)] == [[]] * 4  # another process's, or nonsense
    assert manager.hear() == ("NotFoundError", 2)
    assert manager.hear() == [("web", 3), ("dgram", 4), ("plain", 5), ("null", 6), ("web", 7)]
    assert manager.hear() == [False] * 5
    assert manager.hear() == ("IPCError", errno.EINVAL)
    assert manager.hear() == ("IPCError", errno.EINVAL)
    assert manager.hear() == ("IPCError", errno.ENOTSOCK)
    assert manager.hear() == [3, 4, 5, 6, 7]
    assert manager.hear() == (3, 7, f"unix:{place}/0", f"unix:{place}/1", True)
    assert manager.hear() == ("NotFoundError", 2)
    assert manager.hear() == (3, [4, 5, 6])
    assert manager.hear() == [4, 5, 6]
    assert manager.hear() == []  # of a forked child
    assert manager.end() == 0
    assert sorted(os.listdir(place)) == ["0", "1"]


# ---- what the manager is told ----


@pytest.fixture(params=["path", "abstract", "long"])
def manager(request, place, monkeypatch):
    """A socket that a manager receives from."""
    where = f"{place}/notify" if request.param != "long" else f"{place}/" + "n" * (107 - len(place) - 1)
    address = f"\0pyipc manager {os.getpid()}" if request.param == "abstract" else where
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        fds.pass_credentials(sock)
        monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
        yield sock


def test_the_manager_is_told(manager):
    assert sockets.notify("READY=1\nSTATUS=serving äöü") is True
    with fds.receive(manager, timeout=5) as message:
        assert message.data == "READY=1\nSTATUS=serving äöü".encode()
        assert message.peer.pid == os.getpid()


def test_descriptors_are_stored(manager):
    reader, writer = os.pipe()
    os.write(writer, b"kept")
    with open(reader, "rb") as ours, open(writer, "wb"):
        assert sockets.notify("FDSTORE=1\nFDNAME=pipe", [ours]) is True
        with fds.receive(manager, timeout=5) as message:
            assert message.data == b"FDSTORE=1\nFDNAME=pipe"
            assert os.read(message.fds[0].fileno(), 9) == b"kept"
        with pytest.raises(ValueError, match="FDSTORE=1"):
            sockets.notify("READY=1", [ours])
        with pytest.raises(pyipc.LimitError):
            sockets.notify("FDSTORE=1", [ours] * 254)


def test_a_manager_that_does_not_listen(manager):
    told = iter(lambda: sockets.notify("WATCHDOG=1", timeout=0), False)
    with pytest.raises(pyipc.WouldBlockError):
        all(told)
    with pytest.raises(pyipc.TimedOutError):
        sockets.notify("WATCHDOG=1", timeout=0.05)


def test_nobody_is_told_where_there_is_no_manager(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert sockets.notify("READY=1") is False
    monkeypatch.setenv("NOTIFY_SOCKET", "")
    assert sockets.notify("READY=1") is False


def test_a_manager_that_has_gone(monkeypatch, place):
    monkeypatch.setenv("NOTIFY_SOCKET", f"{place}/none")
    with pytest.raises(pyipc.NotFoundError):
        sockets.notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"{place}/dead")
    monkeypatch.setenv("NOTIFY_SOCKET", f"{place}/dead")
    with pytest.raises(pyipc.PeerGoneError):
        sockets.notify("READY=1")


@pytest.mark.parametrize("where", ["vsock:2:1234", "relative/path"])
def test_a_manager_that_we_cannot_reach(monkeypatch, where):
    monkeypatch.setenv("NOTIFY_SOCKET", where)
    with pytest.raises(pyipc.IPCError, match="no path and no abstract name"):
        sockets.notify("READY=1")


def test_systemds_own_program_says_the_same(manager, process):
    """systemd-notify(1) as the oracle."""
    if not shutil.which("systemd-notify"):
        pytest.skip("systemd-notify is not installed")
    theirs = process(["systemd-notify", "--ready", "--status=as we are"])
    with fds.receive(manager, timeout=20) as message:
        said = message.data
    with fds.receive(manager, timeout=20) as barrier:  # closed, so that it goes on
        assert b"BARRIER=1" in barrier.data
    assert theirs.end() == 0
    sockets.notify("READY=1\nSTATUS=as we are")
    with fds.receive(manager, timeout=20) as message:
        ours = message.data
    assert sorted(line for line in said.split(b"\n") if b"PID" not in line) == sorted(ours.split(b"\n"))
