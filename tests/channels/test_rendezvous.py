"""serve() and connect(): channels by name."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import tempfile
import threading
import time

import pytest

import pyipc
from pyipc import channels, fds
from pyipc.channels import rendezvous

pytestmark = pytest.mark.needs("channels")

NOBODY = 65534


@pytest.fixture
def folder():
    """One that any user may use."""
    path = tempfile.mkdtemp(prefix="pyipc-")
    os.chmod(path, 0o777)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def path(folder):
    return f"{folder}/channel"


@pytest.fixture
def served(path, channel):
    with channels.serve(path, channel) as server:
        yield server


def becomes(user):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


@pytest.fixture
def as_nobody(fork):
    """Run a function in a child that has become another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def start(function, *arguments):
        def run(other):
            becomes(NOBODY)
            function(other, *arguments)

        return fork(run)

    return start


# ---- as meant ----


def connects(say, hear, path):
    from pyipc import channels

    with channels.connect(path, "reader", timeout=20) as reader, channels.connect(path, "writer") as writer:
        say((type(reader).__name__, type(writer).__name__, reader.recv(timeout=20)))
        writer.send(b"by name", timeout=20)
        hear()
    with channels.connect(path) as both:
        both.send(b"both", timeout=20)
        say(type(both).__name__)


def test_another_process_takes_part_by_a_path(child, served, path, channel):
    other = child(connects, path)
    channel.send(b"hello")
    assert other.hear() == ("Reader", "Writer", b"hello")
    assert channel.recv(timeout=20) == b"by name"
    other.say()
    assert channel.recv(timeout=20) == b"both"
    assert other.hear() == "Channel"
    assert other.end() == 0
    assert served.refused == 0


@pytest.mark.parametrize("kind", [str, os.fsencode, "path"], ids=["text", "bytes", "path"])
def test_paths_of_any_kind(path, channel, kind):
    from pathlib import Path

    path = Path(path) if kind == "path" else kind(path)
    with channels.serve(path, channel), channels.connect(path, timeout=5) as other:
        other.send(b"x")
        assert channel.recv() == b"x"


def test_a_path_longer_than_an_address(folder, channel):
    deep = os.path.join(folder, *["a" * 100] * 3)
    os.makedirs(deep)
    path = f"{deep}/channel"
    with channels.serve(path, channel), channels.connect(path, "writer", timeout=5) as other:
        other.send(b"x")
        assert channel.recv() == b"x"
    assert os.listdir(deep) == []


def test_a_relative_path_and_a_change_of_directory(folder, channel, monkeypatch):
    monkeypatch.chdir(folder)
    with channels.serve("here", channel):
        with channels.connect("here", timeout=5) as other:
            other.send(b"x")
        monkeypatch.chdir("/")
    assert os.listdir(folder) == []
    assert channel.recv() == b"x"


def test_the_socket_has_its_mode_and_goes_with_the_server(path, channel):
    for mode in 0o600, 0o660, 0o666:
        server = channels.serve(path, channel, mode=mode)
        assert stat.S_IMODE(os.stat(path).st_mode) == mode
        server.close()
        server.close()
        assert not os.path.exists(path)
    channel.send(b"it lives on")
    assert channel.recv() == b"it lives on"


def test_the_channel_outlives_its_server(path, channel):
    with channels.serve(path, channel):
        other = channels.connect(path, "writer", timeout=5)
    with other:
        other.send(b"x")
        assert channel.recv() == b"x"
    with pytest.raises(pyipc.NotFoundError):
        channels.connect(path, timeout=5)


def test_many_at_once(served, path, channel):
    came = []

    def works():
        for _ in range(20):
            with channels.connect(path, "writer", timeout=20) as writer:
                writer.send(b"x", timeout=20)

    threads = [threading.Thread(target=works) for _ in range(6)]
    for thread in threads:
        thread.start()
    while len(came) < 120:
        came += channel.recv_many(timeout=20)
    for thread in threads:
        thread.join()
    assert came == [b"x"] * 120


