"""What is typed arrives whole, or an error says what did not; nobody waits for each other for ever."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time

import pytest

import pyipc

SOON = 20
LONGEST = 4095  # of a line, by n_tty.c


def test_a_megabyte_goes_both_ways_though_nobody_reads_between(on_terminal):
    """Without reading meanwhile, all would stand still."""
    lines = [b"%0100d" % number for number in range(10000)]
    with on_terminal("cat", echo=False) as terminal:
        terminal.send(b"".join(line + b"\n" for line in lines), SOON)
        terminal.send_eof()
        assert terminal.read(timeout=SOON).split(b"\r\n") == [*lines, b""]


def test_echo_loses_nothing_of_what_is_typed(on_terminal):
    """Of the echo itself, the kernel drops what finds no room."""
    with on_terminal("wc", "-c") as terminal:
        terminal.send((b"x" * 99 + b"\n") * 10000, SOON)
        terminal.send_eof()
        assert terminal.read(timeout=SOON).split()[-1] == b"1000000"


def test_binary_data_arrives_as_it_was_sent(on_terminal):
    data = os.urandom(500_000)
    program = "import sys, hashlib; print(hashlib.sha256(sys.stdin.buffer.read(500000)).hexdigest())"
    with on_terminal(sys.executable, "-c", program) as terminal:
        terminal.set_raw()
        terminal.send(data, SOON)
        assert terminal.read_line(SOON).strip().decode() == hashlib.sha256(data).hexdigest()


def test_when_nobody_reads_it_says_how_much_was_taken(on_terminal):
    lines = b"0123456789\n" * 100_000
    with on_terminal("sleep", "100", echo=False) as terminal:
        with pytest.raises(pyipc.WouldBlockError, match="sleep") as caught:
            terminal.send(lines, 0)
        taken = caught.value.characters_written
        assert 0 < taken < len(lines)
        with pytest.raises(pyipc.TimedOutError) as caught:
            terminal.send(lines, 0.1)
        assert caught.value.characters_written < 4096
        terminal.kill(signal.SIGKILL)
        terminal.wait(SOON)
        with pytest.raises(pyipc.PeerGoneError, match="terminal"):
            terminal.send("nobody is there")


def test_a_program_that_goes_while_it_is_typed_to_is_an_error(shell):
    with shell("read word; exit", echo=False) as terminal, pytest.raises(pyipc.PeerGoneError) as caught:
        terminal.send(b"0123456789\n" * 100_000, SOON)
    assert caught.value.characters_written < 200_000


def test_a_program_that_has_closed_its_terminal_is_an_error(shell, costs_little):
    terminal = shell("trap '' HUP; exec sleep 100 <&- >&- 2>&-", echo=False)
    with costs_little(), pytest.raises(pyipc.PeerGoneError):
        terminal.send(b"0123456789\n" * 100_000, SOON)


def test_a_deadline_holds_though_output_never_stops(on_terminal):
    with on_terminal("yes", max_unread=1 << 30) as terminal:
        began = time.monotonic()
        with pytest.raises(pyipc.TimedOutError):
            terminal.send(b"0123456789\n" * 100_000, 0.1)
        assert time.monotonic() - began < 5


def test_output_that_must_be_read_meanwhile_is_bounded(on_terminal):
    with on_terminal("cat", max_unread=10_000) as terminal:
        with pytest.raises(pyipc.LimitError, match="max_unread") as caught:
            terminal.send(b"0123456789\n" * 100_000, SOON)
        assert caught.value.characters_written > 0


def test_a_line_longer_than_a_terminal_hands_over_is_refused_before_any_of_it_is_typed(shell):
    with shell("exec cat", echo=False) as terminal:
        with pytest.raises(pyipc.LimitError, match=f"a line of {LONGEST + 1} bytes"):
            terminal.send_line("x" * (LONGEST + 1))
        terminal.send_line("y" * LONGEST)
        assert terminal.read_line(SOON) == b"y" * LONGEST + b"\r\n"


def test_that_limit_is_the_kernels(on_terminal):
    """One byte at a time, which nobody checks: the kernel drops what is over."""
    with on_terminal("cat", echo=False) as terminal:
        for _ in range(LONGEST + 1):
            terminal.send("z")
        terminal.send_line()
        assert terminal.read_line(SOON) == b"z" * LONGEST + b"\r\n"


def test_text_goes_as_utf_8_and_buffers_as_they_are(on_terminal):
    with on_terminal("cat", echo=False) as terminal:
        terminal.send_line("grüße")
        assert terminal.read_line(SOON).decode() == "grüße\r\n"
        terminal.send(bytearray(b"buffer"))
        terminal.send(memoryview(b"ed\n"))
        terminal.send("")
        assert terminal.read_line(SOON) == b"buffered\r\n"
        with pytest.raises(TypeError):
            terminal.send(7)
