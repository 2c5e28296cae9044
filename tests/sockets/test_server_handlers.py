"""Handlers, logs and hooks that do what they should not: it costs their connection, and nobody else's."""

from __future__ import annotations

import os
import signal
import socket
import sys

import pytest

from pyipc import sockets

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
    sys.stderr = open(os.devnull, "w")
    with sockets.Server("tcp://127.0.0.1:0", raise_if_told, model=model) as server:
        test.say(server.address)
        server.serve()
    test.say("ended")


def serve_on_a_full_disk(test, model):
    sys.stdout = open("/dev/full", "w", buffering=8192)
    sys.stderr = open(os.devnull, "w")
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