def test_each_end_is_told_of_the_end_of_the_others(path, fork):
    """Who connects has its own end only."""
    reader, writer = channels.Channel(4, 64, 0).split()

    def serves(other):
        reader.close()
        channel = channels.Channel(4, 64, 0)
        with channels.serve(path, channel):
            other.say()
            other.hear()
        channel.close()
        signal.pause()

    other = fork(serves)
    reader.close()
    writer.close()
    other.hear()
    receives, sends = channels.connect(path, "reader", 5), channels.connect(path, "writer", 5)
    other.kill()
    sends.send(b"x", timeout=5)
    assert receives.recv(timeout=5) == b"x"
    sends.close()
    with pytest.raises(pyipc.PeerGoneError):
        receives.recv(timeout=5)
    receives.close()


# ---- who may ----


def test_a_user_who_is_not_allowed_is_turned_away(as_nobody, path, channel, until):
    def tries(other):
        try:
            channels.connect(path, timeout=5)
        except pyipc.PeerGoneError:
            other.say("turned away")

    with channels.serve(path, channel, mode=0o666) as server:
        other = as_nobody(tries)
        assert other.hear() == "turned away"
        until(lambda: server.refused == 1)
        assert other.end() == 0


def test_a_user_who_is_allowed_takes_part(as_nobody, path, channel):
    def tries(other):
        for end in "writer", "both":
            with channels.connect(path, end, timeout=5, allow=[0]) as made:
                made.send(os.fsencode(end), timeout=5)
        with channels.connect(path, "reader", timeout=5) as reader:
            other.say(reader.recv(timeout=5))

    with channels.serve(path, channel, mode=0o666, allow=[NOBODY]) as server:
        other = as_nobody(tries)
        assert other.hear() == b"writer"
        assert other.end() == 0
        assert server.refused == 0
    assert channel.recv(timeout=0) == b"both"


def test_who_is_not_allowed_by_the_sockets_mode(as_nobody, served, path):
    def tries(other):
        try:
            channels.connect(path, timeout=5)
        except pyipc.AccessError:
            other.say("no access")

    assert as_nobody(tries).hear() == "no access"


def test_a_server_of_another_user_is_not_trusted(as_nobody, path):
    def serves(other):
        with channels.Channel(2, 64, 0) as channel, channels.serve(path, channel, allow=[0]):
            other.say()
            other.hear()

    other = as_nobody(serves)
    other.hear()
    for allow in None, [0], [], [NOBODY + 1]:
        with pytest.raises(pyipc.AccessError, match=f"user {NOBODY} serves"):
            channels.connect(path, timeout=5, allow=allow)
    with channels.connect(path, timeout=5, allow=[NOBODY]) as made:
        made.send(b"x", timeout=5)
    other.say()
    assert other.end() == 0


def test_nobody_is_allowed_by_an_empty_list(path, channel):
    with channels.serve(path, channel, allow=[]) as server:
        with pytest.raises(pyipc.PeerGoneError):
            channels.connect(path, timeout=5)
        assert server.refused == 1


# ---- what stands in the way ----


def test_nothing_is_there(path):
    with pytest.raises(pyipc.NotFoundError):
        channels.connect(path, timeout=5)
    with pytest.raises(pyipc.NotFoundError):
        channels.connect(f"{path}/no/folder", timeout=5)


def test_a_dead_servers_path(path, channel, fork):
    def serves(other):
        channels.serve(path, channel)
        other.say()
        signal.pause()

    other = fork(serves)
    other.hear()
    other.kill()
    assert os.path.exists(path)
    with pytest.raises(pyipc.PeerGoneError):
        channels.connect(path, timeout=5)
    with channels.serve(path, channel), channels.connect(path, timeout=5) as made:
        made.send(b"taken over")
        assert channel.recv() == b"taken over"


def test_two_servers(served, path, channel):
    with pytest.raises(pyipc.AlreadyExistsError):
        channels.serve(path, channel)
    with channels.connect(path, timeout=5) as made:
        made.send(b"the first")
    assert channel.recv() == b"the first"
    assert threading.active_count() == 2


