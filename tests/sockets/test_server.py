"""What holds for all models: answers, failures, ends, limits."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import pytest

from pyipc import sockets

MODELS = ("serial", "thread", "fork", "prefork", "dispatch", "program")
OF_CHILDREN = ("fork", "prefork", "dispatch", "program")

pytestmark = pytest.mark.timeout(50)


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


def limited(model, most=1):
    """As many at once."""
    return {} if model == "serial" else {"concurrency": most}


def let_it_go(it, model, until, signalled):
    """Signal it, and wait until nobody is let in any more; one of its two places is taken."""
    if model == "prefork":
        until(lambda: len(it.children()) == 2)
    signalled()
    # A worker that is busy cannot close the listener that it shares with the others.
    if model != "serial":  # of which nobody sees it
        until((lambda: len(it.children()) == 1) if model == "prefork" else it.refuses)


def test_each_is_answered_and_logged(server, model, until):
    it = server(model, **limited(model, 2))
    count = 2 if model in ("prefork", "dispatch") else 0
    assert it.ask("echo first") == "echo first"
    assert it.served()[0][2] == "NoneType"
    until(lambda: it.has(count))
    children, descriptors = it.children(), it.descriptors()
    for number in range(20):
        assert it.ask(f"echo {number}") == f"echo {number}"
    log = it.served(20)
    assert [failure for _, _, failure, _ in log] == ["NoneType"] * 20
    assert all(peer.startswith("tcp://127.0.0.1:") for _, peer, _, _ in log)
    assert it.children() == children
    until(lambda: it.descriptors() == descriptors)
    it.terminate()
    assert it.ended() == "ended"


def test_several_addresses(server, model, tmp_path):
    it = server(model, ["tcp://127.0.0.1:0", f"unix:{tmp_path}/s", "tcp://[::1]:0"])
    for address in it.addresses:
        with it.connect(address=address) as client:
            assert client.ask("echo x") == "echo x"
    it.terminate()
    assert it.ended() == "ended"
    assert os.listdir(tmp_path) == []


def test_many_at_once_and_no_more_than_may_be(server, model):
    most = 1 if model == "serial" else 2
    it = server(model, **limited(model, most))
    barrier = threading.Barrier(most)
    lock = threading.Lock()
    now, peak, answers = [], [], []

    def be_client(number):
        with it.connect() as client:
            answer = client.ask(f"echo {number}")
            with lock:
                answers.append(answer)
                now.append(number)
                peak.append(len(now))
            barrier.wait(20)
            with lock:
                now.remove(number)

    clients = [threading.Thread(target=be_client, args=(number,)) for number in range(4 * most)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert sorted(answers) == sorted(f"echo {number}" for number in range(4 * most))
    assert max(peak) == most
    it.terminate()
    assert it.ended() == "ended"


WORDS = {
    "serial": {"raise": "RuntimeError", "close": "NoneType", "detach": "NoneType"},
    "thread": {
        "raise": "RuntimeError",
        "close": "NoneType",
        "detach": "NoneType",
        "exit": "SystemExit",
        "interrupt": "KeyboardInterrupt",
    },
    "fork": {
        "raise": "ProgramFailedError",
        "close": "NoneType",
        "detach": "NoneType",
        "exit": "ProgramFailedError",
        "interrupt": "ProgramFailedError",
        "die": "ProgramFailedError",
    },
    "prefork": {
        "raise": "RuntimeError",
        "close": "NoneType",
        "detach": "NoneType",
        "exit": "ProgramFailedError",
        "interrupt": "ProgramFailedError",
        "die": "ProgramFailedError",
    },
    "dispatch": {
        "raise": "IPCError",
        "close": "NoneType",
        "detach": "NoneType",
        "exit": "ProgramFailedError",
        "interrupt": "ProgramFailedError",
        "die": "ProgramFailedError",
    },
    "program": {"leave": "NoneType", "exit": "ProgramFailedError", "die": "ProgramFailedError"},
}


def test_whatever_a_handler_does_costs_its_connection_only(server, model):
    it = server(model, **limited(model, 2))
    with contextlib.ExitStack() as stack:
        if model != "serial":
            other = stack.enter_context(it.connect())
            assert other.ask("echo before") == "echo before"
        for word, failure in WORDS[model].items():
            for _ in range(3):
                with it.connect(word) as client:
                    assert client.is_cut()
                assert [name for _, _, name, _ in it.served()] == [failure], word
                assert it.ask("echo on") == "echo on"
                assert it.served()[0][2] == "NoneType"
        if model != "serial":
            assert other.ask("echo after") == "echo after"
    it.terminate()
    assert it.ended() == "ended"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_what_was_written_arrives_though_not_all_was_read(server, model, kind, tmp_path):
    """The kernel would answer the close of a socket with unread data by a reset."""
    it = server(model, f"unix:{tmp_path}/s" if kind == "unix" else "tcp://127.0.0.1:0")
    for _ in range(10):
        with it.connect() as client:
            client.sock.sendall(b"echo last\nleave\n" + b"unread\n" * 2000)
            assert client.hear() == "echo last"
            assert client.hear() is None
    it.terminate()
    assert it.ended() == "ended"


def test_sigterm_lets_those_who_are_in_be_served_and_those_who_are_queued(server, model, until):
    it = server(model, **limited(model))
    first = it.connect()
    assert first.ask("echo 1") == "echo 1"
    queued = [it.connect(f"echo {number}") for number in range(5)]
    it.terminate()
    assert first.ask("echo 2") == "echo 2"
    first.close()
    for number, client in enumerate(queued):
        assert client.hear() == f"echo {number}"
        client.close()
    assert it.ended() == "ended"
    assert it.refuses()
    assert len(it.log) == 6


def test_who_comes_while_others_are_served_to_the_end_is_refused(server, model, until):
    if model == "serial":
        pytest.skip("its one thread is in the handler")
    it = server(model, **limited(model, 2))
    first = it.connect()
    assert first.ask("echo 1") == "echo 1"
    let_it_go(it, model, until, it.terminate)
    assert first.ask("echo 2") == "echo 2"
    first.close()
    assert it.ended() == "ended"


def test_the_drain_ends_at_its_deadline(server, model):
    it = server(model, drain=0.2)
    client = it.connect()
    assert client.ask("echo 1") == "echo 1"
    began = time.monotonic()
    it.terminate()
    assert client.is_cut()
    assert it.ended() == "ended"
    assert 0.2 <= time.monotonic() - began < 5


def test_a_second_stop_ends_all_at_once(server, model):
    it = server(model, drain=None)
    client = it.connect()
    assert client.ask("echo 1") == "echo 1"
    it.stop()
    assert client.ask("echo 2") == "echo 2"
    it.stop()
    assert client.is_cut()
    assert it.ended() == "ended"


def test_a_second_sigterm_ends_all_at_once(server, model, until):
    if model == "serial":
        pytest.skip("nobody sees when it has had the first one")
    it = server(model, drain=None, **limited(model, 2))
    client = it.connect()
    assert client.ask("echo 1") == "echo 1"
    let_it_go(it, model, until, it.terminate)
    it.terminate()
    assert client.is_cut()
    assert it.ended() == "ended"


def test_sigterm_for_the_whole_process_group_lets_all_finish(server, model, until):
    it = server(model, **limited(model, 2))
    client = it.connect()
    assert client.ask("echo 1") == "echo 1"
    let_it_go(it, model, until, lambda: os.killpg(it.pid, signal.SIGTERM))
    assert client.ask("echo 2") == "echo 2"
    client.close()
    assert it.ended() == "ended"
    assert {failure for _, _, failure, _ in it.log} == {"NoneType"}  # also of those who asked in between


def test_ctrl_c_ends_all(server, model):
    it = server(model)
    client = it.connect()
    assert client.ask("echo 1") == "echo 1"
    os.killpg(it.pid, signal.SIGINT)
    assert client.is_cut()
    assert it.ended() == "KeyboardInterrupt"


def test_a_connection_that_takes_too_long_is_cut(server, model):
    it = server(model, timeout=0.3, **limited(model, 2))
    for _ in range(2):
        began = time.monotonic()
        late = it.connect()
        assert late.ask("echo 1") == "echo 1"
        assert late.is_cut()
        assert 0.3 <= time.monotonic() - began < 5
        [(_, _, failure, text)] = it.served()
        assert failure == "TimedOutError"
        assert "serve tcp://127.0.0.1:" in text
        assert it.ask("echo on") == "echo on"
        assert it.served()[0][2] == "NoneType"
    it.terminate()
    assert it.ended() == "ended"


def test_a_handler_that_does_not_look_is_killed_with_its_process(server, model):
    if model not in ("fork", "prefork", "dispatch"):
        pytest.skip("nobody can end a function of this process, and of programs it is so anyway")
    it = server(model, timeout=0.3, **limited(model))
    assert it.connect("sleep").is_cut()
    assert it.served()[0][2] == "TimedOutError"
    assert it.ask("echo on") == "echo on"
    it.terminate()
    assert it.ended() == "ended"


def test_a_log_that_raises_costs_nothing(server, model):
    it = server(model, silent=17)  # which this log is full at
    for number in range(5):
        assert it.ask(f"echo {number}") == f"echo {number}"
    it.terminate()
    assert it.ended() == "ended"


def test_who_has_said_nothing_waits_without_a_place(server, model):
    it = server(model, silent=100, timeout=5, **limited(model))
    quiet = [it.connect() for _ in range(20)]
    assert it.ask("echo 1") == "echo 1"
    for number, client in enumerate(quiet):
        assert client.ask(f"echo {number}") == f"echo {number}"
        client.close()
    assert it.served(21)[-1][2] == "NoneType"
    it.terminate()
    assert it.ended() == "ended"


def test_silence_takes_none_of_the_time(server, model):
    if model == "prefork":
        pytest.skip("a worker that is killed takes its silent ones along")
    it = server(model, silent=100, timeout=0.4, **limited(model))
    with it.connect() as quiet, it.connect() as late:
        assert late.ask("echo 1") == "echo 1"
        assert late.is_cut()  # after more time than a connection has
        assert quiet.ask("echo 2") == "echo 2"
    it.terminate()
    assert it.ended() == "ended"


def test_who_has_said_nothing_may_speak_while_the_server_goes(server, model, until):
    it = server(model, silent=100, **limited(model))
    quiet, other = it.connect(), it.connect()
    assert it.ask("echo 1") == "echo 1"
    it.terminate()
    until(it.refuses)
    assert quiet.ask("echo 2") == "echo 2"
    quiet.close()
    assert other.is_cut()  # after its last second
    assert it.ended() == "ended"


def test_of_those_who_say_nothing_the_first_goes_when_one_too_many_comes(server):
    it = server("thread", silent=3)
    quiet = [it.connect() for _ in range(5)]
    assert quiet[0].is_cut()
    assert quiet[1].is_cut()
    for client in quiet[2:]:
        assert client.ask("echo x") == "echo x"
        client.close()
    it.terminate()
    assert it.ended() == "ended"


def test_wrong_arguments():
    def handler(connection):
        pass

    for wrong, said in (
        ({"model": "threads"}, "model is"),
        ({"concurrency": 0}, "at least 1"),
        ({"concurrency": 1.5}, "at least 1"),
        ({"timeout": -1}, "timeout"),
        ({"drain": -1}, "timeout"),
        ({"allow": [0]}, "Unix sockets only"),
    ):
        with pytest.raises(ValueError, match=said):
            sockets.Server("tcp://127.0.0.1:0", handler, **wrong)
    with pytest.raises(TypeError):
        sockets.Server("tcp://127.0.0.1:0", None)
    with pytest.raises(ValueError, match="somewhere"):
        sockets.Server([], handler)
