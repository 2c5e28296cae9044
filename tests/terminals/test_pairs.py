"""The two ends of a pseudo-terminal; the oracles are the kernel and the standard library."""

from __future__ import annotations

import os
import pickle
import termios
import tty
from pathlib import Path

import pytest

import pyipc
from pyipc._descriptor import Handle
from pyipc.terminals.pairs import Master, attributes_of, open_pair, raw


@pytest.fixture
def pair():
    master, peer = Master._empty(), Handle._empty()
    with master, peer:
        open_pair(master, peer)
        yield master, peer


def test_both_ends_are_of_one_terminal_and_close_on_exec(pair):
    master, peer = pair
    assert os.ttyname(peer.fileno()).startswith("/dev/pts/")
    assert not os.get_inheritable(master.fileno())
    assert not os.get_inheritable(peer.fileno())
    assert os.isatty(master.fileno())


def test_it_is_nobodys_controlling_terminal(pair):
    assert pair[0].foreground == 0


def test_size_and_echo_are_those_of_the_other_end(pair):
    master, peer = pair
    master.size = 50, 132
    assert os.get_terminal_size(peer.fileno()) == (132, 50)
    assert master.size == (50, 132)
    assert master.echo
    master.echo = False
    assert not termios.tcgetattr(peer.fileno())[3] & termios.ECHO
    master.echo = True
    assert termios.tcgetattr(peer.fileno())[3] & termios.ECHO
    assert master.by_lines
    assert master.end_character == b"\x04"


@pytest.mark.parametrize("size", [(-1, 80), (24, 65536)])
def test_a_size_that_no_terminal_has_is_a_value_error(pair, size):
    with pytest.raises(ValueError, match="65535"):
        pair[0].size = size


def test_raw_mode_is_that_of_the_standard_library(pair):
    master, peer = pair
    tty.setraw(peer.fileno())
    theirs = termios.tcgetattr(peer.fileno())
    tty.setcbreak(peer.fileno())
    master.set_raw()
    ours = termios.tcgetattr(peer.fileno())
    known = termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN
    assert ours[1] & termios.OPOST == theirs[1] & termios.OPOST == 0
    assert ours[3] & known == theirs[3] & known == 0
    assert not ours[0] & (termios.ICRNL | termios.IXON | termios.ISTRIP)
    assert ours[6][termios.VMIN] in (1, b"\x01")
    assert raw(ours) == ours


def test_what_is_no_terminal_has_no_modes(tmp_path):
    with (tmp_path / "file").open("w") as file, pytest.raises(pyipc.IPCError, match="modes of terminal"):
        attributes_of(file.fileno())


def test_without_room_for_descriptors_it_is_a_limit_error_and_nothing_stays_open(child):
    def starve(say, hear, limits):
        import os
        import resource

        import pyipc
        from pyipc import terminals

        terminals.spawn("true").close()  # imports what it imports
        before = sorted(os.listdir("/proc/self/fd"))
        free = os.open("/dev/null", os.O_RDONLY)
        os.close(free)
        for more in range(limits):
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, 4096))
            try:
                with terminals.spawn("true"):
                    outcome = "enough"
            except pyipc.LimitError as problem:
                outcome = problem.limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
            say((outcome, sorted(os.listdir("/proc/self/fd")) == before))

    # One descriptor is for each end, and then there is what starting a program takes.
    limits = 4 if pyipc.backend() == "native" else 2
    starving = child(starve, limits)
    outcomes = [starving.hear() for _ in range(limits)]
    assert outcomes[:2] == [("RLIMIT_NOFILE", True)] * 2
    assert all(clean for _, clean in outcomes)
    assert starving.end() == 0


def test_no_room_for_terminals_is_a_limit_that_is_named(pair, monkeypatch):
    from errno import ENOSPC

    from pyipc.terminals import pairs

    monkeypatch.setattr(pairs, "ops", type("Full", (), {"pty_open": staticmethod(lambda into: -ENOSPC)}))
    with pytest.raises(pyipc.LimitError, match=r"kernel\.pty\.max") as caught:
        open_pair(Master._empty(), Handle._empty())
    assert caught.value.value == int(Path("/proc/sys/kernel/pty/max").read_text())


def test_a_terminal_does_not_go_through_a_pickle(pair):
    with pytest.raises(TypeError, match="stays"):
        pickle.dumps(pair[0])
