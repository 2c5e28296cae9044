"""A program on a terminal: what it sees, what comes of it, how it ends; the oracles are sh, stty, /proc."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path

import pytest

import pyipc
from pyipc import terminals
from pyipc.terminals import EOF, TIMEOUT

SOON = 10


def stat(pid):
    """What the kernel knows of a process; None if it is not there."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return {
        "state": fields[0],
        "group": int(fields[2]),
        "session": int(fields[3]),
        "terminal": int(fields[4]),
    }


def is_gone(pid):
    found = stat(pid)
    return found is None or found["state"] == "Z"


# ---- what the program has ----


def test_it_leads_a_session_with_a_terminal_of_its_own(shell, until):
    with shell("tty; stty size; exec cat") as terminal:
        name, size = terminal.read_line(SOON), terminal.read_line(SOON)
        assert name.startswith(b"/dev/pts/")
        assert size == b"24 80\r\n"
        seen = stat(terminal.pid)
        assert (seen["group"], seen["session"]) == (terminal.pid, terminal.pid)
        assert seen["terminal"] == os.stat(name.strip()).st_rdev
        until(lambda: sorted(os.listdir(f"/proc/{terminal.pid}/fd")) == ["0", "1", "2"])  # once cat has begun
    assert is_gone(terminal.pid)


def test_its_size_environment_and_directory_are_those_asked_for(shell, tmp_path):
    environment = {"PATH": os.environ["PATH"], "COLOUR": "blue"}
    with shell("stty size; pwd; env", size=(50, 132), cwd=tmp_path, env=environment) as terminal:
        assert terminal.read_line(SOON) == b"50 132\r\n"
        assert terminal.read_line(SOON).strip() == os.fsencode(tmp_path)
        variables = terminal.read(timeout=SOON)
        assert b"COLOUR=blue" in variables
        assert b"HOME=" not in variables


def test_a_program_that_is_not_there_is_an_error_here(tmp_path):
    with pytest.raises(pyipc.NotFoundError, match="no-such-program"):
        terminals.spawn("no-such-program")
    with pytest.raises(pyipc.AccessError):
        terminals.spawn(tmp_path)
    with pytest.raises(ValueError, match="NUL"):
        terminals.spawn("echo", "a\0b")
    with pytest.raises((ValueError, IndexError, TypeError)):
        terminals.spawn()
    with pytest.raises(ValueError, match="max_unread"):
        terminals.spawn("true", max_unread=0)


def test_no_warning_comes_though_threads_run(shell):
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with shell("echo yes") as terminal:
                assert terminal.expect("yes\r\n", SOON)
    finally:
        over.set()
        thread.join()


# ---- waiting for output ----


def test_before_and_match_are_the_output_since_the_last_match(shell):
    with shell("printf 'one two three'; exec cat") as terminal:
        first = terminal.expect(b"two", SOON)
        assert (first.index, first.before, first.match, first.groups) == (0, b"one ", b"two", ())
        second = terminal.expect_any(["nothing", re.compile(rb"(\w)(\w+)ee")], SOON)
        assert (second.index, second.before, second.match) == (1, b" ", b"three")
        assert second.groups == (b"t", b"hr")
        assert terminal.unread == b""


def test_all_lines_of_much_output_are_there_in_their_order(shell):
    with shell("stty -onlcr; seq 20000") as terminal:
        assert terminal.wait(SOON).code == 0
        assert list(terminal.lines(SOON)) == [b"%d\n" % number for number in range(1, 20001)]


def test_nothing_is_lost_when_the_time_is_over(shell):
    with shell("printf 'Name: '; read name; echo hello $name", echo=False) as terminal:
        with pytest.raises(
            pyipc.TimedOutError, match=r"'Password' from process \d+ \(sh\).*Name: "
        ) as caught:
            terminal.expect("Password", 0.2)
        assert isinstance(caught.value, TimeoutError)
        assert terminal.unread == b"Name: "
        match = terminal.expect_any(["Password", TIMEOUT], timeout=0)
        assert (match.index, match.before, match.match) == (1, b"Name: ", b"")
        with pytest.raises(pyipc.WouldBlockError):
            terminal.expect("Password", 0)
        assert terminal.expect("Name: ", 0).before == b""
        terminal.send_line("World")
        assert terminal.expect("hello World\r\n", SOON)


