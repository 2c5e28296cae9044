"""A program given to whoever sits at our terminal: who sits there is this test, at a terminal of its own."""

from __future__ import annotations

import os
import signal
import sys
import termios
from pathlib import Path

import pytest

from pyipc import terminals
from pyipc.terminals import EOF

SOON = 15

# Runs a program at its terminal, says how it went, and whether its terminal is as it was.
HOST = """
import os, signal, sys, termios
from pyipc import terminals
before = termios.tcgetattr(0)
print("host", flush=True)
with terminals.spawn(*{argv!r}) as terminal:
    {prelude}
    try:
        left = terminal.interact({options})
    finally:
        print("restored", termios.tcgetattr(0) == before, flush=True)
    print("left", left, terminal.size, flush=True)
print("over", flush=True)
"""


@pytest.fixture
def host(on_terminal):
    def start(*argv, options="", prelude="pass", **kinds):
        program = HOST.format(argv=argv, options=options, prelude=prelude)
        terminal = on_terminal(sys.executable, "-c", program, echo=False, **kinds)
        terminal.expect("host\r\n", SOON)
        return terminal

    return start


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def raw(terminal):
    return not termios.tcgetattr(terminal.fileno())[3] & termios.ICANON


def test_what_is_typed_goes_through_until_the_escape_character(host, until):
    with host("sh", "-c", "stty -echo; echo ready; exec cat") as terminal:
        terminal.expect("ready\r\n", SOON)
        until(lambda: raw(terminal))
        terminal.send("to the program\r")
        terminal.expect("to the program\r\n", SOON)
        terminal.send("half\x1dlost")
        assert terminal.expect("restored True\r\n", SOON)
        assert terminal.expect("left True", SOON)
        assert terminal.expect("over", SOON)


def test_control_keys_go_to_the_program(host, until):
    with host(
        "sh", "-c", "trap 'echo interrupted' INT; echo ready; while :; do sleep 0.02; done"
    ) as terminal:
        terminal.expect("ready", SOON)
        until(lambda: raw(terminal))
        terminal.send_control("c")
        assert terminal.expect("interrupted", SOON)
        terminal.send_control("]")
        assert terminal.expect("left True", SOON)


def test_the_end_of_the_program_ends_it(host):
    with host("sh", "-c", "echo last words") as terminal:
        terminal.expect("last words\r\n", SOON)
        terminal.expect("restored True\r\nleft False", SOON)


def test_without_an_escape_character_every_byte_goes_through(host, until):
    with host(
        "sh", "-c", "stty raw -echo; echo ready; head -c 256 | od -An -tu1 -v", options="escape=None"
    ) as terminal:
        terminal.expect("ready", SOON)
        until(lambda: raw(terminal))
        terminal.send(bytes(range(256)))
        numbers = b" ".join(terminal.expect("restored True", SOON).before.split())
        assert numbers == b" ".join(b"%d" % number for number in range(256))


def test_output_that_was_not_read_is_shown_first(host):
    with host("sh", "-c", "echo first; echo second", prelude="terminal.expect('first', 9)") as terminal:
        match = terminal.expect("second\r\n", SOON)
        assert b"first" not in match.before


def test_sizes_are_passed_on(host, until):
    script = "trap 'stty size' WINCH; echo ready; stty size; while :; do sleep 0.02; done"
    with host("sh", "-c", script, size=(33, 99)) as terminal:
        terminal.expect("33 99", SOON)
        until(lambda: raw(terminal))
        terminal.size = 44, 111
        terminal.expect("44 111", SOON)
        terminal.send_control("]")
        terminal.expect("left True (44, 111)", SOON)


def test_filters_change_what_goes_each_way(host, until):
    options = "input_filter=bytes.upper, output_filter=lambda data: data.replace(b'A', b'4')"
    with host("sh", "-c", "stty -echo; echo ready; exec cat", options=options) as terminal:
        terminal.expect("ready", SOON)
        until(lambda: raw(terminal))
        terminal.send("banana\r")
        terminal.expect("B4N4N4\r\n", SOON)
        terminal.send_control("]")
        terminal.expect("over", SOON)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_us_leaves_the_terminal_as_it_was(host, until, number):
    with host("sh", "-c", "echo ready; exec cat") as terminal:
        terminal.expect("ready", SOON)
        until(lambda: raw(terminal))
        terminal.kill(number)
        assert terminal.wait(SOON).signal == number
        assert not raw(terminal)


def test_a_handler_of_the_callers_is_left_alone(host, until):
    prelude = "signal.signal(signal.SIGTERM, lambda number, frame: terminal.send_control('d'))"
    with host("sh", "-c", "echo ready; cat; echo eof", prelude=prelude) as terminal:
        terminal.expect("ready", SOON)
        until(lambda: raw(terminal))
        terminal.kill(signal.SIGTERM)
        terminal.expect("eof", SOON)
        terminal.expect("left False", SOON)


def test_an_exception_leaves_the_terminal_as_it_was(host, until):
    with host("sh", "-c", "echo ready; exec cat", options="input_filter=lambda data: 1 / 0") as terminal:
        terminal.expect("ready", SOON)
        until(lambda: raw(terminal))
        terminal.send("x")
        terminal.expect("restored True", SOON)
        terminal.expect("ZeroDivisionError", SOON)


def test_in_another_thread_it_works_too(host, until):
    prelude = "import threading; turn = terminal.interact; terminal.interact = lambda: ("
    prelude += "[t := threading.Thread(target=turn), t.start(), t.join(), 'thread'][-1])"
    with host("sh", "-c", "echo ready; exec cat", prelude=prelude) as terminal:
        terminal.expect("ready", SOON)
        until(lambda: raw(terminal))
        terminal.send_control("]")
        terminal.expect("restored True\r\nleft thread", SOON)


def test_input_that_is_no_terminal_ends_with_end_of_file(on_terminal):
    reader, writer = os.pipe()
    shown, shows = os.pipe()
    try:
        os.write(writer, b"typed\n")
        os.close(writer)
        with on_terminal("cat", echo=False) as terminal:
            assert terminal.interact(input=reader, output=shows) is False
        os.close(shows)
        assert os.read(shown, 100) == b"typed\r\n"
    finally:
        os.close(reader)
        os.close(shown)


@pytest.mark.parametrize("escape", ["", "ab", b"ab", "é"])
def test_an_escape_character_is_one_byte(on_terminal, escape):
    with on_terminal("cat") as terminal, pytest.raises(ValueError, match="one byte"):
        terminal.interact(escape=escape)


def test_ours_hung_up_ends_it(on_terminal, until):
    """The terminal that somebody sat at goes; its program is hung up, and so is ours."""
    program = HOST.format(argv=("cat",), options="", prelude="print('pid', terminal.pid, flush=True)")
    outer = terminals.spawn(sys.executable, "-c", program, echo=False)
    try:
        outer.expect("pid ", SOON)
        inner = int(outer.read_line(SOON))
        until(lambda: raw(outer))
    finally:
        outer.close(patience=SOON)
    assert outer.exit.signal == signal.SIGHUP
    until(lambda: is_gone(inner))


def test_eof_is_a_match_after_it(host):
    with host("true") as terminal:
        assert terminal.expect(EOF, SOON).before.endswith(b"over\r\n")
