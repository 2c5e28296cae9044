"""Clients who are slow, mad, or many: others are served at once, in little memory and few children."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time

import pytest

pytestmark = pytest.mark.timeout(58)

MODELS = ("thread", "fork", "prefork", "dispatch", "program")


def _memory(pid):
    """What it has for itself, in KiB."""
    with open(f"/proc/{pid}/status") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("RssAnon"))


@pytest.mark.parametrize("model", MODELS)
def test_clients_who_say_nothing_take_no_place(server, model, until):
    """As many as there may be descriptors; 10,000 for root, of one model: each worker would hold its own."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(10_000 if model == "thread" and os.geteuid() == 0 else 500, hard - 300)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    quiet = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        it = server(model, silent=count, timeout=20, concurrency=2)
        for number in range(count):
            client = socket.socket()
            quiet.append(client)
            client.connect(("127.0.0.1", int(it.address.rpartition(":")[2])))
            if number == 0:
                assert it.ask("echo x") == "echo x"
                memory = _memory(it.pid)
        for number in range(5):
            began = time.monotonic()
            assert it.ask(f"echo {number}") == f"echo {number}"
            assert time.monotonic() - began < 5
        assert _memory(it.pid) - memory < 1024 + 3 * count  # 3 KiB of each
        assert len(it.children()) <= 2
        quiet[-1].sendall(b"echo last\n")
        quiet[-1].settimeout(20)
        assert quiet[-1].recv(100) == b"echo last\n"
        quiet[-1].close()
        it.stop()
        it.stop()  # else the others had a second to speak
        assert it.ended() == "ended"
    finally:
        for client in quiet:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("model", MODELS)
def test_clients_who_never_end_a_line_lose_their_place_in_time(server, model):
    it = server(model, timeout=0.5, concurrency=2)
    slow = [it.connect() for _ in range(4)]
    for client in slow:
        client.sock.sendall(b"e")  # and then the next byte, and so on
        client.sock.settimeout(0.05)
    began = time.monotonic()
    asked = it.connect("echo 1")
    for client in slow:
        while True:
            try:
                client.sock.sendall(b"e")
                if not client.sock.recv(1):
                    break
            except TimeoutError:
                continue  # a while later, another byte
            except OSError:
                break
    assert asked.hear() == "echo 1"  # after two pairs of half a second each
    assert time.monotonic() - began < 20
    asked.close()
    failures = [failure for _, _, failure, _ in it.served(5)]
    assert failures.count("TimedOutError") == 4
    it.terminate()
    assert it.ended() == "ended"


@pytest.mark.parametrize("model", ["serial", *MODELS])
def test_resets_cost_nothing(server, model, until):
    it = server(model, **({} if model == "serial" else {"concurrency": 2}))
    assert it.ask("echo x") == "echo x"
    it.served()
    until(lambda: it.has(2 if model in ("prefork", "dispatch") else 0))
    descriptors = it.descriptors()
    for number in range(60):
        client = it.connect()
        if number % 3 == 1:
            client.sock.sendall(b"echo " + b"x" * 10_000 + b"\n")
        if number % 3 == 2:
            assert client.ask("echo y") == "echo y"
        client.reset()
    for number in range(5):
        assert it.ask(f"echo {number}") == f"echo {number}"
    until(lambda: it.descriptors() == descriptors)
    until(lambda: it.has(2 if model in ("prefork", "dispatch") else 0))
    it.terminate()
    assert it.ended() == "ended"


@pytest.mark.parametrize("model", ["serial", *MODELS])
def test_clients_who_close_one_side_only(server, model):
    it = server(model)
    with it.connect("echo 1") as client:
        client.sock.shutdown(socket.SHUT_WR)
        assert client.hear() == "echo 1"
        assert client.hear() is None
    with it.connect() as client:
        client.sock.shutdown(socket.SHUT_RD)
        client.say("echo 2")
        client.sock.shutdown(socket.SHUT_WR)
    assert it.ask("echo 3") == "echo 3"
    it.served(3)
    it.terminate()
    assert it.ended() == "ended"


def test_who_reads_nothing_loses_the_place_in_time(server):
    it = server("thread", timeout=0.5, concurrency=1)
    with it.connect() as client:
        client.sock.settimeout(5)
        text = b"echo " + b"x" * 1000 + b"\n"
        with contextlib.suppress(ConnectionError):
            while True:
                client.sock.sendall(text)  # until both directions are full
    assert it.served()[0][2] == "TimedOutError"
    assert it.ask("echo on") == "echo on"
    it.terminate()
    assert it.ended() == "ended"


def test_without_descriptors_it_waits_for_some_and_not_busily(server):
    """EMFILE of accept(2)."""
    it = server("thread", limits={"RLIMIT_NOFILE": 40}, timeout=1)
    clients = [it.connect(f"echo {number}") for number in range(50)]
    assert clients[0].hear() == "echo 0"
    before = _seconds(it.pid)
    assert clients[0].is_cut()  # a second later, in which nobody could be let in
    assert _seconds(it.pid) - before < 0.5
    for number, client in enumerate(clients[1:], 1):
        assert client.hear() == f"echo {number}"
        client.close()
    assert it.ask("echo on") == "echo on"
    it.terminate()
    assert it.ended() == "ended"


def _seconds(pid):
    """Of the processor."""
    with open(f"/proc/{pid}/stat") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def test_silent_ones_go_where_there_are_no_descriptors_for_others(server):
    it = server("thread", silent=1000, limits={"RLIMIT_NOFILE": 60})
    quiet = [it.connect() for _ in range(100)]
    assert it.ask("echo x") == "echo x"
    assert quiet[0].is_cut()
    assert quiet[-1].ask("echo y") == "echo y"
    quiet[-1].close()
    it.terminate()
    assert it.ended() == "ended"