def test_the_end_is_an_error_or_a_match(shell):
    with shell("printf 'all there is'") as terminal:
        with pytest.raises(pyipc.PeerGoneError, match="all there is") as caught:
            terminal.expect("more", SOON)
        assert isinstance(caught.value, EOFError)
        match = terminal.expect_any(["more", EOF, TIMEOUT], SOON)
        assert (match.index, match.before, match.match) == (1, b"all there is", b"")
        assert terminal.expect(EOF, SOON).before == b""
        assert terminal.read(timeout=SOON) == terminal.read_line(SOON) == terminal.read_available(SOON) == b""


def test_a_deadline_holds_though_output_never_stops(on_terminal):
    with on_terminal("yes", max_unread=1 << 30) as terminal:
        began = time.monotonic()
        with pytest.raises(pyipc.TimedOutError):
            terminal.expect("no", 0.1)
        assert time.monotonic() - began < 5


def test_more_output_than_may_be_kept_is_a_limit_error_and_nothing_is_lost(shell):
    with shell("seq 100000; exec cat", max_unread=10000) as terminal:
        with pytest.raises(pyipc.LimitError, match="max_unread is 10000") as caught:
            terminal.expect("100000\r\n", SOON)
        assert caught.value.limit == "max_unread"
        assert 10000 <= len(terminal.unread) < 10000 + (1 << 17)
        seen = b""
        while not seen.endswith(b"100000\r\n"):
            seen += terminal.read_available(SOON)
        assert seen == b"".join(b"%d\r\n" % number for number in range(1, 100001))


@pytest.mark.parametrize("window", [4096, 100, None])
def test_a_long_output_is_whole_before_the_match(shell, window):
    with shell("stty raw; head -c 1000000 /dev/zero; echo DONE-12") as terminal:
        match = terminal.expect(re.compile(rb"DONE-(\d+)"), SOON, window=window)
        assert match.before == bytes(1000000)
        assert match[0] == b"DONE-12" or match[0] == b"DONE-1"


def test_patterns_are_a_list(on_terminal):
    with on_terminal("cat") as terminal:
        with pytest.raises(TypeError, match="a list of patterns"):
            terminal.expect_any("abc")
        with pytest.raises(ValueError, match="no patterns"):
            terminal.expect_any([])
        for wait in terminal.expect, terminal.read_available, terminal.send:
            with pytest.raises(ValueError, match="timeout"):
                wait(b"x", -1) if wait != terminal.read_available else wait(-1)


def test_handlers_of_signals_run_and_may_raise(on_terminal, handling, ringing):
    def stop(number, frame):
        raise KeyError("from a handler")

    handling(signal.SIGALRM, stop)
    with on_terminal("cat") as terminal:
        with pytest.raises(KeyError, match="from a handler"), ringing(0.05):
            terminal.expect("x", SOON)
        handling(signal.SIGALRM, lambda number, frame: terminal.send_line("x"))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert terminal.expect("x", SOON)


def test_waiting_takes_no_processor_time(on_terminal, costs_little):
    with on_terminal("cat") as terminal, costs_little(), pytest.raises(pyipc.TimedOutError):
        terminal.expect("x", 0.3)


# ---- reading ----


def test_reading_by_size_line_and_whatever_is_there(shell):
    with shell("printf 'abcdef\\nline\\nrest'", echo=False) as terminal:
        assert terminal.read(4, SOON) == b"abcd"
        assert terminal.read_line(SOON) == b"ef\r\n"
        assert terminal.read_line(SOON) == b"line\r\n"
        assert terminal.read(0, SOON) == b""
        assert terminal.read(100, SOON) == b"rest"
    with shell("echo one; echo two") as terminal:
        assert list(terminal) == [b"one\r\n", b"two\r\n"]
    with shell("printf x; read end") as terminal:
        assert terminal.read_available(SOON) == b"x"
        with pytest.raises(pyipc.WouldBlockError):
            terminal.read_available(0)
        for read in terminal.read, terminal.read_line:
            with pytest.raises(pyipc.TimedOutError):
                read(timeout=0.05)


