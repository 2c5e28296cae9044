"""A server replaced while it runs: nobody is refused, whoever dies at whatever step."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import pyipc
from pyipc import fds
from pyipc.errors import AccessError, AlreadyExistsError, IPCError, TimedOutError
from pyipc.memory import Memory
from pyipc.sockets import Server, connect, handover

PACKAGE = Path(pyipc.__file__).parent  # the one that is tested, wherever it is installed
RUN_FUNCTION = Path(__file__).parents[1] / "children" / "run_function.py"
MODELS = ("serial", "thread", "fork", "prefork", "dispatch")
NOBODY = 65534


# ---- the other processes ----


def serves(say, hear, options):
    """A server that answers with its pid; `die` kills it at that step of taking over."""
    import hashlib
    import os
    import time

    from pyipc.sockets import Server, handover

    die = options.pop("die", None)
    state = options.pop("state", None)
    tells_of_stops = options.pop("tells_of_stops", False)
    pid = str(os.getpid()).encode()

    def killed(*_):
        os.kill(os.getpid(), 9)

    if die == "before it asks":
        handover.fds.send = killed
    elif die == "after it has asked":
        handover._offer_of = killed
    elif die == "before it says that it serves":
        handover.Handover.begin = killed

    def answer(connection):
        asked = b""
        while not asked.endswith(b"\n"):
            more = connection.recv(100)
            if not more:
                return
            asked += more
        if asked == b"descriptors\n":
            connection.sendall(b"%d" % len(os.listdir("/proc/self/fd")))
        else:
            connection.sendall(pid)

    def memory():
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def children():
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return len(file.read().split())

    def looked_at(memory):
        digest = hashlib.sha256(memory.buf).hexdigest()
        try:
            memory.write(b"x")
        except OSError as problem:
            return memory.size, digest, memory.frozen, problem.errno

    save = None if state is None else lambda: state[0] * state[1]
    with Server(handler=answer, save=save, **options) as server:
        say((server.addresses, server.inherited and looked_at(server.inherited)))
        if hear() == "leave":
            return
        begun = server._model.begin

        def begin(loop):
            begun(loop)
            loop.at(time.monotonic_ns(), lambda: say("serving"))

        server._model.begin = begin
        if tells_of_stops:
            stop = server.stop
            server.stop = lambda: (stop(), say("stopped"))
        server.serve()
        say(("over", server.handed_over))
        hear()
    say((len(os.listdir("/proc/self/fd")), children(), memory()))


# ---- what tests do ----


@pytest.fixture
def place(tmp_path):
    return tmp_path / "handover"


@pytest.fixture
def start(child, place):
    """Start a server there; it serves once it was told to."""

    def start(address, model="thread", *, go=True, begin=child, **options):
        server = begin(serves, {"address": address, "model": model, "handover": str(place), **options})
        if "die" not in options:
            server.addresses, server.inherited = server.hear()
            if go:
                serving(server)
        return server

    return start


def serving(server):
    server.say()
    assert server.hear() == "serving"


def ended(server, *, handed_over):
    """Its descriptors, children and memory, when all is over."""
    assert server.hear() == ("over", handed_over)
    server.say()
    left = server.hear()
    assert server.end() == 0
    return left


def stop(server):
    server.kill(signal.SIGTERM)
    return ended(server, handed_over=False)


@pytest.fixture
def where(tmp_path):
    return ["tcp://127.0.0.1:0", f"unix:{tmp_path}/served"]


# ---- under load ----


@pytest.mark.parametrize("model", MODELS)
def test_nobody_is_refused_or_reset(model, start, where, place, tmp_path, answer, asking):
    server = start(where, model)
    clients = [asking(server.addresses) for _ in range(3)]
    pids = [server.pid]
    for _ in range(4):
        successor = start(where, model)
        assert successor.addresses == server.addresses
        ended(server, handed_over=True)
        server = successor
        pids.append(server.pid)
        if model in ("serial", "thread"):
            for address in server.addresses:
                assert answer(address) == server.pid
        else:  # who answers is a child
            assert all(answer(address) for address in server.addresses)
    ends = {}
    for client in clients:
        client.say()
        for end, count in client.hear(60).items():
            ends[end] = ends.get(end, 0) + count
        assert client.end() == 0
    assert all(isinstance(end, int) for end in ends), ends
    if model in ("serial", "thread"):
        assert set(ends) <= set(pids)
        assert len(ends) >= 3
    stop(server)
    assert not os.listdir(tmp_path)


def test_fifty_in_a_row_leave_all_as_it_was(start, where, tmp_path, answer):
    server = start(where, state=(b"state", 1))
    found = []
    for _ in range(50):
        successor = start(where, state=(b"state", 1))
        assert ended(server, handed_over=True)[1] == 0
        found.append(answer(successor.addresses[1], b"descriptors\n"))
        server = successor
    descriptors, children, _ = stop(server)
    assert len(set(found)) == 1
    assert children == 0
    assert descriptors < found[0]
    assert not os.listdir(tmp_path)


def test_many_at_once_come_one_after_the_other(start, where, child, place, tmp_path, answer, asking):
    server = start(where)
    client = asking(server.addresses)
    options = {"address": where, "model": "thread", "handover": str(place)}
    others = [child(serves, dict(options)) for _ in range(5)]
    for other in others:
        other.say()  # serve, as soon as it can
    over = [server, *others]
    lasting = None
    for other in others:
        assert other.hear()[0] == server.addresses
        assert other.hear() == "serving"
    assert server.hear() == ("over", True)
    # All but one have been replaced, and that one answers.
    answering = answer(server.addresses[0])
    for other in others:
        if other.pid == answering:
            lasting = other
        else:
            ended(other, handed_over=True)
    server.say()
    client.say()
    ends = client.hear()
    assert all(isinstance(end, int) for end in ends), ends
    stop(lasting)
    assert len(over) == 6
    assert not os.listdir(tmp_path)


# ---- who is connected, and what is not handed over ----


@pytest.mark.parametrize("model", MODELS[1:])
def test_who_is_connected_is_served_by_the_old_one(model, start, where, answer):
    server = start(where, model)
    with connect(server.addresses[0], 20) as before:
        before.sendall(b"hel")  # the old one has it, and waits
        answer(server.addresses[1])
        if model == "serial":
            return
        successor = start(where, model)
        assert answer(server.addresses[0])
        before.sendall(b"lo\n")
        before.settimeout(20)
        assert before.recv(100)
    ended(server, handed_over=True)
    stop(successor)


def test_a_serial_server_hands_over_between_two_connections(start, where, until, place):
    server = start(where, "serial")
    with connect(server.addresses[0], 20) as before:
        before.sendall(b"hel")
        successor = start(where, "serial", die="never")
        with connect(server.addresses[0], 20) as queued:  # behind it
            queued.sendall(b"hello\n")
            before.sendall(b"lo\n")
            before.settimeout(20)
            assert int(before.recv(100)) == server.pid
            assert successor.hear()[0] == server.addresses
            serving(successor)
            queued.settimeout(20)
            assert int(queued.recv(100)) in (server.pid, successor.pid)
    ended(server, handed_over=True)
    stop(successor)


@pytest.mark.parametrize("model", ["thread", "dispatch"])
def test_who_has_said_nothing_yet_is_served_by_the_old_one(model, start, where, answer):
    server = start(where, model, silent=10)
    with connect(server.addresses[0], 20) as before, connect(server.addresses[0], 20) as other:
        answer(server.addresses[0])  # which came after them
        successor = start(where, model, silent=10)
        answer(server.addresses[0])
        time.sleep(1.1)  # as the last word of a stop is a second
        before.sendall(b"hello\n")
        before.settimeout(20)
        assert before.recv(100)
        other.close()
    ended(server, handed_over=True)
    stop(successor)


def test_sigterm_meanwhile_cuts_nobody_but_a_second_one_does(start, where, answer):
    server = start(where, tells_of_stops=True)
    with connect(server.addresses[0], 20) as one, connect(server.addresses[0], 20) as other:
        one.sendall(b"hel")
        other.sendall(b"hel")
        answer(server.addresses[0])
        successor = start(where)
        answer(server.addresses[0])
        server.kill(signal.SIGTERM)
        assert server.hear() == "stopped"
        one.sendall(b"lo\n")
        one.settimeout(20)
        assert int(one.recv(100)) == server.pid
        server.kill(signal.SIGTERM)
        assert server.hear() == "stopped"
        ended(server, handed_over=True)
        other.settimeout(20)
        assert other.recv(100) == b""
    stop(successor)


def test_other_addresses_are_new_or_stay_until_the_old_one_ends(start, tmp_path, answer):
    first, second, third = (f"unix:{tmp_path}/{name}" for name in ("first", "second", "third"))
    server = start([first, second])
    with connect(second, 20) as connected:
        connected.sendall(b"hel")
        answer(first)
        successor = start([second, third])
        assert answer(third) == answer(second) == successor.pid
        connected.sendall(b"lo\n")
        connected.settimeout(20)
        assert int(connected.recv(100)) == server.pid
    ended(server, handed_over=True)
    assert not (tmp_path / "first").exists()
    assert answer(second) == successor.pid
    stop(successor)
    assert not os.listdir(tmp_path)


def test_paths_from_another_directory(child, tmp_path, monkeypatch, answer):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    server = child(serves, {"address": "unix:served", "handover": "handover"})
    server.hear()
    serving(server)
    monkeypatch.chdir(there)
    options = {"address": "unix:../here/served", "handover": "../here/handover"}
    successor = child(serves, options)
    assert successor.hear()[0] == [f"unix:{here}/served"]
    serving(successor)
    ended(server, handed_over=True)
    assert answer(f"unix:{here}/served") == successor.pid
    stop(successor)
    assert not os.listdir(here)


# ---- who dies ----

STEPS = ("before it asks", "after it has asked", "before it says that it serves")


@pytest.mark.parametrize("model", ["thread", "prefork"])
@pytest.mark.parametrize("step", STEPS)
def test_a_successor_is_killed(step, model, start, where, tmp_path, answer):
    server = start(where, model)
    victim = start(where, model, die=step)
    if step == STEPS[2]:
        victim.hear()
        victim.say()
    assert victim.end() == -signal.SIGKILL
    assert all(answer(address) for address in server.addresses)
    with start(where, model, go=False)._popen.stdin:  # has all of it, and is not to serve
        pass
    successor = start(where, model)
    ended(server, handed_over=True)
    assert all(answer(address) for address in server.addresses)
    stop(successor)
    assert not os.listdir(tmp_path)


def test_a_successor_leaves_without_serving(start, where, tmp_path, answer):
    server = start(where)
    successor = start(where, go=False)
    successor.say("leave")
    assert successor.end() == 0
    assert [answer(address) for address in server.addresses] == [server.pid] * 2
    stop(server)
    assert not os.listdir(tmp_path)


def test_a_successor_that_cannot_begin_takes_nothing_away(start, where, place, tmp_path, answer):
    server = start(where)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        for addresses in ([*where, taken], [*where, "nonsense"], []):
            with pytest.raises((AlreadyExistsError, ValueError)):
                Server(addresses, print, handover=str(place))
    with pytest.raises(ValueError, match="Unix sockets only"):
        Server(reversed(where), print, handover=str(place), allow=[os.getuid()])
    assert sorted(os.listdir(tmp_path)) == ["handover", "served"]
    assert [answer(address) for address in server.addresses] == [server.pid] * 2
    stop(server)
    assert not os.listdir(tmp_path)


def test_a_successor_is_killed_with_its_descriptors(start, where, tmp_path, answer):
    server = start(where)
    before = answer(server.addresses[0], b"descriptors\n")
    victim = start(where, go=False)
    victim.kill()
    victim.end()
    successor = start(where, go=False)  # once the old one has seen it
    assert answer(server.addresses[0]) == server.pid
    successor.say("leave")
    successor.end()
    last = start(where, go=False)
    last.say("leave")
    last.end()
    assert answer(server.addresses[0], b"descriptors\n") <= before + 1  # the last may be there yet
    stop(server)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_old_one_ends_before_the_new_one_serves(how, start, where, tmp_path, answer):
    server = start(where)
    successor = start(where, go=False)
    server.kill(how)
    if how == signal.SIGTERM:
        ended(server, handed_over=False)
    else:
        server.end()
    with connect(server.addresses[1], 20) as waiting:  # the successor's, which does not serve yet
        waiting.sendall(b"hello\n")
        serving(successor)
        waiting.settimeout(20)
        assert int(waiting.recv(100)) == successor.pid
    assert [answer(address) for address in server.addresses] == [successor.pid] * 2
    third = start(where)
    ended(successor, handed_over=True)
    assert answer(server.addresses[1]) == third.pid
    stop(third)
    assert not os.listdir(tmp_path)


def test_the_old_one_is_killed_and_the_new_one_leaves(start, where, tmp_path):
    server = start(where)
    successor = start(where, go=False)
    server.kill()
    server.end()
    successor.say("leave")
    assert successor.end() == 0
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("model", ["fork", "prefork", "dispatch"])
def test_children_of_the_dead_are_in_nobodys_way(model, start, where, place, answer):
    server = start(where, model)
    with connect(server.addresses[0], 20) as before:
        before.sendall(b"hel")  # it takes a child, which lives on
        answer(server.addresses[1])
        server.kill()
        server.end()
        control, predecessor = handover.meet(str(place))
        control.close()
        assert predecessor is None
        before.sendall(b"lo\n")
        before.settimeout(20)
        assert before.recv(100)


def test_the_old_one_is_killed_while_it_drains(start, where, tmp_path, answer):
    server = start(where)
    with connect(server.addresses[0], 20) as before:
        before.sendall(b"hel")
        answer(server.addresses[1])
        successor = start(where)
        server.kill()
        server.end()
    assert [answer(address) for address in server.addresses] == [successor.pid] * 2
    stop(successor)
    assert not os.listdir(tmp_path)


def test_the_new_one_dies_while_the_old_one_drains(start, where, tmp_path, answer):
    server = start(where)
    with connect(server.addresses[0], 20) as before:
        before.sendall(b"hel")
        answer(server.addresses[1])
        successor = start(where)
        assert answer(server.addresses[0]) == successor.pid
        successor.kill()
        successor.end()
        third = start([server.addresses[0], where[1]])  # the port is free, and nobody hands it over
        assert third.addresses == server.addresses
        before.sendall(b"lo\n")
        before.settimeout(20)
        assert int(before.recv(100)) == server.pid
    ended(server, handed_over=True)
    assert [answer(address) for address in server.addresses] == [third.pid] * 2
    stop(third)
    assert not os.listdir(tmp_path)


def test_one_that_drains_hands_nothing_over(start, where, place, until, answer):
    server = start(where)
    with connect(server.addresses[0], 20) as before:
        before.sendall(b"hel")
        answer(server.addresses[1])
        server.kill(signal.SIGTERM)
        until(lambda: not _reachable(place))
        control, predecessor = handover.meet(str(place))
        control.close()
        assert predecessor is None
        before.sendall(b"lo\n")
    ended(server, handed_over=False)


def _reachable(place):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        return probe.connect_ex(str(place)) == 0


# ---- strangers ----


@pytest.fixture
def ask(place):
    """Connect to the path, as a successor would, and say something."""
    connections = []

    def ask(*words, descriptors=()):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connections.append(connection)
        connection.settimeout(20)
        connection.connect(str(place))
        for word in words:
            fds.send(connection, word, descriptors)
        return connection

    yield ask
    for connection in connections:
        connection.close()


def gone(connection):
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:  # it did not even read it
        return True


def test_garbage_costs_nothing(start, where, ask, until, tmp_path, answer):
    server = start(where)
    before = answer(server.addresses[0], b"descriptors\n")
    with open("/dev/null") as file:
        for words in (
            [b"hello"],
            [b"x" * 60000],
            [b"serving\x00\x01"],
            [b"{" * 200],
        ):
            connection = ask(*words, descriptors=[file] * 200)
            assert gone(connection)
    for word in handover._HELLO + b"!", b"pyipc hand-over 2: in another way":
        connection = ask(word)
        assert b"another version" in connection.recv(1000)
        assert gone(connection)
    ask().close()
    until(lambda: answer(server.addresses[0], b"descriptors\n") == before)
    successor = start(where)
    ended(server, handed_over=True)
    stop(successor)
    assert not os.listdir(tmp_path)


def test_who_says_nothing_is_in_nobodys_way(start, where, ask, tmp_path, answer):
    server = start(where)
    before = answer(server.addresses[0], b"descriptors\n")
    silent = [ask() for _ in range(50)]
    successor = start(where, go=False)  # not after fifty seconds
    successor.say("leave")
    successor.end()
    assert all(map(gone, silent))
    assert gone(ask())  # a second later
    assert answer(server.addresses[0], b"descriptors\n") <= before + 1
    successor = start(where)
    ended(server, handed_over=True)
    stop(successor)


def test_what_goes_over_the_path(start, where, ask, tmp_path):
    """Whoever speaks this, in whatever language, can follow."""
    server = start(where, state=(b"a state", 1))
    connection = ask(b"pyipc hand-over 1: your listeners, please")
    with fds.receive(connection, timeout=20) as message:
        offer = json.loads(message.data)
        tcp, unix = offer["listeners"]
        assert tcp == {"asked": "tcp://127.0.0.1:0", "address": server.addresses[0], "path": None}
        path = f"{tmp_path}/served"
        assert unix == {"asked": f"unix:{path}", "address": f"unix:{path}", "path": path}
        assert offer["state"] is True
        control, control_node, tcp, unix, node, state = message.fds
        assert os.path.samestat(os.fstat(node.fileno()), os.stat(path))
        assert os.path.samestat(os.fstat(control_node.fileno()), os.stat(tmp_path / "handover"))
        assert os.pread(state.fileno(), 100, 0) == b"a state"
        with socket.socket(fileno=tcp.detach()) as tcp, socket.socket(fileno=control.detach()) as control:
            assert f"tcp://127.0.0.1:{tcp.getsockname()[1]}" == server.addresses[0]
            fds.send(connection, b"serving\x00\x07")  # the first; there is no eighth
            assert server.hear() == ("over", True)
            with connect(server.addresses[0], 20) as client:
                client.sendall(b"hello")
                tcp.setblocking(True)
                with tcp.accept()[0] as served:
                    assert served.recv(100) == b"hello"
    server.say()
    server.hear()
    assert os.listdir(tmp_path) == ["handover"]


def test_what_says_nonsense_is_no_predecessor(place, where, fork):
    def babbles(us):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.bind(str(place))
            sock.listen()
            us.say()
            for word in b"what?", b"[]", b'{"listeners": []}', b'{"refused": "not today"}':
                with sock.accept()[0] as connection:
                    fds.send(connection, word)
                    us.hear()

    babbler = fork(babbles)
    babbler.hear()
    for errno in (71, 71, 71, 16):  # EPROTO, EBUSY
        with pytest.raises(IPCError, match="take over") as caught:
            Server(where, print, handover=str(place))
        assert caught.value.errno == errno
        babbler.say()
    assert babbler.end() == 0


def test_something_else_at_the_path(place, where):
    place.write_text("a file")
    with pytest.raises(AlreadyExistsError):
        Server(where, print, handover=str(place))
    assert place.read_text() == "a file"


def test_one_that_does_not_answer(place, where, monkeypatch):
    monkeypatch.setattr(handover, "_PATIENCE", 0.2)
    silent = Server(where, print, handover=str(place))  # it does not serve
    with silent, pytest.raises(TimedOutError, match="does not answer"):
        Server("tcp://127.0.0.1:0", print, handover=str(place))


@pytest.fixture
def open_place():
    """A directory that everybody may use."""
    directory = tempfile.mkdtemp()
    os.chmod(directory, 0o777)
    yield Path(directory)
    shutil.rmtree(directory)


@pytest.fixture
def as_nobody(fork):
    """Run a function as a user who may nothing."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def start(function):
        def become(us):
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            function(us)

        with Server("tcp://127.0.0.1:0", print):  # imports what it could not read
            return fork(become)

    return start


