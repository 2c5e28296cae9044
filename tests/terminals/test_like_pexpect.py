"""What pexpect's users do and its tests try, told anew: docs/moving-from-pexpect.md."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import sys
import time

import pytest

import pyipc
from pyipc import terminals
from pyipc.terminals import EOF, TIMEOUT

SOON = 10


@pytest.fixture
def cat(on_terminal):
    """cat, without echo."""
    return on_terminal("cat", echo=False)


# ---- expecting ----


@pytest.mark.parametrize("make", [lambda text: text, lambda text: re.compile(re.escape(text))])
def test_basic(cat, make):
    for word in b"Hello", b"there", b"Mr. Python":
        cat.send_line(word)
    for word in b"Hello", b"there", b"Mr. Python":
        assert cat.expect(make(word), SOON).match == word
    cat.send_eof()
    assert cat.expect(EOF, SOON).index == 0


def test_case_does_not_matter_if_the_regex_says_so(cat):
    cat.send_line("HELLO")
    assert cat.expect(re.compile(rb"(?i)hello"), SOON)
    cat.send_line("HELLO")
    assert cat.expect(re.compile(rb"hello", re.IGNORECASE), SOON)


def test_the_first_of_several_that_matches_says_which(cat):
    cat.send_line("1234")
    assert cat.expect_any(["abcd", "wxyz", "1234", EOF], SOON).index == 2
    cat.send_eof()
    assert cat.expect_any(["abcd", "wxyz", "1234", EOF], SOON).index == 3


def test_of_those_that_begin_differently_the_one_counts_that_is_complete_first(cat):
    cat.send_line("one two three")
    assert cat.expect_any([b"three", b"two"], SOON).index == 1
    assert cat.expect_any([b"three\r\n", b"three"], SOON).index == 1


def test_before_and_after(cat):
    cat.send_line("<before>middle<after>")
    match = cat.expect("middle", SOON)
    assert match.before == b"<before>"
    assert match.match == b"middle"
    assert cat.read_line(SOON) == b"<after>\r\n"


def test_before_is_whole_across_pieces(cat):
    for piece in range(5):
        cat.send_line(f"piece {piece}")
        cat.expect_any(["no such thing", TIMEOUT], 0.01)
    match = cat.expect("piece 4", SOON)
    assert match.before == b"".join(b"piece %d\r\n" % piece for piece in range(4))


def test_a_timeout_keeps_what_came(cat):
    cat.send_line("some text")
    cat.expect("some", SOON)
    match = cat.expect_any([TIMEOUT], 0.05)
    assert match.before == b" text\r\n" == cat.unread


def test_a_timeout_is_an_error_unless_it_is_expected(cat):
    with pytest.raises(pyipc.TimedOutError):
        cat.expect("nothing", 0.01)
    assert cat.expect_any(["nothing", TIMEOUT], 0.01).index == 1


def test_the_end_is_an_error_unless_it_is_expected(cat):
    cat.send_eof()
    with pytest.raises(pyipc.PeerGoneError):
        cat.expect("nothing", SOON)
    assert cat.expect_any(["nothing", EOF], SOON).index == 1


def test_greed_takes_what_has_come(shell):
    with shell("printf 'begin.middle.end'; read wait") as terminal:
        terminal.expect(re.compile(rb"begin.*end"), SOON)
    with shell("printf 'ab'; read wait") as terminal:
        assert terminal.expect(re.compile(rb".+?"), SOON).match == b"a"


def test_a_dot_is_no_newline_unless_the_regex_says_so(shell):
    with shell("printf 'one\\ntwo\\n'; read wait") as terminal:
        assert terminal.expect(re.compile(rb"one.*two", re.DOTALL), SOON)


def test_a_search_window(shell):
    with shell("seq 1000; read wait") as terminal:
        assert terminal.expect(re.compile(rb"999\s+1000"), SOON, window=20)
    with shell("seq 1000; read wait") as terminal:
        assert terminal.expect("1000\r\n", SOON).before.startswith(b"1\r\n2\r\n")


def test_more_output_of_a_pattern_that_grows(cat):
    for size in range(0, 4000, 500):
        cat.send_line("x" * size + "end")
        assert cat.expect(re.compile(rb"(x*)end\r\n"), SOON)[1] == b"x" * size


@pytest.mark.parametrize("bad", [1, object(), [b"list"], re.compile("text")])
def test_a_bad_pattern_is_a_type_error(cat, bad):
    with pytest.raises(TypeError):
        cat.expect(bad)


def test_text_that_is_not_ascii(cat):
    cat.send_line("Gr\xfc\xdfe, \u4e16\u754c")
    assert cat.expect("\u4e16\u754c", SOON).before.decode() == "Gr\xfc\xdfe, "


def test_without_a_timeout_it_waits_for_ever(cat):
    cat.send_line("now")
    assert cat.expect("now", None)


def test_a_signal_that_comes_meanwhile_does_not_end_a_wait(cat, handling):
    handling(signal.SIGALRM, lambda number, frame: cat.send_line("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    assert cat.expect("alarm", SOON)


def test_our_own_input_and_output_need_not_be_open(child):
    def close_them(say, hear):
        import os

        keep = os.dup(1)
        for number in 0, 1:
            os.close(number)
        from pyipc import terminals

        with terminals.spawn("cat", echo=False) as terminal:
            terminal.send_line("hello")
            found = terminal.expect("hello", 10).match
        os.dup2(keep, 1)
        say(found)

    other = child(close_them)
    assert other.hear() == b"hello"


# ---- typing ----


def test_control_characters_arrive_as_they_are(on_terminal):
    with on_terminal("cat", echo=False) as terminal:
        terminal.set_raw()
        for letter in "abcdefghijklmnopqrstuvwxyz":
            terminal.send_control(letter)
            assert terminal.read(1, SOON) == bytes([ord(letter) - ord("a") + 1])


def test_an_interrupt_reaches_the_program(on_terminal):
    with on_terminal("cat") as terminal:
        terminal.send_line("ready")
        terminal.expect("ready\r\nready\r\n", SOON)
        terminal.send_control("c")
        assert terminal.wait(SOON).signal == signal.SIGINT


def test_echo_goes_off_and_on(on_terminal):
    with on_terminal("cat") as terminal:
        for echo, shown in ((True, 2), (False, 1), (True, 2)):
            terminal.echo = echo
            terminal.send_line("1234")
            for _ in range(shown):
                terminal.expect("1234\r\n", SOON)
            assert terminal.expect_any(["1234", TIMEOUT], 0.05).index == 1


def test_lines_are_written_by_a_loop(cat):
    for line in ["one\n", "two\n"]:
        cat.send(line)
    assert [cat.read_line(SOON) for _ in range(2)] == [b"one\r\n", b"two\r\n"]


def test_no_time_passes_before_something_is_typed(cat):
    began = time.monotonic()
    for number in range(50):
        cat.send_line(f"{number}")
        cat.expect(f"{number}\r\n", SOON)
    assert time.monotonic() - began < 2  # pexpect's default: 50 ms each


# ---- reading ----


def test_reading_sizes_and_all(cat):
    for line in "abc", "xyz":
        cat.send_line(line)
    cat.send_eof()
    assert cat.read(0) == b""
    assert cat.read(1, SOON) == b"a"
    assert cat.read(5, SOON) == b"bc\r\nx"
    assert cat.read(timeout=SOON) == b"yz\r\n"


def test_all_lines(cat):
    for line in "abc", "123":
        cat.send_line(line)
    cat.send_eof()
    assert list(cat) == [b"abc\r\n", b"123\r\n"]


def test_reading_after_close_is_a_value_error(cat):
    cat.close()
    for read in cat.read, cat.read_line, lambda: cat.expect("x"):
        with pytest.raises(ValueError, match="closed"):
            read()


def test_logs(cat):
    both = cat.log_sent = cat.log_received = io.BytesIO()
    cat.send_line("this")
    cat.expect("this\r\n", SOON)
    assert both.getvalue() == b"this\nthis\r\n"


# ---- the program ----


def test_exit_status_and_signal(shell):
    with shell("exit 1") as terminal:
        terminal.expect(EOF, SOON)
        end = terminal.wait(SOON)
        assert (end.code, end.signal, terminal.is_alive()) == (1, None, False)
    for number in signal.SIGHUP, signal.SIGINT, signal.SIGKILL:
        with shell("exec sleep 100") as terminal:
            assert terminal.is_alive()
            terminal.kill(number)
            end = terminal.wait(SOON)
            assert (end.code, end.signal, terminal.is_alive()) == (None, number, False)


def test_who_ignores_hangups_and_interrupts_is_ended_by_force(shell):
    with shell("trap '' HUP INT TERM; echo ready; while :; do sleep 0.02; done") as terminal:
        terminal.expect("ready", SOON)
        terminal.close(patience=0.05)
        assert terminal.exit.signal == signal.SIGKILL


def test_a_missing_command_is_an_error_at_once(tmp_path):
    (tmp_path / "text").write_text("no program")
    for name, kind in ("no/such/command", pyipc.NotFoundError), (str(tmp_path / "text"), pyipc.AccessError):
        with pytest.raises(kind):
            terminals.spawn(name)


def test_arguments_are_a_list_and_no_shell_reads_them(on_terminal):
    with on_terminal("printf", "%s|", "a b", "$HOME", "*", "'") as terminal:
        assert terminal.read(timeout=SOON) == b"a b|$HOME|*|'|"


def test_environment_and_its_path(on_terminal, tmp_path):
    tool = tmp_path / "only-there"
    tool.write_text("#!/bin/sh\necho $WORD\n")
    tool.chmod(0o755)
    with on_terminal("only-there", env={"PATH": str(tmp_path), "WORD": "found"}) as terminal:
        assert terminal.read(timeout=SOON) == b"found\r\n"


def test_directory(on_terminal, tmp_path):
    with on_terminal("pwd", cwd=tmp_path) as terminal:
        assert terminal.read(timeout=SOON).strip() == os.fsencode(os.path.realpath(tmp_path))


def test_sizes(shell):
    with shell("stty size", size=(10, 100)) as terminal:
        assert terminal.size == (10, 100)
        assert terminal.read(timeout=SOON) == b"10 100\r\n"


def test_it_is_a_terminal_and_leaves_none_open(on_terminal):
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        with on_terminal("cat") as terminal:
            assert os.isatty(terminal.fileno())
    assert os.listdir("/proc/self/fd") == before


def test_what_it_is_shows_what_it_is_doing(cat):
    assert repr(cat) == f"<terminal {cat.fileno()} of cat>"


# ---- pexpect.run ----


def test_run_is_a_loop_of_expecting(shell):
    """`run(command, events={...})`: answer each question, until the end."""
    script = "printf 'Name? '; read a; printf 'Colour? '; read b; echo $a likes $b; exit 4"
    answers = {"Name? ": "Anna", "Colour? ": "blue"}
    with shell(script, echo=False) as terminal:
        output = b""
        while (match := terminal.expect_any([*answers, EOF], SOON)).match:
            output += match.before + match.match
            terminal.send_line([*answers.values()][match.index])
        output += match.before
        assert output == b"Name? Colour? Anna likes blue\r\n"
        assert terminal.wait(SOON).code == 4


# ---- programs that talk ----


def test_a_python_prompt(on_terminal):
    environment = {**os.environ, "PYTHON_BASIC_REPL": "1", "TERM": "dumb"}
    with on_terminal(sys.executable, "-q", env=environment) as terminal:
        for number in range(5):
            terminal.expect(">>> ", SOON)
            terminal.send_line(f"{number} + 1")
            assert terminal.expect(re.compile(rb"\r\n(\d+)\r\n"), SOON)[1] == b"%d" % (number + 1)
        terminal.expect(">>> ", SOON)
        terminal.send_eof()
        assert terminal.wait(SOON).code == 0


@pytest.mark.skipif(not shutil.which("bc"), reason="bc is not installed")
def test_bc(on_terminal):
    with on_terminal("bc", "-q", echo=False) as terminal:
        terminal.send_line("2^64")
        assert terminal.expect("18446744073709551616\r\n", SOON)


def test_a_large_output(on_terminal):
    with on_terminal(sys.executable, "-c", "print('x' * 1_000_000); input('done? ')") as terminal:
        match = terminal.expect("done? ", SOON)
        assert match.before == b"x" * 1_000_000 + b"\r\n"
