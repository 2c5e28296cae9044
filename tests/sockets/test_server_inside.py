"""Models of this process: what its threads and its signals do."""

from __future__ import annotations

import signal
import threading

import pytest

import pyipc
from pyipc import sockets

pytestmark = pytest.mark.timeout(50)


def echo(connection):
    while data := connection.recv(1000):
        connection.sendall(data)


def ask(address, text=b"hello"):
    with sockets.connect(address, 20) as client:
        client.sendall(text)
        client.settimeout(20)
        return client.recv(1000)


@pytest.mark.parametrize("model", ["serial", "thread", "fork", "prefork", "dispatch"])
def test_off_the_main_thread_it_is_stopped_by_a_call(child, model):
    def program(say, _hear, model):
        import threading

        from pyipc import sockets

        def echo(connection):
            connection.sendall(connection.recv(100))

        server = sockets.Server("tcp://127.0.0.1:0", echo, model=model, concurrency=2)
        thread = threading.Thread(target=server.serve)
        thread.start()
        for _ in range(5):
            with sockets.connect(server.address, 20) as client:
                client.sendall(b"hello")
                client.settimeout(20)
                assert client.recv(100) == b"hello"
        server.stop()
        thread.join(20)
        server.close()
        say(thread.is_alive())

    other = child(program, model)
    assert other.hear() is False
    assert other.end() == 0


@pytest.mark.parametrize("model", ["serial", "thread"])
def test_it_serves_once(model):
    with sockets.Server("tcp://127.0.0.1:0", echo, model=model) as server:
        server.stop()  # before it serves, which is then over once all who are queued were served
        queued = sockets.connect(server.address, 20)
        queued.sendall(b"x")
        queued.shutdown(1)
        server.serve()
        assert queued.recv(10) == b"x"
        queued.close()
        with pytest.raises(pyipc.ClosedError):
            server.serve()
    with pytest.raises(pyipc.ClosedError):
        server.serve()
    assert "closed" in repr(server)
    assert server.address.startswith("tcp://127.0.0.1:")


def test_threads_are_used_again(waiter):
    names = set()

    def handler(connection):
        names.add(threading.current_thread())
        echo(connection)

    with sockets.Server("tcp://127.0.0.1:0", handler) as server:
        serving = waiter(server.serve)
        for _ in range(50):
            assert ask(server.address) == b"hello"
        server.stop()
        serving.join()
    assert serving.outcome is None
    assert len(names) < 10  # some may be about to look for the next when that comes, on a busy machine


def test_a_place_is_found_again_however_threads_and_looks_fall(waiter):
    """One place, and connections that are over at once: the door is shut and opened for each."""
    with sockets.Server("tcp://127.0.0.1:0", lambda connection: None, concurrency=1) as server:
        serving = waiter(server.serve)

        def be_client():
            for _ in range(500):
                with sockets.connect(server.address, 20) as client:
                    client.settimeout(20)
                    assert client.recv(1) == b""

        clients = [waiter(be_client) for _ in range(3)]
        for client in clients:
            client.join()
            assert client.outcome is None
        server.stop()
        serving.join()
    assert serving.outcome is None


@pytest.mark.parametrize("model", ["serial", "thread", "fork", "prefork", "dispatch"])
def test_a_handler_of_a_signal_that_raises_ends_it_and_leaves_nobody(child, model):
    """SIGALRM, again and again, at whatever step it is."""

    def program(say, _hear, model):
        import os
        import random
        import signal
        import threading

        from pyipc import sockets

        class EnoughError(Exception):
            pass

        armed = False

        def enough(number, frame):
            nonlocal armed
            if armed:
                armed = False
                raise EnoughError

        def handler(connection):
            connection.sendall(connection.recv(100))

        def load(address):
            while True:
                try:
                    with sockets.connect(address, 1) as client:
                        client.sendall(b"hello")
                        client.settimeout(0.2)
                        client.recv(100)
                except OSError:
                    return

        pid = os.getpid()
        signal.signal(signal.SIGALRM, lambda *_: None)
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGALRM, signal.SIG_IGN))
        raised = 0
        for number in range(40):
            server = sockets.Server("tcp://127.0.0.1:0", handler, model=model, concurrency=2, log=bool)
            loading = threading.Thread(target=load, args=(server.address,), daemon=True)
            loading.start()
            stopping = threading.Timer(0.1, server.stop)  # if the handler took the exception
            stopping.start()
            signal.signal(signal.SIGALRM, enough)
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, random.Random(number).uniform(0.0005, 0.05))
                server.serve()
                armed = False
            except EnoughError:
                raised += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            stopping.cancel()
            stopping.join()
            server.close()
            loading.join()
            children = []
            for one in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{one}/stat") as file:
                        if int(file.read().rpartition(")")[2].split()[1]) == pid:
                            children.append(one)
                except OSError:
                    pass
            if children:
                say(("children", number, children))
                return
        say(("raised", raised > 0))

    other = child(program, model, measured=False)
    assert other.hear(50) == ("raised", True)
    assert other.end() == 0


