"""Sockets that listen: where, who may connect, and whose name it is."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import tempfile
import threading

import pytest

import pyipc
from pyipc import sockets

NOBODY = 65534


@pytest.fixture
def place():
    """A directory whose path is short, and that everybody may use."""
    place = tempfile.mkdtemp(prefix="pyipc-")
    os.chmod(place, 0o777)
    yield place
    shutil.rmtree(place)


def port_of(listener):
    return listener.getsockname()[1]


def reached(listener, address):
    with sockets.connect(address, 5) as client:
        listener.settimeout(5)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"x")
            assert client.recv(1) == b"x"
            return True


# ---- where ----


def test_what_it_gives_are_standard_sockets():
    with sockets.listen("tcp://127.0.0.1:0") as listener:
        assert isinstance(listener, socket.socket)
        assert listener.gettimeout() is None
        assert not os.get_inheritable(listener.fileno())
        with sockets.connect(listener.address) as client:
            connection, where = listener.accept()
            with connection:
                assert type(connection) is type(client) is socket.socket
                assert where == client.getsockname()
                assert not os.get_inheritable(connection.fileno())


def test_everywhere_is_of_both_kinds(has_ipv6):
    for address in "tcp://:0", "tcp://*:0":
        with sockets.listen(address) as listener:
            assert reached(listener, f"tcp://127.0.0.1:{port_of(listener)}")
            if has_ipv6:
                assert reached(listener, f"tcp://[::1]:{port_of(listener)}")
            assert reached(listener, listener.address)
            with pytest.raises(pyipc.AlreadyExistsError):
                sockets.listen(f"tcp://127.0.0.1:{port_of(listener)}")


@pytest.mark.needs_ipv6
def test_an_address_of_ipv6_is_of_it_alone():
    with sockets.listen("tcp://[::]:0") as listener:
        with sockets.listen(f"tcp://0.0.0.0:{port_of(listener)}") as other:
            assert reached(other, f"tcp://127.0.0.1:{port_of(listener)}")
        assert reached(listener, f"tcp://[::1]:{port_of(listener)}")


def test_without_ipv6_everywhere_is_ipv4(monkeypatch):
    from pyipc.sockets import listening

    made = listening.Listener

    def make(family, kind):
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return made(family, kind)

    monkeypatch.setattr(listening, "Listener", make)
    with sockets.listen("tcp://:0") as listener:
        assert listener.family == socket.AF_INET
        assert listener.address.startswith("tcp://0.0.0.0:")


@pytest.mark.needs_ipv6
def test_of_a_name_that_is_taken_no_other_address_is_tried(monkeypatch):
    """Else a second server would start, that nobody finds."""
    from pyipc.sockets import listening

    with sockets.listen("tcp://127.0.0.1:0") as listener:
        here = [(socket.AF_INET6, ("::1", port_of(listener), 0, 0)), (socket.AF_INET, listener.getsockname())]
        monkeypatch.setattr(listening, "resolve", lambda *_, **__: here)
        with pytest.raises(pyipc.AlreadyExistsError, match=r"tcp://localhost:"):
            sockets.listen(f"tcp://localhost:{port_of(listener)}")


def test_of_a_name_the_first_address_that_is_ours(monkeypatch):
    from pyipc.sockets import listening

    found = [(socket.AF_INET, ("192.0.2.1", 0)), (socket.AF_INET, ("127.0.0.1", 0))]
    monkeypatch.setattr(listening, "resolve", lambda *_, **__: found)
    with sockets.listen("tcp://several:0") as listener:
        assert listener.address.startswith("tcp://127.0.0.1:")
        found.pop()
        with pytest.raises(pyipc.IPCError, match=r"tcp://several:"):
            sockets.listen("tcp://several:0")


def test_an_address_that_is_not_ours():
    with pytest.raises(pyipc.IPCError, match=r"192\.0\.2\.1"):
        sockets.listen("tcp://192.0.2.1:0")
    with pytest.raises(pyipc.NotFoundError):
        sockets.listen("tcp://127.0.0.1:no-such-service")


def test_a_port_of_root(unprivileged):
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        if int(file.read()) <= 1:
            pytest.skip("anybody may have any port here")

    def try_it(say, hear):
        import pyipc
        from pyipc import sockets

        try:
            sockets.listen("tcp://127.0.0.1:1")
        except pyipc.AccessError as problem:
            say(str(problem))

    assert "tcp://127.0.0.1:1" in unprivileged(try_it).hear()


def test_a_port_is_free_again_at_once_though_connections_are_not_over():
    with sockets.listen("tcp://127.0.0.1:0") as listener:
        address = listener.address
        with sockets.connect(address) as client:
            connection, _ = listener.accept()
            connection.close()  # first: so TIME_WAIT is on this side
            assert client.recv(1) == b""
    with sockets.listen(address) as listener:
        assert reached(listener, address)


def test_an_abstract_name_that_is_taken():
    name = f"unix:@pyipc listening {os.getpid()}"
    with sockets.listen(name) as listener:
        assert listener.address == name
        with pytest.raises(pyipc.AlreadyExistsError, match="pyipc listening"):
            sockets.listen(name)
    sockets.listen(name).close()


def test_the_backlog(place):
    with sockets.listen(f"unix:{place}/sock", backlog=2) as listener:
        waiting = [sockets.connect(listener.address, 0) for _ in range(3)]
        with pytest.raises(pyipc.WouldBlockError):
            sockets.connect(listener.address, 0)
        for sock in waiting:
            sock.close()
    for wrong in -1, 1 << 31, "5", 1.5, None:
        with pytest.raises(ValueError, match="backlog"):
            sockets.listen("tcp://127.0.0.1:0", backlog=wrong)


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_wrong_timeout(timeout):
    with pytest.raises(ValueError, match="timeout"):
        sockets.listen("tcp://127.0.0.1:0", timeout=timeout)


def test_what_it_accepts_waits_unless_sockets_have_a_default_timeout():
    with sockets.listen("tcp://127.0.0.1:0") as listener:
        listener.settimeout(20)
        for default in None, 7:
            with sockets.connect(listener.address, 20):
                socket.setdefaulttimeout(default)
                try:
                    connection, _ = listener.accept()
                finally:
                    socket.setdefaulttimeout(None)
                with connection:
                    assert connection.gettimeout() == default
                    assert connection.family == socket.AF_INET
                    assert connection.makefile("rb").closed is False
                assert connection.fileno() == -1


def test_it_does_not_wait_if_its_mode_says_so():
    with sockets.listen("tcp://127.0.0.1:0") as listener:
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        listener.settimeout(0.01)
        with pytest.raises(socket.timeout):  # TimeoutError from 3.10 on
            listener.accept()


# ---- paths ----


@pytest.mark.parametrize("name", ["sock", "d/" * 60 + "sock"])
def test_closing_removes_the_path_that_is_its_own(place, name):
    path = os.path.join(place, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with sockets.listen(f"unix:{path}") as listener:
        assert listener.address == sockets.address_of(listener) == f"unix:{path}"
        assert stat.S_ISSOCK(os.stat(path).st_mode)
    assert not os.path.lexists(path)
    listener.close()
    with sockets.listen(f"unix:{path}"):
        listener.close()
        assert os.path.lexists(path)


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o660, 0])
def test_the_mode_is_exact_whatever_the_umask(place, mode):
    before = os.umask(0o077)
    try:
        with sockets.listen(f"unix:{place}/sock", mode=mode):
            assert stat.S_IMODE(os.stat(f"{place}/sock").st_mode) == mode
    finally:
        os.umask(before)
    with pytest.raises(ValueError, match="mode"):
        sockets.listen(f"unix:{place}/sock", mode=0o1777)


def test_who_may_not_write_may_not_connect(place, unprivileged):
    def try_it(say, hear, address):
        import pyipc
        from pyipc import sockets

        try:
            sockets.connect(address, 5)
        except pyipc.AccessError:
            say("no")

    with sockets.listen(f"unix:{place}/sock") as listener:
        assert unprivileged(try_it, listener.address).hear() == "no"


def test_something_else_at_the_path_stays(place):
    path = f"{place}/sock"
    for make in (lambda: open(path, "x").close()), (lambda: os.symlink("/nowhere", path)):
        make()
        before = os.lstat(path)
        with pytest.raises(pyipc.AlreadyExistsError):
            sockets.listen(f"unix:{path}")
        assert os.path.samestat(os.lstat(path), before)
        os.unlink(path)


def test_a_path_that_somebody_else_has_by_now_stays_his(place):
    path = f"{place}/sock"
    with sockets.listen(f"unix:{path}") as ours:
        os.unlink(path)
        with sockets.listen(f"unix:{path}") as other:
            ours.close()
            assert reached(other, other.address)


def test_after_detach_nothing_is_removed(place):
    path = f"{place}/sock"
    listener = sockets.listen(f"unix:{path}")
    with socket.socket(fileno=listener.detach()) as sock:
        listener.close()
        assert os.path.lexists(path)
        with sockets.connect(f"unix:{path}", 5):
            sock.accept()[0].close()


def test_a_forked_child_removes_nothing(place, fork):
    def close(child, listener):
        with listener:
            child.say(listener.address)
        child.say("closed")

    with sockets.listen(f"unix:{place}/sock") as listener:
        child = fork(close, listener)
        assert child.hear() == listener.address
        assert child.hear() == "closed"
        assert child.end() == 0
        assert reached(listener, listener.address)
    assert os.listdir(place) == []


def test_accept_in_another_thread_and_close(place, waiter):
    with sockets.listen(f"unix:{place}/sock") as listener, sockets.connect(listener.address, 5):
        waiting = waiter(lambda: listener.accept()[0].close())
        waiting.join(20)
        assert waiting.outcome is None


def serve_until_killed(say, hear, address):
    from pyipc import sockets

    with sockets.listen(address) as listener:
        say("listens")
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"alive")


def test_the_living_keep_their_path_and_the_dead_do_not(place, child):
    address = f"unix:{place}/sock"
    server = child(serve_until_killed, address)
    assert server.hear() == "listens"
    for _ in range(3):
        with pytest.raises(pyipc.AlreadyExistsError):
            sockets.listen(address)
    with sockets.connect(address, 5) as client:
        assert client.recv(5) == b"alive"
    server.kill()
    server.end()
    assert os.listdir(place) == ["sock"]
    with sockets.listen(address) as listener:
        assert reached(listener, address)
    assert os.listdir(place) == []


def start_many(say, hear, address, count):
    """So many processes that try to listen there at once; how it went for each."""
    import os
    import select
    import signal

    import pyipc
    from pyipc import sockets

    sockets.listen  # noqa: B018  # is imported before it counts
    go, tell_go = os.pipe()
    told, tell = os.pipe()
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid:
            pids.append(pid)
            continue
        try:
            os.close(tell_go)
            select.select([go], [], [])
            try:
                listener = sockets.listen(address, timeout=30)
                os.write(tell, b"%d listens\n" % os.getpid())
                while True:
                    connection, _ = listener.accept()
                    connection.sendall(b"%d" % os.getpid())
                    connection.close()
            except pyipc.AlreadyExistsError:
                os.write(tell, b"0 exists\n")
            except Exception as problem:
                os.write(tell, repr(problem).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(go)
    os.close(tell_go)
    answers = b""
    while answers.count(b"\n") < count:
        answers += os.read(told, 65536)
    say(answers.decode().splitlines())
    hear()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
    say("killed")
    hear()


@pytest.mark.timeout(120)
def test_of_a_hundred_starts_at_once_one_lives(place, child):
    address = f"unix:{place}/sock"
    for at_first in "nothing", "a dead one", "a dead one":
        starts = child(start_many, address, 100, measured=False)
        answers = sorted(starts.hear(90))
        assert answers[:99] == ["0 exists"] * 99
        pid, how = answers[99].split()
        assert how == "listens"
        with sockets.connect(address, 5) as client:
            assert client.recv(10).decode() == pid, at_first
        starts.say()
        assert starts.hear(90) == "killed"
        starts.say()
        starts.end()
        assert os.listdir(place) == ["sock"]


def test_who_has_the_directory_locked_is_not_waited_for_for_ever(place):
    import fcntl

    directory = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        with pytest.raises(pyipc.TimedOutError):
            sockets.listen(f"unix:{place}/sock", timeout=0.05)
        with pytest.raises(pyipc.WouldBlockError):
            sockets.listen(f"unix:{place}/sock", timeout=0)
    finally:
        os.close(directory)
    assert os.listdir(place) == []


def test_a_listener_is_of_one_server(place):
    """Two would take each other's clients, and the first to end would close it under the other."""
    listener, other = sockets.listen(f"unix:{place}/sock"), sockets.listen(f"unix:{place}/other")
    with sockets.Server(listener, print) as server:
        with pytest.raises(ValueError, match=r"sock already"):
            sockets.Server([other, listener], print)
        assert other.fileno() == -1
        with sockets.connect(server.address, 5):
            listener.accept()[0].close()
    twice = sockets.listen(f"unix:{place}/sock")
    with pytest.raises(ValueError, match=r"sock already"):
        sockets.Server([twice, twice], print)
    assert os.listdir(place) == []