def test_another_user_gets_nothing(as_nobody, child, open_place, answer):
    def follows(us):
        with pytest.raises(IPCError) as caught:
            Server("tcp://127.0.0.1:0", print, handover=path)
        us.say((caught.value.errno, str(caught.value)))

    path = str(open_place / "handover")
    server = child(serves, {"address": "tcp://127.0.0.1:0", "handover": path})
    addresses, _ = server.hear()
    serving(server)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert as_nobody(follows).hear()[0] == 13  # EACCES, by the kernel
    os.chmod(path, 0o666)
    errno, text = as_nobody(follows).hear()
    assert errno == 16
    assert "another user" in text
    assert answer(addresses[0]) == server.pid
    stop(server)


def test_nothing_is_taken_from_another_user(as_nobody, open_place):
    def lures(us):
        with Server("tcp://127.0.0.1:0", print, handover=path):
            us.say()
            us.hear()

    path = str(open_place / "handover")
    stranger = as_nobody(lures)
    stranger.hear()
    with pytest.raises(AccessError, match="another user"):
        Server("tcp://127.0.0.1:0", print, handover=path)
    stranger.say()
    stranger.end()


# ---- the state ----


def test_the_state_is_kept_to_the_bit_and_cannot_change(start, where):
    seed = os.urandom(31)
    server = start(where, state=(seed, 100_001))
    assert server.inherited is None
    for _ in range(3):
        successor = start(where, state=(seed, 100_001))
        ended(server, handed_over=True)
        assert successor.inherited == (3_100_031, hashlib.sha256(seed * 100_001).hexdigest(), True, 13)
        server = successor
    successor = start(where, state=(b"", 1))
    assert successor.inherited[0] == 3_100_031
    ended(server, handed_over=True)
    server = start(where)
    assert server.inherited is None  # it has nothing to say
    ended(successor, handed_over=True)
    stop(server)


