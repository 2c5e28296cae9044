"""Sockets that are no Unix sockets, and sockets that become others: nothing is lost or sent astray."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct

import pytest

import pyipc
from pyipc import fds


@pytest.fixture
def tcp(keep):
    """A client and a server's end of one connection over the loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    return keep(client), keep(server)


def test_a_tcp_socket_that_takes_a_part_is_told_how_much(tcp):
    client, server = tcp
    server.setblocking(False)
    sent, received, partly = b"", b"", 0
    for _ in range(1000):
        data = os.urandom(2000)
        try:
            fds.send(client, data, timeout=0.0)
            sent += data
        except pyipc.WouldBlockError as problem:
            sent += data[: problem.characters_written]
            partly += problem.characters_written > 0
            with contextlib.suppress(BlockingIOError):
                received += server.recv(1000)
    client.close()
    server.setblocking(True)
    while more := server.recv(65536):
        received += more
    assert received == sent
    assert partly > 0


def test_what_a_tcp_socket_takes_in_parts_arrives_whole(tcp, waiter):
    client, server = tcp
    data = os.urandom(300_000)
    sender = waiter(lambda: fds.send(client, data, timeout=20))
    came = b""
    while len(came) < len(data):
        came += fds.receive(server, timeout=20).data
    sender.join()
    assert came == data


def test_a_tcp_connection_that_breaks_off_is_told_from_one_that_ends(tcp):
    client, server = tcp
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()
    with pytest.raises(pyipc.PeerGoneError) as caught:
        fds.receive(client, timeout=20)
    assert caught.value.errno == errno.ECONNRESET


def test_a_tcp_connection_that_ends_is_at_its_end(tcp):
    client, server = tcp
    fds.send(server, b"last")
    server.close()
    assert fds.receive(client, timeout=20).data == b"last"
    with pytest.raises(pyipc.PeerGoneError) as caught:
        fds.receive(client, timeout=20)
    assert caught.value.errno == errno.EPIPE


# ---- closed meanwhile ----


def another_with_its_number(pair, number):
    """A pair, one of which has that number; and the pair's other end first."""
    while True:
        ours, theirs = pair("stream")
        if number in (ours.fileno(), theirs.fileno()):
            return (theirs, ours) if ours.fileno() == number else (ours, theirs)


@pytest.mark.parametrize("owner", ["a socket", "a handle"])
def test_a_receive_takes_nothing_from_a_stranger_who_has_the_number_by_now(
    owner, pair, waiter, until, asleep
):
    ours, _ = pair("stream")
    sock = ours if owner == "a socket" else fds.Handle(ours.detach())
    receiving = waiter(lambda: fds.receive(sock, timeout=20))
    until(lambda: asleep(os.getpid(), receiving.native_id))
    number = sock.fileno()
    sock.close()
    other, stranger = another_with_its_number(pair, number)
    fds.send(other, b"for a stranger")
    receiving.join()
    assert isinstance(receiving.outcome, pyipc.ClosedError)
    assert fds.receive(stranger, timeout=0).data == b"for a stranger"


def test_a_send_gives_nothing_to_a_stranger_who_has_the_number_by_now(pair, waiter, until, asleep):
    ours, _ = pair("stream")
    sock = fds.Handle(ours.detach())
    sending = waiter(lambda: fds.send(sock, bytes(3_000_000), timeout=20))
    until(lambda: asleep(os.getpid(), sending.native_id))
    number = sock.fileno()
    sock.close()
    other, _ = another_with_its_number(pair, number)
    sending.join()
    assert isinstance(sending.outcome, pyipc.ClosedError)
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive(other, timeout=0)