# ---- signal handlers that raise ----


def interrupt_at_each_step(say, hear, address):
    """Listen, and raise at each step of it; what is open, and what names there are, afterwards."""
    import os
    import time

    from each_step import at_each_step, open_files

    from pyipc import _unix_path, sockets
    from pyipc.sockets import _binding, addresses, listening, resolving

    listeners = []

    def listen_and_close():
        listeners.append(sockets.listen(address))
        listeners[0].close()

    sockets.listen(address).close()  # so that all is imported
    before, kept = open_files(), 0
    path = address[5:] if address.startswith("unix:/") else "/nowhere"
    modules = listening, _binding, addresses, resolving, _unix_path
    for steps, _ in at_each_step(listen_and_close, *modules):
        while listeners:
            listeners.pop().close()
        give_up = time.monotonic() + 10
        while open_files() != before:  # a thread may be looking for the name yet
            assert time.monotonic() < give_up, steps
        kept += os.path.lexists(path)
        sockets.listen(address).close()  # whatever is there is in nobody's way
    say((steps, kept))


@pytest.mark.parametrize("kind", ["tcp", "abstract", "unix", "long"])
def test_a_signal_handler_that_raises_at_any_step_leaves_nothing(child, place, kind):
    path = f"{place}/{'d/' * 60 * (kind == 'long')}sock"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    address = {"tcp": "tcp://localhost:0", "abstract": f"unix:@pyipc steps {os.getpid()}"}.get(kind)
    process = child(interrupt_at_each_step, address or f"unix:{path}", measured=False)
    steps, kept = process.hear(50)
    assert steps > 20  # lines, where these are the steps
    assert kept <= 8  # of the steps that hand it on, after which nobody has it: the socket is dead
    assert process.end() == 0