def test_a_state_that_could_change_is_refused(place, fork):
    def lures(us):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock, Memory(100) as memory:
            sock.bind(str(place))
            sock.listen()
            node = os.open(place, os.O_PATH)
            us.say()
            with sock.accept()[0] as connection:
                fds.send(connection, b'{"listeners": [], "state": true}', [sock, node, memory])
                us.hear()

    lurer = fork(lures)
    lurer.hear()
    with pytest.raises(AccessError, match="changed"):
        Server("tcp://127.0.0.1:0", print, handover=str(place))
    lurer.say()
    assert lurer.end() == 0


def test_what_cannot_be_saved_is_not_handed_over(start, where, place, answer):
    server = start(where, state=(b"x", "y"))
    with pytest.raises(IPCError, match="TypeError") as caught:
        Server(where, print, handover=str(place))
    assert caught.value.errno == 16
    assert answer(server.addresses[0]) == server.pid
    stop(server)


# ---- another Python ----


def _another_python(environment):
    """One of another version that can use this source."""
    program = (
        "import sys, pyipc.sockets.handover, pyipc.memory\n"
        f"print(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    )
    versions = [f"python3.{minor}" for minor in range(9, 20)]
    beside = Path(sys.base_prefix).parent.glob("*/bin/python3.[0-9]*[0-9]")
    for found in [*filter(None, map(shutil.which, versions)), *map(str, sorted(beside))]:
        with contextlib.suppress(OSError):
            tried = subprocess.run([found, "-c", program], env=environment, capture_output=True, check=False)
            if tried.stdout.strip() == b"True":
                return found
    return None


@pytest.fixture
def other_environment(tmp_path_factory):
    """In which any Python can use this source, whatever is installed for it."""
    # Without this package the fallback does not load; but no call of it is needed here.
    place = tmp_path_factory.mktemp("packages")
    errors = "ExistentialError", "PermissionsError", "BusyError", "Error"
    lines = [f"class {name}(Exception): pass\n" for name in (*errors, "SharedMemory")]
    (place / "sysv_ipc.py").write_text("".join(lines))
    (place / "pyipc").symlink_to(PACKAGE)
    return {"PYIPC_BACKEND": "fallback", "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}


def test_another_python_and_back(start, where, process, tmp_path, other_environment, answer):
    python = _another_python(other_environment)
    if python is None:
        pytest.skip("no Python of another version is here")

    def begin(function, options):
        started = process([python, RUN_FUNCTION], env=other_environment)
        started.say((function.__name__, inspect.getsource(function), (options,), None))
        return started

    seed = os.urandom(31)
    state = (3100, hashlib.sha256(seed * 100).hexdigest(), True, 13)
    server = start(where, "prefork", state=(seed, 100))
    other = start(where, "prefork", state=(seed, 100), begin=begin)
    assert other.inherited == state
    ended(server, handed_over=True)
    assert all(answer(address) for address in server.addresses)
    server = start(where, "prefork")
    assert server.inherited == state
    ended(other, handed_over=True)
    stop(server)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.environ.get("PYIPC_LONG") != "1", reason="PYIPC_LONG=1: 20,000 connections")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("model", MODELS)
def test_in_the_middle_of_many_thousands(model, start, where, child, tmp_path):
    server = start(where, model)
    clients = [child(asks_so_often, server.addresses, 5000) for _ in range(4)]
    replaced = 0
    while not all(client.has_said() for client in clients):
        successor = start(where, model)
        ended(server, handed_over=True)
        server = successor
        replaced += 1
    assert replaced > 1
    assert [client.hear() for client in clients] == [[]] * 4
    assert [client.end() for client in clients] == [0] * 4
    stop(server)
    assert not os.listdir(tmp_path)


def asks_so_often(say, hear, addresses, count):
    """Short connections; what was wrong of them."""
    from pyipc.sockets import connect

    wrong = []
    for number in range(count):
        try:
            with connect(addresses[number % len(addresses)], 20) as connection:
                connection.settimeout(20)
                connection.sendall(b"hello\n")
                if not connection.recv(100).isdigit():
                    wrong.append("empty")
        except OSError as problem:
            wrong.append(repr(problem))
    say(wrong)