def test_a_log_has_all_that_goes_each_way(shell, tmp_path):
    with shell("read a; echo got $a", echo=False) as terminal:
        terminal.log_received, terminal.log_sent = io.BytesIO(), io.BytesIO()
        terminal.send_line("word")
        terminal.expect("got word", SOON)
        terminal.read(timeout=SOON)
        assert terminal.log_sent.getvalue() == b"word\n"
        assert terminal.log_received.getvalue() == b"got word\r\n"
    with shell("echo said") as terminal, (tmp_path / "log").open("wb") as log:
        terminal.log_received = log
        terminal.read(timeout=SOON)
        assert (tmp_path / "log").read_bytes() == b"said\r\n"


def test_a_log_that_fails_loses_no_output(shell):
    with shell("echo said") as terminal, io.BytesIO() as log:
        terminal.log_received = log
        log.close()
        with pytest.raises(ValueError, match="closed file"):
            terminal.expect("said", SOON)
        terminal.log_received = None
        assert terminal.expect("said", SOON)


# ---- the terminal ----


def test_echo_shows_what_is_typed_unless_it_is_off(on_terminal):
    with on_terminal("cat") as terminal:
        terminal.send_line("twice")
        assert terminal.expect("twice\r\ntwice\r\n", SOON)
        assert terminal.echo
        terminal.echo = False
        assert not terminal.echo
        terminal.send_line("once")
        assert terminal.expect("once\r\n", SOON).before == b""
        with pytest.raises(pyipc.TimedOutError):
            terminal.expect("once", 0.05)


def test_a_password_is_typed_when_the_program_has_switched_echo_off(shell):
    script = (
        "printf 'Password: '; sleep 0.1; stty -echo; read word; stty echo; echo; echo got $word; read end"
    )
    with shell(script) as terminal:
        terminal.expect("Password: ", SOON)
        with pytest.raises(pyipc.WouldBlockError, match="echo to go off"):
            terminal.wait_for_echo(False, 0)
        terminal.wait_for_echo(False, SOON)
        terminal.send_line("secret")
        assert terminal.expect("got secret", SOON).before == b"\r\n"
        terminal.wait_for_echo(True, SOON)
        with pytest.raises(pyipc.TimedOutError):
            terminal.wait_for_echo(False, 0.05)
    with shell("exit") as terminal:
        terminal.wait(SOON)
        with pytest.raises(pyipc.PeerGoneError):
            terminal.wait_for_echo(False, SOON)


def test_a_program_that_must_be_read_first_gets_to_switch_echo_off(shell):
    with shell("seq 20000; stty -echo; read word; echo got $word") as terminal:
        terminal.wait_for_echo(False, SOON)
        terminal.send_line("secret")
        assert terminal.expect("got secret", SOON).before.startswith(b"1\r\n2\r\n")


def test_a_new_size_is_told_to_the_program(shell):
    with shell("trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done") as terminal:
        terminal.expect("ready", SOON)
        terminal.size = 40, 100
        assert terminal.expect(re.compile(rb"(\d+) (\d+)\r\n"), SOON).groups == (b"40", b"100")
        assert terminal.size == (40, 100)


def test_raw_mode_lets_every_byte_through(on_terminal):
    everything = bytes(range(256)) * 3
    with on_terminal("cat") as terminal:
        terminal.set_raw()
        terminal.send(everything)
        assert terminal.read(len(everything), SOON) == everything


def test_control_keys_are_what_they_are_on_a_keyboard(shell):
    with shell("trap 'echo interrupted' INT; echo ready; while :; do sleep 0.02; done") as terminal:
        terminal.expect("ready", SOON)
        terminal.send_control("c")
        assert terminal.expect("interrupted", SOON)
    with shell("exec cat", echo=False) as terminal:
        terminal.set_raw()
        for key, byte in {
            "a": 1,
            "A": 1,
            "z": 26,
            "@": 0,
            "[": 27,
            "\\": 28,
            "]": 29,
            "^": 30,
            "_": 31,
            "?": 127,
        }.items():
            terminal.send_control(key)
            assert terminal.read(1, SOON) == bytes([byte])
        for wrong in "1", "", "ab", "`", "é":
            with pytest.raises(ValueError, match="a letter"):
                terminal.send_control(wrong)


