"""Thousands of short connections, each answer looked at; and workers that are killed meanwhile.

PYIPC_LONG=1: 20,000 for each model.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time

import pytest

from pyipc import sockets

pytestmark = pytest.mark.timeout(180)

LONG = os.environ.get("PYIPC_LONG") == "1"
MODELS = ("serial", "thread", "fork", "prefork", "dispatch", "program")
SHORT = {"fork": 300, "program": 200}
CLIENTS = 4


def load(address, count, problems, until=None):
    """So many connections by several threads; what was wrong of them goes to *problems*."""

    def be_client(first):
        for number in range(first, count, CLIENTS):
            if until is not None and until():
                return
            try:
                with sockets.connect(address, 30) as client:
                    client.settimeout(30)
                    text = b"echo %d %d\n" % (number, number * number)
                    client.sendall(text + b"leave\n")
                    came = b""
                    while more := client.recv(1000):
                        came += more
                    if came != text:
                        problems.append(("cut", number, came))
            except OSError as problem:
                problems.append(("raised", number, repr(problem)))

    clients = [threading.Thread(target=be_client, args=(first,)) for first in range(CLIENTS)]
    for client in clients:
        client.start()
    return clients


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_short_connections_are_all_answered(server, model, kind, tmp_path, until):
    count = 20_000 if LONG else SHORT.get(model, 2000)
    if kind == "unix":
        count //= 4
    most = {} if model == "serial" else {"concurrency": 2}
    it = server(model, f"unix:{tmp_path}/s" if kind == "unix" else "tcp://127.0.0.1:0", **most)
    assert it.ask("echo x") == "echo x"
    it.served()
    workers = 2 if model in ("prefork", "dispatch") else 0
    until(lambda: it.has(workers))
    children, descriptors = it.children(), it.descriptors()
    problems = []
    began = time.monotonic()
    clients = load(it.address, count, problems)
    log = it.served(count)  # or their pipe would be full
    for client in clients:
        client.join()
    if LONG:
        print(f"{model} {kind}: {count / (time.monotonic() - began):.0f} connections a second")
    assert problems == []
    assert {failure for _, _, failure, _ in log} == {"NoneType"}
    until(lambda: it.descriptors() == descriptors)
    assert it.children() == children
    it.terminate()
    assert it.ended() == "ended"


@pytest.mark.parametrize("model", ["prefork", "dispatch"])
def test_workers_killed_at_random_cost_at_most_the_connections_that_they_held(server, model, until):
    kills = 100 if LONG else 15
    it = server(model, concurrency=3)
    assert it.ask("echo x") == "echo x"
    it.served()
    until(lambda: it.has(3))
    descriptors = it.descriptors()
    problems, over = [], []
    clients = load(it.address, 10**9, problems, until=lambda: over)
    dice = random.Random(5)
    killed = 0
    while killed < kills:
        # In between, at least a few connections that are logged.
        it.served(dice.randrange(1, 40))
        workers = it.children()
        if workers:
            with contextlib.suppress(ProcessLookupError):  # it had been killed before
                os.kill(dice.choice(workers), signal.SIGKILL)
                killed += 1
    over.append(True)
    for client in clients:
        client.join()
    assert len(problems) <= killed
    until(lambda: it.has(3))
    until(lambda: it.descriptors() == descriptors)
    it.terminate()
    assert it.ended() == "ended"


@pytest.mark.parametrize("model", MODELS)
def test_a_drain_in_the_middle_of_load_answers_whom_it_let_in(server, model):
    """Others are refused; a connection that came in the very moment in which the listener closed is reset."""
    it = server(model, **({} if model == "serial" else {"concurrency": 2}))
    problems = []
    clients = load(it.address, 10**9, problems, until=lambda: len(problems) > 50)
    log = it.served(200)
    it.terminate()
    assert it.ended() == "ended"
    for client in clients:
        client.join()
    assert {failure for _, _, failure, _ in log} == {"NoneType"}
    broken = [problem for kind, _, problem in problems if kind == "cut" or "refused" not in problem]
    assert len(broken) <= CLIENTS
