"""A process for each connection: this program again, or another."""

from __future__ import annotations

import os
import signal
import socket
import sys

import pytest

from pyipc import sockets

pytestmark = pytest.mark.timeout(50)

EACH = "fork", "program"


@pytest.mark.parametrize("model", EACH)
def test_each_connection_has_a_process_of_its_own(server, model):
    it = server(model)
    pids = {it.ask("pid") for _ in range(5)}
    assert len(pids) == 5
    assert str(it.pid) not in pids
    it.terminate()
    assert it.ended() == "ended"


@pytest.mark.parametrize("model", EACH)
def test_a_child_that_was_killed_costs_its_connection(server, model):
    it = server(model)
    with it.connect() as victim, it.connect() as other:
        pid = int(victim.ask("pid"))
        assert other.ask("echo before") == "echo before"
        os.kill(pid, signal.SIGKILL)
        assert victim.is_cut()
        [(_, _, failure, text)] = it.served()
        assert failure == "ProgramFailedError"
        assert "SIGKILL" in text
        assert other.ask("echo after") == "echo after"
    it.terminate()
    assert it.ended() == "ended"


def test_children_finish_though_their_server_is_killed(server, tmp_path):
    """And its path is the next one's at once."""
    it = server("fork", f"unix:{tmp_path}/s")
    with it.connect() as client:
        assert client.ask("echo 1") == "echo 1"
        it.child.kill()
        it.child.end()
        following = server("fork", f"unix:{tmp_path}/s")
        assert following.ask("echo 2") == "echo 2"
        assert client.ask("echo 3") == "echo 3"
        following.terminate()
        assert following.ended() == "ended"


@pytest.mark.parametrize("model", EACH)
def test_who_may_have_no_process_waits_for_one(server, model, request):
    """RLIMIT_NPROC, which counts all processes of a user, and does not bind root."""
    if os.geteuid() == 0:
        user, count = 65534, _processes_of(65534)
    else:
        user, count = None, _processes_of(os.geteuid())
    # Its two threads, and two more; who else the user has may come and go.
    it = server(model, user=user, limits={"RLIMIT_NPROC": count + 4})
    clients = [it.connect(f"echo {number}") for number in range(4)]
    heard = 0
    lost = 0
    for number, client in enumerate(clients):
        answer = client.hear()
        assert answer in (f"echo {number}", None)
        heard += answer is not None
        lost += answer is None
        client.close()
    assert heard >= 1
    failures = [failure for _, _, failure, _ in it.served(4)]
    assert failures.count("NoneType") == heard
    assert failures.count("LimitError") == lost
    it.terminate()
    assert it.ended() == "ended"


def _processes_of(user):
    found = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}").st_uid == user:
                found += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            pass
    return found


def test_a_program_that_cannot_be_started_is_in_the_log(child):
    def program(say, _hear):
        from pyipc import sockets
        from pyipc.processes import Command

        def log(served):
            say((type(served.failure).__name__, str(served.failure)))

        with sockets.Server("tcp://127.0.0.1:0", Command("/no/such/program"), log=log) as server:
            say(server.address)
            server.serve()
        say("over")

    other = child(program)
    address = other.hear()
    for _ in range(3):
        with sockets.connect(address, 20) as client:
            client.settimeout(20)
            assert client.recv(10) == b""
        name, text = other.hear()
        assert name == "NotFoundError"
        assert "/no/such/program" in text
    other.kill(signal.SIGTERM)
    assert other.hear() == "over"
    assert other.end() == 0


def test_a_program_has_the_connection_for_its_input_and_output_and_nothing_else(child):
    def program(say, _hear):
        from pyipc import sockets
        from pyipc.processes import Command

        command = Command(
            "sh", "-c", "echo $(ls /proc/self/fd); [ /proc/$$/fd/0 -ef /proc/$$/fd/1 ] && echo same"
        )
        with sockets.Server("tcp://127.0.0.1:0", command) as server:
            say(server.address)
            server.serve()

    other = child(program)
    with sockets.connect(other.hear(), 20) as client:
        client.settimeout(20)
        said = b""
        while came := client.recv(1000):
            said += came
    assert said == b"0 1 2 3\nsame\n"  # ls has the directory
    other.kill(signal.SIGTERM)
    assert other.end() == 0


def test_a_program_is_for_one_connection():
    from pyipc.processes import Command

    with pytest.raises(ValueError, match="pipeline"):
        sockets.Server("tcp://127.0.0.1:0", Command("cat") | Command("cat"))


def test_what_a_handler_of_a_signal_prints_is_printed_once(process):
    program = (
        "import os, signal\n"
        "from pyipc.sockets import Server\n"
        "signal.signal(signal.SIGHUP, lambda *_: print('reloaded'))\n"
        "def answer(connection):\n"
        "    if connection.recv(1) == b'h':\n"
        "        os.kill(os.getppid(), signal.SIGHUP)\n"
        "with Server('tcp://127.0.0.1:0', answer, model='fork') as server:\n"
        "    print(repr(server.address), flush=True)\n"
        "    server.serve()\n"
        "print(repr('over'))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    it = process([sys.executable, "-c", program], env=environment)
    address = it.hear()
    for word in b"h...":
        with sockets.connect(address, 20) as client:
            client.settimeout(20)
            client.sendall(bytes([word]))
            assert client.recv(1) == b""
    it.kill(signal.SIGTERM)
    assert [it.line(), it.line()] == ["reloaded", "'over'"]
    assert it.end() == 0


def test_a_handler_that_raises_as_a_connection_of_a_program_ends_is_what_comes_out(child):
    def program(say, hear):
        from pyipc.processes import Command
        from pyipc.sockets import Server, _ending

        real, ends = _ending.ops, []

        class Raising:
            """As a handler would, in the middle."""

            def connection_finish(self, connection):
                ends.append(connection)
                if len(ends) == 1:
                    raise ZeroDivisionError
                return real.connection_finish(connection)

        _ending.ops = Raising()
        with Server("tcp://127.0.0.1:0", Command("cat"), log=lambda served: None) as server:
            say(server.address)
            try:
                server.serve()
            except ZeroDivisionError:
                say(len(ends))

    it = child(program, measured=False)
    address = it.hear()
    with sockets.connect(address, 20) as first, sockets.connect(address, 20) as second:
        for client in (second, first):
            client.settimeout(20)
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        first.shutdown(socket.SHUT_WR)
        assert it.hear() == 3
    assert it.end() == 0


def test_children_that_the_kernel_reaps(child):
    """With SIGCHLD ignored there is nobody to kill."""

    def program(say, hear):
        import signal

        from pyipc.sockets import Server

        def reads(connection):
            connection.recv(1)

        def log(served):
            hear()  # the other child has ended, too
            raise KeyboardInterrupt

        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with Server("tcp://127.0.0.1:0", reads, model="fork", log=log) as server:
            say(server.address)
            try:
                server.serve()
            except KeyboardInterrupt:
                say("raised")

    it = child(program, measured=False)
    address = it.hear()
    with sockets.connect(address, 20) as first, sockets.connect(address, 20) as second:
        for client in (first, second):
            client.settimeout(20)
            client.sendall(b"x")
            assert client.recv(1) == b""
        it.say()
        it.say()  # it is told of both
        assert it.hear() == "raised"
    assert it.end() == 0