def test_end_of_file_ends_what_reads(on_terminal):
    with on_terminal("cat", echo=False) as terminal:
        terminal.send("part")
        terminal.send_eof()
        assert terminal.read(4, SOON) == b"part"
        terminal.send_eof()
        assert terminal.read(timeout=SOON) == b""
        assert terminal.wait(SOON).code == 0


# ---- how it ends ----


def test_how_it_ended_is_told_again_and_again(shell):
    with shell("exit 7") as terminal:
        assert terminal.wait(SOON).code == 7
        assert terminal.wait(0) == terminal.wait() == terminal.exit
        assert not terminal.is_alive()
    assert terminal.exit.code == 7
    with shell("exec sleep 100") as terminal:
        assert terminal.is_alive()
        assert terminal.exit is None
        with pytest.raises(pyipc.WouldBlockError):
            terminal.wait(0)
        with pytest.raises(pyipc.TimedOutError):
            terminal.wait(0.05)
        terminal.kill(signal.SIGTERM)
        assert terminal.wait(SOON).signal == signal.SIGTERM
        terminal.kill(signal.SIGTERM)  # nobody


def test_waiting_for_its_end_reads_what_it_must_write_before(shell):
    with shell("seq 20000; exit 3") as terminal:
        assert terminal.wait(SOON).code == 3
        assert terminal.read(timeout=SOON).endswith(b"\r\n20000\r\n")


def test_leaving_early_hangs_up(shell, until):
    with shell("trap 'echo bye >$FILE; exit' HUP; echo ready; while :; do sleep 0.02; done") as terminal:
        terminal.expect("ready", SOON)
    assert is_gone(terminal.pid)
    assert terminal.closed
    terminal.close()
    assert repr(terminal) == "<terminal closed of sh>"
    for use in terminal.fileno, terminal.read, lambda: terminal.send("x"), lambda: terminal.expect("x"):
        with pytest.raises(pyipc.ClosedError):
            use()
    assert terminal.exit is not None


def test_who_does_not_go_when_hung_up_is_killed_with_its_group_and_the_one_in_front(shell, until):
    # With job control, what is in the foreground is a process group of its own.
    script = "trap '' HUP; sleep 1000 & echo $!; set -m; sleep 1000; :"
    with shell(script) as terminal:
        same_group = int(terminal.read_line(SOON))
        front = until(
            lambda: terminal._master.foreground not in (0, terminal.pid) and terminal._master.foreground
        )
        began = time.monotonic()
        terminal.close(patience=0.1)
        assert time.monotonic() - began < 5
    assert terminal.exit is not None  # killed, unless the shell gave up without its terminal
    until(lambda: is_gone(same_group))
    until(lambda: is_gone(front))


def test_what_a_program_left_behind_when_it_ended_by_itself_is_let_alone(shell, until):
    with shell("trap '' HUP; sleep 1000 & echo $!") as terminal:
        left = int(terminal.read_line(SOON))
        terminal.wait(SOON)
    assert not is_gone(left)
    os.kill(left, signal.SIGKILL)
    until(lambda: is_gone(left))


def test_an_exception_ends_it_too(shell):
    with pytest.raises(KeyError), shell("exec cat") as terminal:
        raise KeyError
    assert is_gone(terminal.pid)


def test_closing_in_another_thread_ends_a_wait(on_terminal, asleep, until):
    terminal = on_terminal("cat")
    outcome = []

    def expect():
        try:
            terminal.expect("x", SOON)
        except pyipc.ClosedError as problem:
            outcome.append(problem)

    thread = threading.Thread(target=expect)
    thread.start()
    until(lambda: asleep(os.getpid(), thread.native_id))
    terminal.close()
    thread.join(SOON)
    assert len(outcome) == 1


def test_one_thread_may_type_while_another_reads(on_terminal):
    with on_terminal("cat", echo=False) as terminal:
        lines = [b"%d" % number for number in range(3000)]
        thread = threading.Thread(target=lambda: [terminal.send_line(line) for line in lines])
        thread.start()
        assert [terminal.read_line(SOON).strip() for _ in lines] == lines
        thread.join()


