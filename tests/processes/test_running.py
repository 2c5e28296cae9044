"""Readers, writers and duplexes: timeouts, the end of a block, closing in another thread, forks."""

# ruff: noqa: PT012, PT031  # what is raised at the end of a block, or when it is dropped, is the point

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

import pyipc
from pyipc.errors import ProgramFailedError, StatusLostError
from pyipc.processes import DEVNULL, Command

CAT = Command("cat")
TALKS = Command("sh", "-c", "while read x; do echo got $x; done")


# ---- readers ----


def test_lines_come_as_they_are_written():
    with Command("printf", r"one\n\ntwo\nrest").reader() as reader:
        assert list(reader) == [b"one\n", b"\n", b"two\n", b"rest"]
        assert reader.read_line() == b""
        assert reader.read() == b""
        assert reader.read_available() == b""
    assert reader.children[0].exit.code == 0


def test_so_many_bytes_or_what_there_is():
    with Command("printf", "0123456789").reader() as reader:
        assert reader.read(0) == b""
        assert reader.read(3) == b"012"
        assert reader.read_available() != b""
        assert reader.read(100) == b"" or True
        with pytest.raises(ValueError, match="size"):
            reader.read(-1)
    with TALKS.duplex() as talk:
        talk.send_line("a")
        assert talk.read(4) == b"got "
        assert talk.read_line() == b"a\n"


def test_a_line_that_does_not_come_in_time_is_not_lost():
    with Command("sh", "-c", "printf half; read x; echo ' whole'").duplex() as talk:
        with pytest.raises(pyipc.TimedOutError):
            talk.read_line(0.05)
        with pytest.raises(pyipc.WouldBlockError):
            talk.read_line(0)
        with pytest.raises(pyipc.TimedOutError):
            talk.read(100, 0.01)
        with pytest.raises(pyipc.WouldBlockError):
            talk.read(None, 0)
        talk.send_line("go")
        assert talk.read_line(20) == b"half whole\n"
        for call in talk.read, talk.read_available, talk.read_line:
            with pytest.raises(ValueError, match="timeout"):
                call(timeout=-1)


def test_waiting_for_a_line_costs_nothing(costs_little):
    with CAT.duplex() as cat, costs_little(), pytest.raises(pyipc.TimedOutError):
        cat.read_line(0.2)


def test_a_line_without_end_is_refused():
    with Command("head", "-c", str(3 << 20), "/dev/zero").reader() as reader:
        with pytest.raises(pyipc.LimitError, match="MOST_LINE"):
            reader.read_line()
        assert len(reader.read()) == 3 << 20  # none of it is lost


def test_a_reader_that_stops_early_kills_it():
    with Command("yes").reader() as reader:
        assert reader.read_line() == b"y\n"
    assert reader.children[0].exit.signal in (signal.SIGKILL, signal.SIGPIPE)


def test_a_bad_end_is_raised_at_the_end_of_the_block():
    with (
        pytest.raises(ProgramFailedError, match="status 5"),
        Command("sh", "-c", "echo x; exit 5").reader() as it,
    ):
        assert list(it) == [b"x\n"]
    with (
        pytest.raises(KeyError),
        Command("sh", "-c", "echo x; exit 5").reader() as it,
    ):  # the block's own goes first
        assert it.read() == b"x\n"
        raise KeyError


# ---- writers ----


def test_what_is_written_is_read(tmp_path):
    with open(tmp_path / "file", "wb") as file, CAT.writer(output=file) as writer:
        writer.write("text ")
        writer.write(b"bytes\n")
        writer.write_line("line")
        writer.write(b"x" * (1 << 20))
    assert (tmp_path / "file").read_bytes() == b"text bytes\nline\n" + b"x" * (1 << 20)
    with pytest.raises(pyipc.ClosedError):
        writer.write("more")


def test_a_writer_whose_program_reads_no_more():
    with pytest.raises(pyipc.PeerGoneError), Command("true").writer() as writer:
        writer.children[0].wait()
        writer.write("x")
    with pytest.raises(pyipc.PeerGoneError), Command("true").writer() as writer:
        while True:
            writer.write("x" * 100000)
    with Command("true").writer() as writer:  # who writes nothing does not mind
        pass


def test_a_writer_whose_program_does_not_read():
    with pytest.raises(KeyError), Command("sleep", "100").writer() as writer:
        with pytest.raises(pyipc.TimedOutError) as caught:
            writer.write(b"x" * (1 << 20), 0.05)
        assert 0 < caught.value.characters_written < 1 << 20
        written = caught.value.characters_written
        with pytest.raises(pyipc.WouldBlockError) as caught:
            writer.write(b"x", 0)
        assert caught.value.characters_written == 0
        assert written % 4096 == 0
        raise KeyError


