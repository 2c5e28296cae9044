"""Workers that were forked before: who dies, who stops, and who notices."""

from __future__ import annotations

import os
import signal

import pytest

pytestmark = pytest.mark.timeout(50)


@pytest.fixture(params=["prefork", "dispatch"])
def model(request):
    return request.param


def test_a_worker_that_is_killed_is_replaced_and_costs_its_connection_only(server, model, until):
    it = server(model, concurrency=2)
    until(lambda: it.has(2))
    with it.connect() as victim, it.connect() as other:
        pid = int(victim.ask("pid"))
        assert other.ask("echo before") == "echo before"
        os.kill(pid, signal.SIGKILL)
        assert victim.is_cut()
        [(_, peer, failure, text)] = it.served()
        assert (peer, failure) == (f"tcp://127.0.0.1:{victim.sock.getsockname()[1]}", "ProgramFailedError")
        assert "SIGKILL" in text
        assert other.ask("echo after") == "echo after"
        with it.connect() as following:
            assert following.ask("pid") != str(pid)
    it.terminate()
    assert it.ended() == "ended"


def test_a_worker_that_died_at_nothing_is_replaced_and_said(server, model, until):
    it = server(model, concurrency=2)
    until(lambda: it.has(2))
    for _ in range(3):
        before = it.children()
        os.kill(before[0], signal.SIGKILL)
        [(_, peer, failure, _)] = it.served()
        assert (peer, failure) == ("", "ProgramFailedError")
        until(lambda before=before: len(set(it.children()) - set(before)) == 1)
        for number in range(4):
            assert it.ask(f"echo {number}") == f"echo {number}"
            assert it.served()[0][2] == "NoneType"
    it.terminate()
    assert it.ended() == "ended"


def test_all_workers_are_killed_at_once(server, model, until):
    """Who comes meanwhile waits."""
    it = server(model, concurrency=2)
    until(lambda: it.has(2))
    for _ in range(3):
        before = it.children()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda before=before: not any(map(lives, before)))
        assert it.ask("echo x") == "echo x"
        until(lambda: it.has(2))
    it.terminate()
    assert it.ended() == "ended"


def test_a_worker_that_is_told_to_go_serves_to_the_end_and_is_replaced(server, model, until):
    if model == "dispatch":
        pytest.skip("its server says when it goes")
    it = server(model, concurrency=1)
    with it.connect() as client:
        pid = int(client.ask("pid"))
        os.kill(pid, signal.SIGTERM)
        assert client.ask("echo still") == "echo still"
    until(lambda: int(it.ask("pid")) != pid)
    it.terminate()
    assert it.ended() == "ended"


def test_workers_go_when_their_server_is_killed(server, model, until, tmp_path):
    """And the path is the next one's at once; who is being served is served to the end by dispatch."""
    it = server(model, f"unix:{tmp_path}/s", concurrency=3)
    until(lambda: it.has(3))
    workers = it.children()
    with it.connect() as client:
        assert client.ask("echo 1") == "echo 1"
        it.child.kill()
        it.child.end()
        until(lambda: sum(map(lives, workers)) == 1)
        assert client.ask("echo 2") == "echo 2"
    until(lambda: not any(map(lives, workers)))
    following = server(model, f"unix:{tmp_path}/s", concurrency=1)
    assert following.ask("echo 3") == "echo 3"
    following.terminate()
    assert following.ended() == "ended"


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_worker_that_is_stopped_holds_up_its_own_connection_only(server, model, until):
    it = server(model, concurrency=2, timeout=2)
    until(lambda: it.has(2))
    with it.connect() as stuck:
        pid = int(stuck.ask("pid"))
        os.kill(pid, signal.SIGSTOP)
        stuck.say("echo never")
        for number in range(5):
            assert it.ask(f"echo {number}") == f"echo {number}"
        assert stuck.is_cut()  # its time is over: it was killed
    assert "TimedOutError" in {failure for _, _, failure, _ in it.served(6)}
    until(lambda: it.has(2))
    it.terminate()
    assert it.ended() == "ended"


def test_what_a_handler_raised_elsewhere_is_told_here(server):
    it = server("dispatch")
    with it.connect("raise") as client:
        assert client.is_cut()
        port = client.sock.getsockname()[1]
    [(_, peer, failure, text)] = it.served()
    assert (peer, failure) == (f"tcp://127.0.0.1:{port}", "IPCError")
    assert "RuntimeError('on purpose')" in text
    it.terminate()
    assert it.ended() == "ended"


def test_workers_that_cannot_even_begin_do_not_take_all_the_time(child):
    def program(say, hear):
        import os

        from pyipc import sockets

        def log(served):
            say(str(served.failure))

        server = sockets.Server("tcp://127.0.0.1:0", bool, model="prefork", concurrency=1, log=log)
        os.register_at_fork(after_in_child=lambda: os._exit(7))
        with server:
            say(server.address)
            server.serve()
        say("over")

    other = child(program, measured=False)
    other.hear()
    for _ in range(4):  # 50, 100, 200 ms and so on apart
        assert "status 7" in other.hear()
    with open(f"/proc/{other.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    assert sum(map(int, fields[11:15])) < 300  # hundredths of a second, imports and all
    other.kill(signal.SIGTERM)
    assert other.hear() == "over"
    assert other.end() == 0
