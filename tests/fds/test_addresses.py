"""Datagrams to an address and from one: paths, and names that are in no file system."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

import pyipc
from pyipc import fds


@pytest.fixture
def bound(keep):
    """A datagram socket with this address."""

    def make(address=None):
        sock = keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        if address is not None:
            sock.bind(address)
        return sock

    return make


@pytest.fixture(params=["path", "abstract name"])
def names(request, tmp_path):
    """Two addresses, as the kernel has them."""
    if request.param == "path":
        return [os.fsencode(tmp_path / name) for name in ("ours", "their\xe9")]
    return [b"\0pyipc " + name + os.urandom(8) for name in (b"ours", b"theirs\0")]


def answer_to_the_sender(say, hear, sock):
    from pyipc import fds

    while hear():
        with fds.receive(sock, timeout=20) as message:
            say((message.data, len(message.fds), message.address))
            fds.send(sock, b"to " + message.data, message.fds, address=message.address, timeout=20)


def test_a_datagram_goes_to_an_address_and_an_answer_to_where_it_came_from(bound, names, partner, pipes):
    ours, other = bound(names[0]), partner(answer_to_the_sender, bound(names[1]))
    reading, writing = pipes()
    forms = [names[1]]
    if names[1][0]:
        forms += [os.fsdecode(names[1]), Path(os.fsdecode(names[1]))]
    else:
        forms += [os.fsdecode(names[1])]
    for address in forms:
        other.say("go")
        fds.send(ours, b"there", [writing], address=address)
        assert other.hear() == (b"there", 1, names[0])
        with fds.receive(ours, timeout=20) as message:
            assert (message.data, message.address) == (b"to there", names[1])
            os.write(message.fds[0].fileno(), b"back")
        assert reading.read(10) == b"back"
    other.say()
    assert other.end() == 0


def test_who_has_no_address_tells_none(bound, names):
    theirs = bound(names[1])
    fds.send(bound(), b"x", [0], address=names[1])
    with fds.receive(theirs, timeout=0) as message:
        assert (message.data, len(message.fds), message.address) == (b"x", 1, None)


def test_a_connected_datagram_socket_may_send_elsewhere_too(pair, bound, names):
    ours, theirs = pair("datagram")
    elsewhere = bound(names[1])
    fds.send(ours, b"elsewhere", [0], address=names[1])
    fds.send(ours, b"to the peer")
    assert fds.receive(theirs, timeout=0).data == b"to the peer"
    with fds.receive(elsewhere, timeout=0) as message:
        assert (message.data, len(message.fds)) == (b"elsewhere", 1)


@pytest.mark.parametrize("size", [1, 2, 107])
def test_addresses_of_all_lengths_come_as_they_are(bound, size, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for address in b"x" * size, b"\0" + bytes(range(size))[:107]:
        ours, theirs = bound(address), bound("receiver")
        fds.send(ours, b"x", address="receiver")
        assert fds.receive(theirs, timeout=0).address == address
        fds.send(theirs, b"back", address=address)
        assert fds.receive(ours, timeout=0).data == b"back"
        Path("receiver").unlink()


@pytest.mark.parametrize("address", ["", b"", "x" * 108, b"\0" * 109, "a\0b", b"x\0"])
def test_what_is_no_address_is_a_value_error(bound, address):
    with pytest.raises(ValueError, match="address of a Unix socket"):
        fds.send(bound(), b"x", address=address)


@pytest.mark.parametrize("address", [5, 1.5, ("127.0.0.1", 80), ["x"]])
def test_what_is_no_path_is_a_type_error(bound, address):
    with pytest.raises(TypeError):
        fds.send(bound(), b"x", address=address)


def test_an_address_on_a_connected_socket_of_another_kind_is_refused(pair, bound, names):
    theirs = bound(names[1])
    for kind in "stream", "seqpacket":
        ours, connected = pair(kind)
        # The kernel would say EISCONN, or send it to the peer of a packet socket all the same.
        with pytest.raises(ValueError, match="only datagrams"):
            fds.send(ours, b"x", address=names[1])
        with pytest.raises(pyipc.WouldBlockError):
            fds.receive(connected, timeout=0)
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive(theirs, timeout=0)


def test_a_path_that_the_user_may_not_write_is_an_access_error(bound, tmp_path, partner, pair):
    def send_there(say, hear, sock, address):
        import socket

        import pyipc
        from pyipc import fds

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            try:
                fds.send(sending, b"x", [0], address=address)
            except pyipc.AccessError as problem:
                say(str(problem))

    path = tmp_path / "socket"
    theirs = bound(os.fspath(path))
    path.chmod(0o600)
    other = partner(send_there, pair()[0], os.fspath(path), user=65534)
    assert "Permission denied" in other.hear()
    assert other.end() == 0
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive(theirs, timeout=0)