def test_a_bad_end_of_a_writer():
    with (
        pytest.raises(ProgramFailedError, match="status 3"),
        Command("sh", "-c", "cat; exit 3").writer() as writer,
    ):
        writer.write("")


# ---- both ----


def test_a_conversation():
    with TALKS.duplex() as talk:
        for number in range(200):
            talk.send_line(str(number))
            assert talk.read_line(20) == b"got %d\n" % number
        talk.close_input()
        assert talk.read_line(20) == b""
        with pytest.raises(pyipc.PeerGoneError):
            talk.send("more")


def test_much_goes_through_while_somebody_reads():
    data = os.urandom(1 << 19)
    with CAT.duplex() as cat:
        cat.send(data)
        assert cat.read(len(data), 20) == data


@pytest.mark.parametrize("attempt", range(8))  # it depends on who is faster
def test_a_program_that_answers_more_than_anybody_reads(attempt):
    """Both would wait for the other for ever: here, who sends is told."""
    with pytest.raises(KeyError), CAT.duplex() as cat:
        with pytest.raises(pyipc.WouldBlockError, match="nobody reads") as caught:
            cat.send(b"x" * (8 << 20), 20)
        written = caught.value.characters_written
        assert 1 << 20 < written < 3 << 20
        assert cat.read(written, 20) == b"x" * written  # and may go on
        cat.send_line("y")
        assert cat.read_line(20) == b"y\n"
        raise KeyError