def interrupt_accept_at_each_step(say, hear, address):
    """Accept, and raise at each step of it; nothing is open afterwards."""
    from each_step import at_each_step, open_files

    from pyipc import sockets
    from pyipc.sockets import listening

    with sockets.listen(address) as listener:

        def connect_and_accept():
            sockets.connect(listener.address, 20).close()
            return listener.accept()[0]

        listener.settimeout(20)
        connect_and_accept().close()
        before = open_files()
        for steps, connection in at_each_step(connect_and_accept, listening):
            if connection is not None:
                connection.close()
            connection = None
            assert open_files() == before, steps
    say(steps)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_signal_handler_that_raises_at_any_step_of_accept_leaves_nothing(child, place, kind):
    address = "tcp://127.0.0.1:0" if kind == "tcp" else f"unix:{place}/sock"
    process = child(interrupt_accept_at_each_step, address, measured=False)
    assert process.hear(50) > 5
    assert process.end() == 0


def test_what_a_handler_raises_while_binding_comes_through(monkeypatch):
    """An OSError of a signal handler is not taken for the kernel's."""
    from pyipc.sockets import listening

    class Interrupted(listening.Listener):
        def bind(self, target):
            raise pyipc.TimedOutError(110, "the handler's")

    monkeypatch.setattr(listening, "Listener", Interrupted)
    for address in "tcp://localhost:0", "tcp://:0", "unix:@pyipc interrupted":
        with pytest.raises(pyipc.TimedOutError, match="the handler's"):
            sockets.listen(address)


def test_threads_that_start_at_once(place):
    outcomes = []

    def start():
        try:
            outcomes.append(sockets.listen(f"unix:{place}/sock"))
        except pyipc.AlreadyExistsError:
            outcomes.append(None)

    threads = [threading.Thread(target=start) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (listener,) = filter(None, outcomes)
    assert len(outcomes) == 20
    with listener:
        assert reached(listener, listener.address)


def test_sigterm_ends_a_program_with_its_path(place, child):
    """`with` does it, as long as the signal raises something."""

    def serve(say, hear, address):
        import signal
        import sys

        from pyipc import sockets

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        with sockets.listen(address) as listener:
            say("listens")
            listener.accept()

    server = child(serve, f"unix:{place}/sock")
    server.hear()
    server.kill(signal.SIGTERM)
    assert server.end() == 3
    assert os.listdir(place) == []
