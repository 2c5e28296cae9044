"""Connections: whom they reach, by when, and what is said of whom they do not reach."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

import pyipc
from pyipc import signals, sockets
from pyipc.sockets import connecting, resolving


@pytest.fixture
def place():
    """A directory whose path is short."""
    place = tempfile.mkdtemp(prefix="pyipc-")
    yield place
    shutil.rmtree(place)


def port_of(listener):
    return listener.getsockname()[1]


def meet(listener, address, timeout=10):
    """Connect, and see that it is that listener whom it reaches."""
    with sockets.connect(address, timeout) as client:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"hello")
            assert client.recv(5) == b"hello"
            return client.gettimeout(), client.getpeername()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture
def full():
    """Where a listener is that has no room for one more, and drops whoever tries."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()


# ---- whom it reaches ----


def test_a_host_by_address_and_by_name():
    with sockets.listen("tcp://127.0.0.1:0") as listener:
        for host in "127.0.0.1", "localhost", "":
            timeout, _ = meet(listener, f"tcp://{host}:{port_of(listener)}")
            assert timeout is None
        meet(listener, f"tcp://localhost:{port_of(listener)}", timeout=None)


@pytest.mark.needs_ipv6
def test_a_host_of_ipv6():
    with sockets.listen("tcp://[::1]:0") as listener:
        assert listener.address == f"tcp://[::1]:{port_of(listener)}"
        meet(listener, listener.address)
        with pytest.raises(pyipc.PeerGoneError):
            sockets.connect(f"tcp://127.0.0.1:{port_of(listener)}", 5)


def test_a_default_timeout_of_the_socket_module_does_not_matter():
    socket.setdefaulttimeout(7)
    try:
        with sockets.listen("tcp://127.0.0.1:0") as listener:
            listener.settimeout(None)
            assert meet(listener, listener.address)[0] is None
    finally:
        socket.setdefaulttimeout(None)


def test_a_service_by_name():
    services = {}
    with contextlib.suppress(OSError), open("/etc/services") as file:
        for line in file:
            words = line.partition("#")[0].split()
            if len(words) > 1 and words[1].endswith("/tcp"):
                services[words[0]] = int(words[1][:-4])
    for name, port in services.items():
        if port < 1024 and os.geteuid():
            continue
        try:
            listener = sockets.listen(f"tcp://127.0.0.1:{name}")
        except pyipc.AlreadyExistsError:
            continue
        with listener:
            assert port_of(listener) == port
            assert meet(listener, f"tcp://127.0.0.1:{name}")[1] == ("127.0.0.1", port)
        return
    pytest.skip("there is no /etc/services with a port to be had")


def test_there_is_no_such_service():
    with pytest.raises(pyipc.NotFoundError):
        sockets.connect("tcp://127.0.0.1:no-such-service", 5)


def test_datagrams_of_one_host(place):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with sockets.connect(sockets.address_of(other), timeout=0) as sock:
            sock.send(b"ask")
            assert other.recvfrom(9) == (b"ask", sock.getsockname())


