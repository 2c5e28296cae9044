"""Pseudo-terminals by the calls of the protocol; the other end is looked at with the standard library."""

from __future__ import annotations

import os
import time
from errno import EAGAIN, EBADF, ENOTTY, EPIPE

import pytest


@pytest.fixture
def ends(backend):
    class Owner(backend.Descriptor):
        __slots__ = ()

        def _refuse(self):
            raise ValueError

        def __repr__(self):
            return "an owner"

    made = [Owner.__new__(Owner), Owner.__new__(Owner)]
    assert backend.pty_open(made[0]) == 0
    assert backend.pty_peer(made[1], made[0]) == 0
    yield made
    for owner in made:
        owner._close()


def test_a_pair_is_close_on_exec_and_only_our_end_does_not_block(backend, ends):
    master, peer = (owner.fileno() for owner in ends)
    assert os.ttyname(peer).startswith("/dev/pts/")
    assert not os.get_inheritable(master)
    assert not os.get_inheritable(peer)
    assert not os.get_blocking(master)
    assert os.get_blocking(peer)


def test_what_is_written_there_is_read_here(backend, ends):
    master, peer = ends
    assert backend.now_pty_read(master) == -EAGAIN
    os.write(peer.fileno(), b"output\n")
    assert backend.fd_wait(master.fileno(), backend.READABLE, 2**63 - 1) == 0
    assert backend.now_pty_read(master) == b"output\r\n"
    assert backend.now_pty_read(master) == -EAGAIN


def test_to_look_takes_nothing_and_does_not_wait_for_long(backend, ends):
    master, peer = ends
    before = time.monotonic()
    for deadline in 0, 2**63 - 1:
        assert backend.pty_look(master.fileno(), deadline) == 0
    assert backend.pty_look(-1, 2**63 - 1) == 0
    assert time.monotonic() - before < 10
    os.write(peer.fileno(), b"output")
    assert backend.fd_wait(master.fileno(), backend.READABLE, 2**63 - 1) == 0
    for deadline in 0, 2**63 - 1:
        assert backend.pty_look(master.fileno(), deadline) == (1 if backend.NAME == "native" else 0)
    assert backend.now_pty_read(master) == b"output"
    assert backend.pty_look(master.fileno(), 2**63 - 1) == 0


def test_what_is_typed_here_is_read_there(backend, ends):
    master, peer = ends
    assert backend.now_pty_write(master, b"typed\n") == 6
    assert os.read(peer.fileno(), 100) == b"typed\n"
    assert backend.now_pty_write(master, b"") == 0


def test_there_is_room_for_so_much_and_no_more(backend, ends):
    lines, typed = b"0123456789\n" * 5000, 0
    while (put := backend.now_pty_write(ends[0], lines)) > 0:
        typed += put
        assert typed < 10_000_000
    assert put == -EAGAIN
    assert typed > 4096


def test_its_end_is_told_once_all_was_read_and_again(backend, ends):
    master, peer = ends
    os.write(peer.fileno(), b"last words")
    peer._close()
    assert backend.now_pty_write(master, b"x") == -EPIPE
    assert [backend.now_pty_read(master) for _ in range(3)] == [b"last words", b"", b""]
    assert backend.pty_peer(peer, master) == 0  # it can be opened again
    assert backend.now_pty_read(master) == -EAGAIN
    assert backend.now_pty_write(master, b"x") == 1


def test_what_is_closed_or_no_terminal_is_an_error(backend, ends):
    master = ends[0]
    master._close()
    assert backend.now_pty_read(master) == -EBADF
    assert backend.now_pty_write(master, b"x") == -EBADF
    other = type(master).__new__(type(master))
    assert backend.pty_peer(other, master) == -EBADF
    assert other._number == -1
    reader, writer = os.pipe()
    try:
        assert backend.now_adopt(master, os.dup(reader)) == 0
        assert backend.pty_peer(other, master) == -ENOTTY
        assert other._number == -1
    finally:
        os.close(reader)
        os.close(writer)
