"""Pairs of sockets: connected, of their kind, close-on-exec, and standard sockets in every respect."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys

import pytest

import pyipc
from pyipc import fds

TYPES = {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM, "seqpacket": socket.SOCK_SEQPACKET}


def test_a_pair_is_two_connected_sockets_of_the_kind(kind):
    ours, theirs = fds.socketpair(kind)
    with ours, theirs:
        for sock in ours, theirs:
            assert type(sock) is socket.socket
            assert (sock.family, sock.type, sock.proto) == (socket.AF_UNIX, TYPES[kind], 0)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == TYPES[kind]
            assert not sock.get_inheritable()
            assert sock.gettimeout() is None
            assert os.get_blocking(sock.fileno())
        ours.send(b"there")
        theirs.send(b"back")
        assert (theirs.recv(10), ours.recv(10)) == (b"there", b"back")


def test_packets_are_the_default():
    ours, theirs = fds.socketpair()
    with ours, theirs:
        assert ours.type == theirs.type == socket.SOCK_SEQPACKET
        ours.send(b"one")
        ours.send(b"two")
        assert theirs.recv(100) == b"one"


@pytest.mark.parametrize("wrong", ["", "SEQPACKET", "tcp", None, 5, b"stream", socket.SOCK_STREAM])
def test_a_kind_that_does_not_exist_is_a_value_error_that_lists_those_that_do(wrong):
    with pytest.raises(ValueError, match="stream, datagram, seqpacket"):
        fds.socketpair(wrong)


def test_when_one_end_closes_the_other_learns(kind):
    ours, theirs = fds.socketpair(kind)
    with theirs:
        ours.close()
        if kind == "datagram":
            with pytest.raises(pyipc.PeerGoneError):
                fds.send(theirs, b"x", timeout=0)
        else:
            assert select.select([theirs], [], [], 20)[0]
            assert theirs.recv(10) == b""


def test_a_program_that_is_started_has_neither_end(pair, kind):
    numbers = [sock.fileno() for sock in pair(kind)]
    look = f"import os\nfor number in {numbers}:\n  try: os.fstat(number)\n  except OSError: print('closed')"
    run = subprocess.run([sys.executable, "-c", look], close_fds=False, capture_output=True, check=True)
    assert run.stdout == b"closed\n" * 2


def make_pairs_in_a_full_table(say, hear, kind):
    import os
    import resource
    import sys
    import warnings

    import pyipc
    from pyipc import fds

    complaints = []
    sys.unraisablehook = complaints.append
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
    made = False
    while not made:
        before = len(taken)
        try:
            for sock in fds.socketpair(kind):
                sock.close()
            made = True
        except BaseException as problem:
            say((type(problem) is pyipc.LimitError, getattr(problem, "limit", None), len(complaints)))
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        say(len(taken) - before)  # as many as there were: nothing stays open
        for _ in range(len(taken) - before + 1):
            os.close(taken.pop())
    say("made")


def test_a_table_that_is_full_names_the_limit_and_leaves_nothing(kind, child):
    other = child(make_pairs_in_a_full_table, kind)
    room = 0
    while True:
        answer = other.hear()
        if answer == room:  # and it was made
            break
        assert answer == (True, "RLIMIT_NOFILE", 0), room
        assert other.hear() == room
        room += 1
    assert other.hear() == "made"
    assert room >= 2
    assert other.end() == 0


def pair_under_a_default(say, hear, seconds):
    import os
    import socket

    from pyipc import fds

    socket.setdefaulttimeout(seconds)
    for ours, theirs in fds.socketpair(), socket.socketpair():
        say((ours.gettimeout(), os.get_blocking(ours.fileno())))
        ours.close()
        theirs.close()


@pytest.mark.parametrize("seconds", [None, 0, 5])
def test_a_default_timeout_of_the_program_holds_for_pairs_as_for_other_sockets(child, seconds):
    other = child(pair_under_a_default, seconds)
    assert other.hear() == other.hear()
    assert other.end() == 0