@pytest.mark.parametrize("name", ["sock", "d/" * 60 + "sock", "é sock"])
def test_a_path_of_any_length(place, name):
    path = os.path.join(place, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with sockets.listen(f"unix:{path}") as listener:
        assert meet(listener, f"unix:{path}")[0] is None


def test_a_relative_path(place, monkeypatch):
    monkeypatch.chdir(place)
    with sockets.listen("unix:sock") as listener:
        meet(listener, "unix:sock")


def test_an_abstract_name():
    name = f"unix:@pyipc test {os.getpid()}"
    with sockets.listen(name) as listener:
        meet(listener, name)
    with pytest.raises(pyipc.PeerGoneError):
        sockets.connect(name, 5)


def test_of_several_addresses_each_has_its_share_of_the_time(full, monkeypatch):
    with sockets.listen("tcp://127.0.0.1:0") as listener:
        found = [
            (socket.AF_INET, full),
            (socket.AF_INET, ("127.0.0.3", free_port())),
            (socket.AF_INET, listener.getsockname()),
        ]
        monkeypatch.setattr(connecting, "resolve", lambda *_, **__: found)
        began = time.monotonic()
        meet(listener, "tcp://several:1", timeout=0.9)
        assert 0.3 <= time.monotonic() - began < 0.9


# ---- and when it does not ----


def test_nobody_listens_there(place):
    for address in (
        f"tcp://127.0.0.1:{free_port()}",
        f"tcp://localhost:{free_port()}",
        f"unix:@pyipc nobody {os.getpid()}",
    ):
        for timeout in 5, None, 0:
            with pytest.raises(pyipc.PeerGoneError, match=address.replace("@", ".")):
                sockets.connect(address, timeout if "localhost" not in address else 5)
    path = f"{place}/sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
    with pytest.raises(pyipc.PeerGoneError):
        sockets.connect(f"unix:{path}", 5)


def test_there_is_no_such_path_or_directory(place):
    for name in "no-such", "no-such/sock", "d" * 120 + "/sock":
        with pytest.raises(pyipc.NotFoundError):
            sockets.connect(f"unix:{place}/{name}", 5)


def test_a_name_that_is_too_long_for_any_path():
    with pytest.raises(ValueError, match="82 bytes"):
        sockets.connect(f"unix:/{'d/' * 60}{'n' * 83}", 5)


def test_a_full_backlog_ends_with_the_timeout(full, place):
    began = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):
        sockets.connect(f"tcp://127.0.0.2:{full[1]}", 0.2)
    assert 0.2 <= time.monotonic() - began < 5
    with pytest.raises(pyipc.WouldBlockError):
        sockets.connect(f"tcp://127.0.0.2:{full[1]}", 0)


def test_a_full_backlog_of_a_path_is_waited_for(place, waiter, asleep):
    with sockets.listen(f"unix:{place}/sock", backlog=0) as listener:
        first = sockets.connect(listener.address, 0)
        with first:
            with pytest.raises(pyipc.WouldBlockError):
                sockets.connect(listener.address, 0)
            began = time.monotonic()
            with pytest.raises(pyipc.TimedOutError):
                sockets.connect(listener.address, 0.1)
            assert 0.1 <= time.monotonic() - began < 5
            waiting = waiter(lambda: sockets.connect(listener.address, 20))
            for _ in range(2):
                listener.accept()[0].close()
            waiting.join(20)
            waiting.outcome.close()


def test_who_is_reset_at_once_is_connected_and_learns_it_later():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = sockets.address_of(listener)
        over = threading.Event()

        def reset():
            for _ in range(200):
                connection, _ = listener.accept()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()
            over.set()

        thread = threading.Thread(target=reset)
        thread.start()
        for _ in range(200):
            try:
                client = sockets.connect(address, 5)
            except pyipc.PeerGoneError:  # it was so fast that connect(2) has noticed
                continue
            with client, pytest.raises(pyipc.PeerGoneError):
                sockets.Stream(client, 5).read_exactly(1)
        thread.join()
        assert over.is_set()


def connect_to_nobody(say, hear):
    """In a network of our own, which has two ports to choose from; how often a connection met itself."""
    import fcntl
    import socket
    import struct

    import pyipc
    from pyipc import sockets

    with socket.socket() as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP

    def choose_from(ports):
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
            file.write(f"{ports[0]} {ports[-1]}")
        return ports

    met = [0, 0]
    for port in choose_from((5000, 5001)):
        with socket.socket() as sock:
            met[0] += sock.connect_ex(("127.0.0.1", port)) == 0
    for port in choose_from((6000, 6001)):  # the others are in TIME_WAIT
        try:
            sockets.connect(f"tcp://127.0.0.1:{port}", 5).close()
            met[1] += 1
        except pyipc.PeerGoneError:
            pass
    say(met)


def test_who_was_reset_already_has_not_met_himself():
    with socket.socket() as sock:
        assert not connecting._has_met_itself(sock)


def test_nobody_meets_himself(child):
    """Where nobody listens, the kernel may choose that very port for the caller, who then has connected."""
    for prefix in ["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"]:
        if shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
            break
    else:
        pytest.skip("no network of our own to be had: needs unshare(1) and the right to use it")
    process = child(connect_to_nobody, prefix=prefix)
    theirs, ours = process.hear()
    assert theirs > 0
    assert ours == 0