def test_open2_of_perlipc():
    """perl at the other end, and perl's own open2 with the same program."""
    if not shutil.which("perl"):
        pytest.skip("perl is not installed")
    program = "$| = 1; while (<STDIN>) { print qq($.: ), uc }"
    with Command("perl", "-we", program).duplex() as perl:
        ours = b""
        for word in "one", "two", "three":
            perl.send_line(word)
            ours += perl.read_line(20)
    theirs = subprocess.run(
        ["perl", "-we", r"""
            use IPC::Open2;
            my $pid = open2(my $out, my $in, "perl", "-we", $ARGV[0]);
            for (qw(one two three)) { print $in "$_\n"; $in->flush; print scalar <$out> }
            close $in; waitpid $pid, 0; exit $? >> 8;
        """, program],
        check=True, stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    assert ours == theirs == b"1: ONE\n2: TWO\n3: THREE\n"


# ---- the end ----


def test_wait_throws_away_what_comes_and_tells_all():
    with (Command("yes") | Command("head", "-c", "500000")).reader() as reader:
        ends = reader.wait(20)
    assert [end.status for end in ends] == [-signal.SIGPIPE, 0]


def test_wait_and_finish_take_a_timeout():
    for how in "wait", "finish":
        with pytest.raises(pyipc.TimedOutError), Command("sleep", "100").reader() as reader:
            getattr(reader, how)(0.05)
        assert reader.children[0].exit.signal == signal.SIGKILL
    with pytest.raises(pyipc.WouldBlockError), Command("sleep", "100").writer(output=DEVNULL) as writer:
        writer.wait(0)


def test_one_whose_grandchildren_keep_its_output_ends_when_it_is_closed():
    with pytest.raises(pyipc.TimedOutError), Command("sh", "-c", "sleep 100 & echo x").reader() as reader:
        assert reader.read_line(20) == b"x\n"
        reader.read(None, 0.05)
    assert reader.closed


@pytest.mark.parametrize("what", ["read", "read_line", "read_available", "wait", "finish"])
def test_closing_in_another_thread_ends_a_wait(what, until, asleep):
    said, me = [], []

    def use():
        me.append(threading.get_native_id())
        try:
            said.append(getattr(cat, what)())
        except pyipc.IPCError as problem:
            said.append(problem)

    cat = Command("sleep", "100").duplex()
    thread = threading.Thread(target=use)
    thread.start()
    until(lambda: me and asleep(os.getpid(), me[0]))
    cat.close()
    thread.join(20)
    assert not thread.is_alive()
    assert isinstance(said[0], pyipc.ClosedError)
    assert cat.children[0].exit.signal == signal.SIGKILL
    cat.close()


def test_closing_in_another_thread_ends_a_write(until, asleep):
    said, me = [], []

    def use():
        me.append(threading.get_native_id())
        try:
            writer.write(b"x" * (1 << 20))
        except pyipc.IPCError as problem:
            said.append(problem)

    writer = Command("sleep", "100").writer()
    thread = threading.Thread(target=use)
    thread.start()
    until(lambda: me and asleep(os.getpid(), me[0]))
    writer.close()
    thread.join(20)
    assert isinstance(said[0], pyipc.ClosedError)


def test_after_closing_nothing_is_read():
    cat = CAT.duplex()
    cat.send_line("x")
    cat.close()
    for call in cat.read, cat.read_available, cat.read_line, lambda: cat.send("x"):
        with pytest.raises(pyipc.ClosedError):
            call()


def test_signal_handlers_run_while_it_waits(handling):
    seen = []
    with CAT.duplex() as cat:
        handling(signal.SIGALRM, lambda *_: (seen.append(1), cat.send_line("now")))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert cat.read_line(20) == b"now\n"
    assert seen == [1]


def test_one_that_is_dropped_is_killed_with_warnings():
    cat = CAT.duplex()
    pid = cat.children[0].pid
    with pytest.warns(ResourceWarning):
        del cat
        gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_whatever_closing_raises_nothing_is_left():
    def endless():
        try:
            while True:
                yield b"x" * 1000
        finally:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"), (CAT | CAT).reader(endless()) as reader:
        reader.read(10)
    assert all(child.exit is not None for child in reader.children)
    running = (CAT | CAT | CAT).duplex()
    os.kill(running.children[1].pid, signal.SIGKILL)
    os.waitpid(running.children[1].pid, 0)
    with pytest.raises(StatusLostError):
        running.close()
    assert all(child.closed for child in running.children)
    for one in running.children:
        with pytest.raises(ProcessLookupError):
            os.kill(one.pid, 0)


def test_a_forked_copy_only_lets_go(fork):
    def copy(other, cat):
        cat.close()
        other.say(cat.closed)

    with CAT.duplex() as cat:
        other = fork(copy, cat)
        assert other.hear() is True
        assert other.end() == 0
        cat.send_line("alive")
        assert cat.read_line(20) == b"alive\n"


def test_subprocess_and_multiprocessing_keep_their_children():
    import multiprocessing

    context = multiprocessing.get_context("fork")
    theirs = [subprocess.Popen(["sh", "-c", f"exit {n}"]) for n in range(10)]
    others = [context.Process(target=os._exit, args=(n,)) for n in range(10)]
    for one in others:
        one.start()
    for n in range(10):
        assert Command("sh", "-c", f"exit {n}", ok=range(10)).run()[0].code == n
    assert [popen.wait() for popen in theirs] == list(range(10))
    for one in others:
        one.join()
    assert [one.exitcode for one in others] == list(range(10))
    for one in others:
        one.close()


@pytest.mark.skipif(pyipc.backend() != "native", reason="a signal handler may raise within `subprocess`")
def test_handlers_that_raise_at_any_moment_leave_nothing(child):
    def be_interrupted(say, _hear, rounds):
        import gc
        import os
        import random
        import signal
        import warnings

        from pyipc.processes import Command

        class InterruptedOnceError(Exception):
            pass

        armed = False

        def raise_it(*_):
            nonlocal armed
            if armed:
                armed = False
                raise InterruptedOnceError

        warnings.simplefilter("ignore", ResourceWarning)
        dice = random.Random(7)
        signal.signal(signal.SIGALRM, raise_it)
        cat = Command("cat")
        (cat | cat).read_bytes(b"x")
        before = len(os.listdir("/proc/self/fd"))
        caught = 0
        for number in range(rounds):
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, dice.random() * 0.01 + 1e-6)
                if number % 3 == 2:
                    Command("sleep", "100").run()
                elif number % 2:
                    with (cat | cat).duplex() as running:
                        running.send_line("x" * 1000)
                        running.read_line()
                else:
                    with (cat | cat).streams([b"x" * 10000] * 30) as running:
                        for _ in running.chunks():
                            pass
                armed = False
            except InterruptedOnceError:
                caught += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            running = None
        gc.collect()
        try:
            os.waitpid(-1, os.WNOHANG)
            say("a child is left")
        except ChildProcessError:
            pass
        say((caught > rounds // 20, len(os.listdir("/proc/self/fd")) - before))

    assert child(be_interrupted, 300, measured=False).hear() == (True, 0)


def test_time_that_has_passed_is_no_time_at_all():
    began = time.monotonic()
    with pytest.raises(pyipc.TimedOutError), CAT.duplex() as cat:
        cat.read_line(1e-9)
    assert time.monotonic() - began < 10


def test_who_is_left_early_is_killed_before_it_can_complain_of_the_broken_pipe():
    complains = (
        "import os\n"
        "try:\n"
        "    while True: os.write(1, bytes(65536))\n"
        "except BrokenPipeError: os.write(2, b'broken')\n"
    )
    read, write = os.pipe()
    try:
        for _ in range(20):
            with Command(sys.executable, "-I", "-S", "-c", complains, stderr=write).reader() as reader:
                assert reader.read(1, 20) == b"\0"
    finally:
        os.close(write)
        said = os.read(read, 1000)
        os.close(read)
    assert said == b""
