"""Who may connect, by the kernel's word."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from pyipc import sockets

pytestmark = pytest.mark.timeout(40)

MODELS = ("serial", "thread", "fork", "prefork", "dispatch", "program")
NOBODY = 65534
OTHERS = 54321  # a number that nobody has


@pytest.fixture
def connects(child):
    """Whether somebody of those ids is served there."""

    def program(say, _hear, address, uid, gid, groups):
        import os

        from pyipc import sockets

        connect = sockets.connect  # its file can be read now
        if uid is not None:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        try:
            with connect(address, 20) as client:
                client.settimeout(20)
                client.sendall(b"echo x\n")
                say(client.recv(100) == b"echo x\n")
        except ConnectionError:
            say(False)
        os._exit(0)

    def ask(address, uid=None, gid=None, groups=()):
        other = child(program, address, uid, gid, list(groups))
        try:
            return other.hear()
        finally:
            other.end()

    return ask


@pytest.mark.parametrize("model", MODELS)
def test_a_client_forges_no_line_of_the_log(server, model, tmp_path):
    it = server(model, f"unix:{tmp_path}/sock")
    with socket.socket(socket.AF_UNIX) as client:
        client.bind(os.fsencode(tmp_path) + b"/a\nall well\x1b[1A\xff")
        client.connect(f"{tmp_path}/sock")
        client.sendall(b"leave\n")
        assert it.served()[0][1] == f"unix:{tmp_path}/a\\nall well\\x1b[1A\\udcff"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_our_own_user_may_if_allowed_and_no_other(server, connects, model, kind, tmp_path):
    name = f"unix:@pyipc-test-{os.getpid()}-{model}" if kind == "abstract" else f"unix:{tmp_path}/"
    it = server(model, f"{name}1", allow=[os.getuid()])
    assert connects(it.address)
    assert it.served()[0][2] == "NoneType"
    other = server(model, f"{name}2", allow=[OTHERS])
    assert not connects(other.address)
    [(_, peer, failure, text)] = other.served()
    assert (peer, failure) == ("unix:", "AccessError")
    assert f"user {os.getuid()} " in text
    for one in it, other:
        one.terminate()
        assert one.ended() == "ended"


def test_by_user_group_and_supplementary_group(server, connects):
    if os.geteuid() != 0:
        pytest.skip("only root can become others")
    it = server("thread", f"unix:@pyipc-test-{os.getpid()}", allow=["root"], allow_groups=[OTHERS])
    assert connects(it.address)
    assert not connects(it.address, NOBODY, NOBODY)
    assert connects(it.address, NOBODY, OTHERS)
    assert connects(it.address, NOBODY, NOBODY, [1, OTHERS, OTHERS + 1])
    assert not connects(it.address, NOBODY, NOBODY, [1, OTHERS + 1])
    assert [failure for _, _, failure, _ in it.served(5)] == [
        *("NoneType", "AccessError", "NoneType", "NoneType", "AccessError")
    ]
    it.terminate()
    assert it.ended() == "ended"
    it = server("thread", f"unix:@pyipc-test-{os.getpid()}", allow_groups=[OTHERS])
    assert not connects(it.address)  # root is no member
    assert connects(it.address, NOBODY, OTHERS)
    it.terminate()
    assert it.ended() == "ended"


def test_the_mode_of_the_path_is_exact(server, tmp_path):
    it = server("thread", f"unix:{tmp_path}/s", mode=0o640)
    assert os.stat(tmp_path / "s").st_mode & 0o777 == 0o640
    assert it.ask("echo x") == "echo x"
    it.terminate()
    assert it.ended() == "ended"


def test_names_that_nobody_has():
    for wrong in {"allow": ["no-such-user-of-pyipc"]}, {"allow_groups": ["no-such-group-of-pyipc"]}:
        with pytest.raises(ValueError, match="there is no"):
            sockets.Server("unix:@pyipc-test", bool, **wrong)


@pytest.mark.parametrize("model", MODELS[:-1])
def test_nothing_is_imported_for_a_client(model, child, tmp_path):
    """A server may have given up the right to read its modules, or they may be newer by now."""

    def program(say, hear, model, address):
        import os
        import sys

        from pyipc.sockets import Server

        def answer(connection):
            connection.sendall(connection.recv(1))

        with Server(address, answer, model=model, allow=[os.getuid()]) as server:
            say("serves")
            sys.meta_path.clear()
            server.serve()

    it = child(program, model, f"unix:{tmp_path}/sock")
    assert it.hear() == "serves"
    for _ in range(3):
        with sockets.connect(f"unix:{tmp_path}/sock", 20) as client:
            client.settimeout(20)
            client.sendall(b"x")
            assert client.recv(2) == b"x"
    it.kill(signal.SIGTERM)
    assert it.end() == 0