def test_no_descriptor_is_free(place):
    with sockets.listen("tcp://127.0.0.1:0") as tcp, sockets.listen(f"unix:{place}/sock") as unix:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))
        taken = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            for address in tcp.address, unix.address, f"udp://127.0.0.1:{port_of(tcp)}":
                with pytest.raises(pyipc.LimitError) as refused:
                    sockets.connect(address, 5)
                assert refused.value.limit == "RLIMIT_NOFILE"
            for address in "tcp://127.0.0.1:0", "tcp://:0", f"unix:{place}/other", "unix:@pyipc none is free":
                with pytest.raises(pyipc.LimitError):
                    sockets.listen(address)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for number in taken:
                os.close(number)
        assert os.listdir(place) == ["sock"]


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_wrong_timeout(timeout):
    with pytest.raises(ValueError, match="timeout"):
        sockets.connect("tcp://127.0.0.1:1", timeout)


# ---- the search for a name ----


def test_a_name_that_is_found_too_late(monkeypatch, until):
    go, late = threading.Event(), []
    look = resolving._look

    def slow(host, port, kind, flags):
        if not flags & socket.AI_NUMERICHOST:
            go.wait(20)
            late.append(host)
        return look(host, port, kind, flags)

    monkeypatch.setattr(resolving, "_look", slow)
    began = time.monotonic()
    with pytest.raises(pyipc.TimedOutError, match="find 'localhost'"):
        sockets.connect("tcp://localhost:1", 0.1)
    with pytest.raises(pyipc.WouldBlockError):
        sockets.connect("tcp://localhost:1", 0)
    assert 0.1 <= time.monotonic() - began < 5
    go.set()
    until(lambda: len(late) == 2)


def test_what_the_search_raises_comes_to_who_asked(monkeypatch):
    for code, kind in [
        (socket.EAI_NONAME, pyipc.NotFoundError),
        (socket.EAI_AGAIN, pyipc.IPCError),
        (socket.EAI_FAIL, pyipc.IPCError),
    ]:

        def fail(host, port, sort, flags, code=code):
            raise socket.gaierror(socket.EAI_NONAME if flags & socket.AI_NUMERICHOST else code, "the reason")

        monkeypatch.setattr(resolving, "_look", fail)
        for timeout in None, 5:
            with pytest.raises(kind, match="the reason"):
                sockets.connect("tcp://somewhere:1", timeout)


def test_signals_come_through_while_a_name_is_looked_for(monkeypatch, handling, ringing):
    go = threading.Event()
    look = resolving._look

    def slow(host, port, kind, flags):
        if not flags & socket.AI_NUMERICHOST:
            go.wait(20)
        return look(host, port, kind, flags)

    def strike(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(resolving, "_look", slow)
    handling(signal.SIGALRM, strike)
    with pytest.raises(KeyboardInterrupt), ringing(0.1):
        sockets.connect("tcp://localhost:1", 20)
    go.set()


# ---- signal handlers that raise ----


@pytest.mark.needs("signals")
def test_a_deadline_of_signals_is_not_taken_for_an_address_that_failed(full, monkeypatch):
    with sockets.listen("tcp://127.0.0.1:0") as listener:
        found = [(socket.AF_INET, full), (socket.AF_INET, listener.getsockname())]
        monkeypatch.setattr(connecting, "resolve", lambda *_, **__: found)
        with pytest.raises(pyipc.TimedOutError, match=r"0\.1"), signals.deadline(0.1):
            sockets.connect("tcp://several:1")


def interrupt_at_each_step(say, hear, address):
    """Connect, and raise at each step of it; nothing is open afterwards."""
    from each_step import at_each_step, open_files

    from pyipc import _unix_path, sockets
    from pyipc.sockets import _binding, addresses, connecting

    sockets.connect(address, 20).close()  # so that all is imported
    before = open_files()
    for steps, sock in at_each_step(
        lambda: sockets.connect(address, 20), connecting, _binding, addresses, _unix_path
    ):
        if sock is not None:
            sock.close()
        sock = None
        assert open_files() == before, steps
    say(steps)


@pytest.mark.parametrize("kind", ["tcp", "unix", "long"])
def test_a_signal_handler_that_raises_at_any_step_leaves_nothing(child, place, kind):
    path = f"{place}/{'d/' * 60 * (kind == 'long')}sock"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with sockets.listen("tcp://127.0.0.1:0" if kind == "tcp" else f"unix:{path}") as listener:
        process = child(interrupt_at_each_step, listener.address, measured=False)
        assert process.hear(50) > 20
        assert process.end() == 0