def test_what_a_handler_raises_as_a_connection_is_passed_on_comes_out(child):
    def program(say, _hear):
        from pyipc import sockets
        from pyipc.sockets import _dispatch

        def take(*_):  # a signal handler, just before its first line
            raise ZeroDivisionError

        _dispatch.Dispatch.take = take
        told = []
        server = sockets.Server("tcp://127.0.0.1:0", bool, model="dispatch", concurrency=1, log=told.append)
        with server, sockets.connect(server.address, 20):
            try:
                server.serve()
            except ZeroDivisionError:
                say(len(told))

    other = child(program)
    assert other.hear() == 1
    assert other.end() == 0


def test_a_child_cannot_stop_its_server(child):
    def program(say, _hear):
        from pyipc import sockets

        def handler(connection):
            try:
                server.stop()
            except OSError as problem:
                connection.sendall(type(problem).__name__.encode())

        server = sockets.Server("tcp://127.0.0.1:0", handler, model="fork")
        say(server.address)
        with server:
            server.serve()
        say("over")

    other = child(program)
    with sockets.connect(other.hear(), 20) as client:
        client.settimeout(20)
        assert client.recv(100) == b"ClosedError"
    other.kill(signal.SIGTERM)
    assert other.hear() == "over"
    assert other.end() == 0


def test_failures_are_printed_where_nobody_logs_them(capfd, waiter):
    def handler(connection):
        text = connection.recv(100)
        if text == b"reset":
            raise ConnectionResetError
        raise RuntimeError("on purpose")

    with sockets.Server("tcp://127.0.0.1:0", handler) as server:
        serving = waiter(server.serve)
        assert ask(server.address, b"reset") == b""
        assert ask(server.address, b"raise") == b""
        server.stop()
        serving.join()
    said = capfd.readouterr().err
    assert "RuntimeError: on purpose" in said
    assert "ConnectionResetError" not in said


def test_timeouts_of_any_length(waiter):
    for timeout in (1e7, 1e10, float("inf")):
        with sockets.Server("tcp://127.0.0.1:0", echo, timeout=timeout, drain=timeout) as server:
            serving = waiter(server.serve)
            assert ask(server.address) == b"hello"
            server.stop()
            serving.join()
        assert serving.outcome is None


def test_addresses_are_undone_if_one_of_them_cannot_be_had(tmp_path):
    with sockets.Server(f"unix:{tmp_path}/1", echo):
        with pytest.raises(pyipc.AlreadyExistsError):
            sockets.Server([f"unix:{tmp_path}/2", f"unix:{tmp_path}/1"], echo)
        assert [path.name for path in tmp_path.iterdir()] == ["1"]
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_within_a_destructor_is_not_lost(child):
    """What is raised there, Python prints and forgets."""

    def program(say, hear):
        import os
        import signal
        import sys

        from pyipc import sockets

        class Dropped:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000):  # here Python looks whether there are signals
                    pass

        sys.unraisablehook = lambda what: say(what.exc_type.__name__)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with sockets.Server(
            "tcp://127.0.0.1:0",
            lambda connection: None,
            model="serial",
            log=lambda served: Dropped() and None,
        ) as server:
            say(server.address)
            try:
                server.serve()
            except KeyboardInterrupt:
                say("ended")

    other = child(program, measured=False)
    with sockets.connect(other.hear(), 20) as client:
        client.settimeout(20)
        assert client.recv(1) == b""
    assert other.hear() == "KeyboardInterrupt"
    assert other.hear() == "ended"
    assert other.end() == 0