def test_one_thread_may_type_much_while_another_reads(on_terminal):
    """Who types reads as well then; all is there, once, and in its order."""
    lines = [b"%d" % number for number in range(100_000)]
    with on_terminal("cat", echo=False) as terminal:
        text = b"".join(line + b"\n" for line in lines)
        thread = threading.Thread(target=terminal.send, args=(text, SOON))
        thread.start()
        seen = b""
        while not seen.endswith(b"\n99999\r\n"):
            seen += terminal.read_available(SOON)
        thread.join()
        assert seen.split() == lines


def test_if_we_are_killed_its_program_is_hung_up(child, until):
    def start(say, hear):
        from pyipc import terminals

        terminal = terminals.spawn("cat")
        say(terminal.pid)
        hear()

    other = child(start)
    pid = other.hear()
    other.kill()
    until(lambda: is_gone(pid))


def test_a_dropped_one_complains_and_its_program_goes(until):
    pids = []

    def drop():
        terminal = terminals.spawn("cat")
        pids.append(terminal.pid)

    with pytest.warns(ResourceWarning, match="dropped without close"):
        drop()
    until(lambda: stat(pids[0]) is None)


def test_a_forked_child_closes_only_its_own(on_terminal, fork):
    terminal = on_terminal("cat", echo=False)

    def close(child, terminal):
        terminal.close()
        child.say(terminal.closed)

    other = fork(close, terminal)
    assert other.hear() is True
    assert other.end() == 0
    terminal.send_line("still there")
    assert terminal.expect("still there", SOON)


def test_a_plain_user_has_terminals_too(unprivileged):
    def use(say, hear):
        from pyipc import terminals

        with terminals.spawn("sh", "-c", "id -u; tty") as terminal:
            say([line.decode().strip() for line in terminal.lines(10)])
            say(terminal.wait(10).code)

    user = unprivileged(use)
    number, name = user.hear()
    assert number == "65534"
    assert name.startswith("/dev/pts/")
    assert user.hear() == 0
    assert user.end() == 0


@pytest.mark.skipif(not shutil.which("perl"), reason="perl is not installed")
def test_perl_believes_it_talks_to_somebody(on_terminal):
    program = (
        "print -t STDIN && -t STDOUT ? qq(terminal\\n) : qq(pipe\\n); while (<STDIN>) { print qq(got $_) }"
    )
    with on_terminal("perl", "-e", program, echo=False) as terminal:
        assert terminal.read_line(SOON) == b"terminal\r\n"
        for word in "one", "two":
            terminal.send_line(word)  # and it does not keep its answer back: its output goes by lines
            assert terminal.read_line(SOON) == b"got %s\r\n" % word.encode()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.skipif(not shutil.which("setpriv"), reason="there is no setpriv")
def test_leaving_goes_well_where_others_are_hidden():
    """/proc mounted with hidepid=1: what is others', as the shell here, is listed and cannot be looked at."""
    program = """
        import os
        from pyipc.terminals import spawn

        with spawn("sh", "-c", "trap '' HUP; echo ready; sleep 100") as terminal:
            terminal.expect("ready", 20)
            terminal.close(0.1)
        print("ended", terminal.exit.signal)
    """
    become = "setpriv --reuid 1234 --regid 1234 --clear-groups"
    if subprocess.run(
        [*become.split(), sys.executable, "-c", ""], stderr=subprocess.DEVNULL, check=False
    ).returncode:
        pytest.skip("no setpriv(1), or others may not run this Python")
    inside = f'mount -t proc -o hidepid=1 proc /proc && {become} "$@"; exit $?'
    start = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", inside, "sh"]
    done = subprocess.run(
        [*start, sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        env={**os.environ, "PYIPC_BACKEND": pyipc.backend()},
        timeout=30,
        check=False,
    )
    if b"mount" in done.stderr or b"unshare" in done.stderr:
        pytest.skip("/proc cannot be mounted here")
    assert done.stdout.decode() == "ended 9\n", done.stderr.decode()


def test_two_threads_that_close_it_leave_nobody_behind_and_no_error(shell):
    terminal = shell("trap '' HUP; echo ready; exec sleep 100")
    terminal.expect("ready", SOON)
    problems = []

    def close():
        try:
            terminal.close(0.3)
        except BaseException as problem:  # what the test is about
            problems.append(problem)

    threads = [threading.Thread(target=close) for _ in range(4)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert 0.3 <= time.monotonic() - began < SOON  # nobody was killed before
    assert terminal.exit.signal == signal.SIGKILL
