"""Handlers, logs and hooks that do what they should not: it costs their connection, and nobody else's."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

import pytest

from pyipc import errors, sockets

pytestmark = pytest.mark.timeout(58)

MODELS = ("serial", "thread", "fork", "prefork", "dispatch")


@pytest.mark.parametrize("model", MODELS)
def test_the_number_of_a_connection_is_closed_behind_its_back(server, model):
    it = server(model, **({} if model == "serial" else {"concurrency": 1}))
    for _ in range(3):
        with it.connect("number") as client:
            assert client.is_cut()
        it.served()
        assert it.ask("echo x") == "echo x"
        it.served()
    it.terminate()
    assert it.ended() == "ended"


def raise_if_told(connection):
    word = connection.recv(100)
    if word == b"raise":
        raise RuntimeError("on purpose")
    connection.sendall(word)


def hook_that_raises(*what):
    raise ValueError("a hook")


def serve_with_bad_hook(test, model):
    sys.excepthook = hook_that_raises
    sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    with sockets.Server("tcp://127.0.0.1:0", raise_if_told, model=model) as server:
        test.say(server.address)
        server.serve()
    test.say("ended")


def serve_on_a_full_disk(test, model):
    sys.stdout = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")
    sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    with sockets.Server("tcp://127.0.0.1:0", raise_if_told, model=model, log=print) as server:
        test.say(server.address)
        server.serve()
    test.say("ended")


def ask(address, word):
    with sockets.connect(address, 20) as client:
        client.settimeout(20)
        client.sendall(word)
        client.shutdown(socket.SHUT_WR)
        return client.recv(100)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("serve", [serve_with_bad_hook, serve_on_a_full_disk])
def test_what_cannot_be_printed_is_nobodys_end(fork, model, serve):
    server = fork(serve, model)
    address = server.hear()
    for _ in range(3):
        assert ask(address, b"x") == b"x"
        assert ask(address, b"raise") == b""
    os.kill(server.pid, signal.SIGTERM)
    assert server.hear() == "ended"
    assert server.end() == 0


def serve_as_daemon(test, model, path):
    """The one that listens ends before the other one serves, as daemons begin."""
    server = sockets.Server(f"unix:{path}", raise_if_told, model=model)
    told, tells = os.pipe()
    if os.fork():
        os._exit(0)
    os.close(tells)
    os.read(told, 1)
    signal.alarm(50)  # whatever happens to the test
    test.say(os.getpid())
    with server:
        server.serve()
    test.say("ended")


@pytest.mark.parametrize("model", MODELS)
def test_a_daemon_that_is_forked_after_it_listens(fork, model, tmp_path):
    first = fork(serve_as_daemon, model, tmp_path / "s")
    assert first.end() == 0
    pid = first.hear()
    try:
        assert ask(f"unix:{tmp_path}/s", b"x") == b"x"
    finally:
        os.kill(pid, signal.SIGTERM)
        assert first.hear() == "ended"
    with sockets.Server(f"unix:{tmp_path}/s", print):
        pass


def serve_slowly(connection):
    with connection.makefile("rb") as lines:
        for line in lines:
            connection.sendall(line)


def serve_until_killed(test, model, address):
    options = {} if model == "serial" else {"concurrency": 2}
    with sockets.Server(address, serve_slowly, model=model, **options) as server:
        test.say(server.address)
        server.serve()


def takes_over(address):
    try:
        sockets.listen(address).close()
    except errors.AlreadyExistsError:
        return False
    return True


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_connection_that_outlives_its_server_does_not_keep_the_address(fork, until, model, kind, tmp_path):
    server = fork(serve_until_killed, model, "tcp://127.0.0.1:0" if kind == "tcp" else f"unix:{tmp_path}/s")
    address = server.hear()
    lives_on = model not in ("serial", "thread")
    with sockets.connect(address, 20) as client:
        client.settimeout(20)
        client.sendall(b"one\n")
        assert client.recv(100) == b"one\n"
        server.kill()
        until(lambda: takes_over(address))
        if lives_on:
            client.sendall(b"two\n")
            assert client.recv(100) == b"two\n"
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b""
    with pytest.raises(AssertionError, match="ended"):  # its workers, too
        server.hear()


def raise_over_a_server(test, model):
    thread = None
    try:
        with sockets.Server("tcp://127.0.0.1:0", serve_slowly, model=model) as server:
            thread = threading.Thread(target=server.serve)
            thread.start()
            test.say(server.address)
            test.hear()
            raise RuntimeError("on purpose")
    except RuntimeError:
        thread.join(20)
        test.say(thread.is_alive())


@pytest.mark.parametrize("model", MODELS)
def test_the_end_of_the_block_ends_a_thread_that_serves(fork, model):
    server = fork(raise_over_a_server, model)
    with sockets.connect(server.hear(), 20) as client:
        client.settimeout(20)
        client.sendall(b"one\n")
        assert client.recv(100) == b"one\n"
        server.say()
        assert server.hear(25) is False
    assert server.end() == 0


def close_in_the_handler(test, model):
    def handler(connection):
        connection.sendall(b"x")
        server.close()

    with sockets.Server("tcp://127.0.0.1:0", handler, model=model) as server:
        test.say(server.address)
        server.serve()
        test.say("ended")


@pytest.mark.parametrize("model", ["serial", "thread"])
def test_a_handler_closes_the_server(fork, model):
    server = fork(close_in_the_handler, model)
    with sockets.connect(server.hear(), 20) as client:
        assert server.hear() == "ended"
        client.settimeout(20)
    assert server.end() == 0


def raise_over_a_datagram_server(test):
    thread = None
    try:
        with sockets.DatagramServer("udp://127.0.0.1:0", lambda data, peer: data) as server:
            thread = threading.Thread(target=server.serve)
            thread.start()
            [(_, answer)] = sockets.query([server.address], b"x", 20)
            test.say(answer)
            raise RuntimeError("on purpose")
    except RuntimeError:
        thread.join(20)
        test.say(thread.is_alive())


def test_the_end_of_the_block_ends_a_thread_that_serves_datagrams(fork):
    server = fork(raise_over_a_datagram_server)
    assert server.hear() == b"x"
    assert server.hear(25) is False
    assert server.end() == 0


def test_a_handler_closes_the_server_of_datagrams():
    def handler(data, peer):
        server.close()
        return data

    with sockets.DatagramServer("udp://127.0.0.1:0", handler) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        [(_, answer)] = sockets.query([server.address], b"x", 20)
        assert answer == b"x"
        thread.join(20)
        assert not thread.is_alive()


def answer_at_length(connection):
    connection.recv(2)
    connection.sendall(b"x" * 200_000)


def serve_at_length(test, model):
    with sockets.Server("tcp://127.0.0.1:0", answer_at_length, model=model) as server:
        test.say(server.address)
        server.serve()


@pytest.mark.parametrize("model", MODELS)
def test_urgent_data_that_nobody_reads_destroys_no_answer(fork, model):
    server = fork(serve_at_length, model)
    with sockets.connect(server.hear(), 20) as client:
        client.settimeout(20)
        client.send(b"hi!", socket.MSG_OOB)  # "!" alone is urgent; in one packet, or it may come too late
        # All of it is here, or on its way, when the server has closed its side.
        while not client.recv(200_000, socket.MSG_PEEK):
            pass
        os.kill(server.pid, signal.SIGTERM)
        assert server.end() == 0
        came = 0
        while more := client.recv(1000):
            came += len(more)
    assert came == 200_000