def test_a_file_in_the_way(path, channel):
    with open(path, "w") as file:
        file.write("precious")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(pyipc.AlreadyExistsError):
        channels.serve(path, channel)
    assert len(os.listdir("/proc/self/fd")) == before
    with open(path) as file:
        assert file.read() == "precious"
    with pytest.raises((pyipc.PeerGoneError, pyipc.AccessError)):
        channels.connect(path, timeout=5)


def test_arguments_that_are_wrong(path, channel):
    for end in "", "Reader", "readers", "x":
        with pytest.raises(ValueError, match="reader"):
            channels.connect(path, end)
    for timeout in -1, float("nan"):
        with pytest.raises(ValueError, match="timeout"):
            channels.connect(path, timeout=timeout)
    with pytest.raises(ValueError, match="path"):
        channels.serve("", channel)


def test_a_server_that_does_not_answer(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen(1)
        for timeout in 0.05, 0.3:
            begun = time.monotonic()
            with pytest.raises(pyipc.TimedOutError):
                channels.connect(path, timeout=timeout)
            assert timeout <= time.monotonic() - begun < timeout + 0.5


@pytest.mark.parametrize("answer", [b"", b"x", b"pyipc channel 1", b"pyipc channel 2", bytes(100)], ids=repr)
@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_a_server_that_answers_nonsense(path, answer, count):
    """With descriptors of whatever it likes."""
    before = len(os.listdir("/proc/self/fd"))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with listener, open("/dev/null", "r+b") as null:
        listener.bind(path)
        listener.listen(4)

        def answers():
            client, _ = listener.accept()
            with client:
                client.recv(100)
                socket.send_fds(client, [answer], [null.fileno()] * count)
                with contextlib.suppress(OSError):
                    client.recv(1)

        thread = threading.Thread(target=answers)
        thread.start()
        with pytest.raises(OSError, match=r"."):
            channels.connect(path, "reader", timeout=5)
        thread.join()
    assert len(os.listdir("/proc/self/fd")) == before


@contextlib.contextmanager
def client_of(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(path)
        yield sock


@pytest.mark.parametrize(
    "data",
    [
        *(b"x", b"pyipc channel 1 ", b"pyipc channel 1 both ", b"pyipc channel 1 nothing", bytes(64)),
        *(b"pyipc channel 2 both", bytes(100_000), b"both", b"XXXXXXXXXXXXXXXXboth"),
    ],
    ids=lambda it: repr(it[:24]),
)
def test_a_client_that_asks_nonsense_gets_nothing(served, path, channel, data):
    with client_of(path) as sock, open("/dev/null") as null:
        with contextlib.suppress(OSError):
            socket.send_fds(sock, [data], [null.fileno()] * 3)
        sock.settimeout(5)
        try:
            came = socket.recv_fds(sock, 100, 10)[:2]
        except ConnectionResetError:
            came = b"", []
        assert came == (b"", [])
    with channels.connect(path, timeout=5) as made:
        made.send(b"others do")
    assert channel.recv() == b"others do"


def test_a_client_that_says_nothing_is_left_in_a_while(path, channel, monkeypatch):
    monkeypatch.setattr(rendezvous, "_CLIENT_HAS_SECONDS", 0.3)
    with channels.serve(path, channel), client_of(path) as sock:
        begun = time.monotonic()
        with channels.connect(path, timeout=10) as made:
            made.send(b"x")
        assert time.monotonic() - begun < 2
        sock.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(100) == b""


def test_clients_that_go_at_once(served, path, channel):
    for _ in range(50):
        with client_of(path):
            pass
        with client_of(path) as sock:
            sock.send(b"pyipc channel 1 both")
    with channels.connect(path, timeout=20) as made:
        made.send(b"x")
    assert channel.recv() == b"x"


def test_a_client_that_does_not_read_its_answer_costs_nothing(served, path, until):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(30):
        with client_of(path) as sock:
            sock.send(b"pyipc channel 1 both")
    with channels.connect(path, timeout=20):
        pass
    until(lambda: len(os.listdir("/proc/self/fd")) == before)  # the server's thread closes the last of them


def test_clients_that_say_nothing_hold_up_nobody(path, channel):
    server = channels.serve(path, channel)
    with contextlib.ExitStack() as stack:
        mute = [stack.enter_context(client_of(path)) for _ in range(5)]
        begun = time.monotonic()
        with channels.connect(path, timeout=10) as made:
            made.send(b"x")
        server.close()
        assert time.monotonic() - begun < rendezvous._CLIENT_HAS_SECONDS / 2
        for sock in mute:
            sock.settimeout(5)
            assert sock.recv(100) == b""
    assert channel.recv() == b"x"
    assert threading.active_count() == 1


def test_one_client_too_many_puts_an_end_to_the_first(path, channel, monkeypatch):
    monkeypatch.setattr(rendezvous, "_MOST_CLIENTS", 3)
    with channels.serve(path, channel), contextlib.ExitStack() as stack:
        mute = [stack.enter_context(client_of(path)) for _ in range(3)]
        with channels.connect(path, timeout=10):
            pass
        mute[0].settimeout(5)
        assert mute[0].recv(100) == b""
        mute[1].send(b"pyipc channel 1 both")
        mute[1].settimeout(5)
        assert mute[1].recv(100) == b"pyipc channel 1"


def test_closing_the_server_while_a_client_is_at_it(path, channel):
    server = channels.serve(path, channel)
    with client_of(path):
        begun = time.monotonic()
        server.close()
        assert time.monotonic() - begun < rendezvous._CLIENT_HAS_SECONDS / 2
    assert threading.active_count() == 1


def test_a_server_whose_channel_was_closed_turns_all_away(path):
    channel = channels.Channel(2, 64, 0)
    with channels.serve(path, channel):
        channel.close()
        for _ in range(2):
            with pytest.raises(pyipc.PeerGoneError):
                channels.connect(path, timeout=5)


# ---- processes of the server ----


def test_a_forked_child_lets_go_of_the_server(served, path, channel, fork):
    def closes(other):
        served.close()
        other.say(os.path.exists(path))

    other = fork(closes)
    assert other.hear() is True
    assert other.end() == 0
    with channels.connect(path, timeout=5) as made:
        made.send(b"still served")
    assert channel.recv() == b"still served"


def test_a_forked_child_does_not_keep_a_dead_servers_path_alive(path, channel, fork):
    def serves(other):
        channels.serve(path, channel)
        child = os.fork()
        if child == 0:
            other.say(os.getpid())
            signal.pause()
        signal.pause()

    other = fork(serves)
    orphan = other.hear()
    other.kill()
    try:
        with pytest.raises(pyipc.PeerGoneError):
            channels.connect(path, timeout=5)
        with channels.serve(path, channel), channels.connect(path, timeout=5):
            pass
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_a_server_in_a_forked_child(path, channel, fork):
    """Of the same channel, while its parent serves it elsewhere."""

    def serves(other):
        with channels.serve(path + ".2", channel):
            other.say()
            other.hear()

    with channels.serve(path, channel):
        other = fork(serves)
        other.hear()
        with channels.connect(path + ".2", timeout=5) as made:
            made.send(b"x")
        assert channel.recv(timeout=5) == b"x"
        other.say()
        assert other.end() == 0
        assert not os.path.exists(path + ".2")


def exits(say, hear, path, how):
    import sys

    from pyipc import channels

    channel = channels.Channel(2, 64, 0)
    channels.serve(path, channel)
    channel = channel.close() if how == "closed before" else channel
    if how == "raises":
        raise KeyError
    sys.kept = channel
    if how == "exits":
        sys.exit(3)


@pytest.mark.parametrize(("how", "status"), [("ends", 0), ("exits", 3), ("raises", 1), ("closed before", 0)])
def test_a_process_that_ends_without_closing_removes_the_path(child, path, how, status):
    other = child(exits, path, how)
    assert other.end() == status
    assert not os.path.exists(path)


def test_it_needs_no_other_handle_than_it_says(served, path):
    """What a client gets: the memory, and an end of a pipe for each role; all close-on-exec."""
    for end, count in ((b"reader", 3), (b"writer", 3), (b"both", 5)):
        with client_of(path) as sock:
            sock.send(b"pyipc channel 1 " + end)
            with fds.receive(sock, 100, 5) as message:
                assert message.data == b"pyipc channel 1"
                assert len(message.fds) == count
