"""What a program reads, writes and complains of, all at once: no deadlock, and little memory."""

# ruff: noqa: PT012  # what is raised at the end of a block is the point

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import pytest

import pyipc
from pyipc.errors import ProgramFailedError
from pyipc.processes import Command

CAT = Command("cat")
BOTH = Command("sh", "-c", "while read x; do echo out $x; echo err $x >&2; done")
MIB = 1 << 20


def test_lines_of_both_come_with_their_names():
    with BOTH.streams("a\nb\n") as streams:
        said = list(streams.lines())
    assert [line for name, line in said if name == "out"] == [b"out a\n", b"out b\n"]
    assert [line for name, line in said if name == "err"] == [b"err a\n", b"err b\n"]
    assert len(said) == 4


def test_a_conversation_by_turns():
    with BOTH.streams() as streams:
        lines = streams.lines(20)
        for number in range(100):
            streams.write(f"{number}\n")
            assert {next(lines), next(lines)} == {
                ("out", b"out %d\n" % number),
                ("err", b"err %d\n" % number),
            }
        streams.close_input()
        assert list(lines) == []


def test_what_stands_after_the_last_line_comes_too():
    with Command("sh", "-c", "printf 'a\\nb'; printf c >&2").streams(b"") as streams:
        assert sorted(streams.lines()) == [("err", b"c"), ("out", b"a\n"), ("out", b"b")]


def test_chunks_are_whatever_comes():
    with Command("head", "-c", "1000000", "/dev/zero").streams(b"") as streams:
        parts = list(streams.chunks())
    assert {name for name, _ in parts} == {"out"}
    assert max(len(part) for _, part in parts) <= 65536
    assert b"".join(part for _, part in parts) == bytes(1000000)


def test_a_file_or_another_command_may_be_read(tmp_path):
    (tmp_path / "file").write_bytes(b"x\n")
    with open(tmp_path / "file", "rb") as file, CAT.streams(file) as streams:
        assert list(streams.lines()) == [("out", b"x\n")]
    with CAT.streams(Command("echo", "y")) as streams:
        assert list(streams.lines()) == [("out", b"y\n")]
        assert len(streams.children) == 2


# ---- timeouts ----


def test_a_timeout_for_each_line_and_one_for_all():
    with pytest.raises(pyipc.TimedOutError), CAT.streams() as streams:
        next(streams.lines(0.05))
    with pytest.raises(pyipc.WouldBlockError), CAT.streams() as streams:
        next(streams.lines(0))
    busy = Command("sh", "-c", "while :; do echo x; done")
    seen = 0
    began = time.monotonic()
    with pytest.raises(pyipc.TimedOutError), busy.streams(b"") as streams:
        for _ in streams.lines(20, total=0.1):
            seen += 1
    assert seen > 0
    assert time.monotonic() - began < 10
    with pytest.raises(KeyError), CAT.streams() as streams:
        for wrong in {"timeout": -1}, {"total": -1}, {"total": float("nan")}:
            with pytest.raises(ValueError, match="timeout"):
                streams.lines(**wrong)
        raise KeyError


def test_half_a_line_is_there_for_the_next_call():
    with Command("sh", "-c", "printf half; read x; echo .").streams() as streams:
        with pytest.raises(pyipc.TimedOutError):
            next(streams.lines(0.05))
        streams.write("go\n")
        assert list(streams.lines(20)) == [("out", b"half.\n")]


# ---- bounds ----


def test_a_bare_write_over_the_bound_would_block():
    with pytest.raises(KeyError), Command("sleep", "100").streams() as streams:
        with pytest.raises(pyipc.WouldBlockError):
            streams.write(bytes(MIB + 1))
        written = 0
        with pytest.raises(pyipc.WouldBlockError, match="has not read"):
            while True:
                streams.write(bytes(100000))
                written += 100000
        assert MIB - 200000 < written < MIB + 200000
        raise KeyError


def test_what_was_refused_was_not_written_and_what_was_taken_was():
    with CAT.streams() as streams:
        written = read = 0
        chunks = streams.chunks(20)
        for _ in range(100):
            try:
                while True:
                    streams.write(b"x" * 70000)
                    written += 70000
            except pyipc.WouldBlockError:
                read += len(next(chunks)[1])
        streams.close_input()
        read += sum(len(part) for _, part in chunks)
    assert read == written > 5 * MIB


def test_a_line_without_end_is_refused():
    with (
        pytest.raises(pyipc.LimitError, match="MOST_LINE"),
        Command("cat", "/dev/zero").streams(b"") as streams,
    ):
        list(streams.lines())


def test_a_program_that_reads_no_more():
    with Command("sh", "-c", "exec <&-; echo closed; exec sleep 100").streams() as streams:
        assert next(streams.lines(20)) == ("out", b"closed\n")
        with pytest.raises(pyipc.PeerGoneError):
            streams.write("x")
        with pytest.raises(pyipc.PeerGoneError):
            streams.write("x")
    assert streams.children[0].exit.signal == signal.SIGKILL
    with Command("head", "-c", "5").streams(b"x" * (4 * MIB)) as streams:  # who does not need it all is right
        assert list(streams.chunks()) == [("out", b"xxxxx")]


def test_a_bad_end_is_raised_and_an_early_one_kills():
    with (
        pytest.raises(ProgramFailedError, match="status 4"),
        Command("sh", "-c", "exit 4").streams(b"") as streams,
    ):
        list(streams.lines())
    with Command("yes").streams(b"") as streams:
        for _ in streams.lines():
            break
    assert streams.children[0].exit.signal in (signal.SIGKILL, signal.SIGPIPE)


def test_an_input_that_raises_ends_it():
    def lines():
        yield b"a\n"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"), CAT.streams(lines()) as streams:
        list(streams.lines())
    assert streams.children[0].exit is not None


# ---- against perl ----


def test_open3_of_perlipc():
    """perl at the other end, which complains at random; and perl's own open3 with the same program."""
    if not shutil.which("perl"):
        pytest.skip("perl is not installed")
    program = r"$| = 1; srand 5; while (<STDIN>) { print STDERR qq(no $_) if rand() < 0.5; print uc }"
    words = [f"word{number}\n" for number in range(50)]
    with Command("perl", "-we", program).streams(words) as streams:
        said = list(streams.lines(20))
    theirs = subprocess.run(
        ["perl", "-we", r"""
            use IPC::Open3; use Symbol;
            my $err = gensym;
            my $pid = open3(my $in, my $out, $err, "perl", "-we", $ARGV[0]);
            print $in "word$_\n" for 0 .. 49;
            close $in;
            print while <$out>;
            print while <$err>;
            waitpid $pid, 0; exit $? >> 8;
        """, program],
        check=True, stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    ours = b"".join(line for name, line in said if name == "out")
    ours += b"".join(line for name, line in said if name == "err")
    assert ours == theirs


# ---- much ----

PEER = r"""
import os, random
dice, done = random.Random(3), 0
while data := os.read(0, dice.choice([1000, 65536, 200000])):
    while data:
        data = data[os.write(1, data):]
    done += 1
    if dice.random() < 0.3:
        os.write(2, b"e" * dice.choice([1, 5000, 100000]) + b"\n")
"""


def test_much_goes_both_ways_beside_errors_at_random_in_little_memory(child):
    """PYIPC_LONG=1: a GiB."""

    def exchange(say, _hear, python, peer, size):
        import hashlib
        import random

        from pyipc.processes import Command

        block = random.Random(1).randbytes(1 << 16)
        sent, came, errors = hashlib.sha256(), hashlib.sha256(), 0

        def blocks():
            for number in range(size >> 16):
                part = number.to_bytes(8, "little") + block[8:]
                sent.update(part)
                yield part

        with Command(python, "-c", peer).streams(blocks()) as streams:
            for name, part in streams.chunks(60):
                if name == "out":
                    came.update(part)
                else:
                    errors += len(part)
        with open("/proc/self/status") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        say((sent.digest() == came.digest(), errors > 0, peak))

    import sys

    long = os.environ.get("PYIPC_LONG") == "1"
    began = time.monotonic()
    other = child(exchange, sys.executable, PEER, 1 << 30 if long else 1 << 26, measured=False)
    same, complained, peak = other.hear(50 if long else 30)
    if long:
        print(f"1 GiB both ways in {time.monotonic() - began:.1f} s, peak {peak / 1024:.0f} MiB")
    assert (same, complained) == (True, True)
    assert peak < 50 * 1024


def test_bare_writes_and_reads_by_turns_carry_much(child):
    """Who writes until it would block, and then reads, never hangs; in little memory, too."""

    def exchange(say, _hear, python, peer):
        import pyipc
        from pyipc.processes import Command

        part, left, came = bytes(50000), 300, 0
        with Command(python, "-c", peer).streams() as streams:
            chunks = streams.chunks(60)
            while left:
                try:
                    streams.write(part)
                    left -= 1
                except pyipc.WouldBlockError:
                    name, data = next(chunks)
                    came += len(data) * (name == "out")
            streams.close_input()
            came += sum(len(data) for name, data in chunks if name == "out")
        with open("/proc/self/status") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        say((came, peak < 50 * 1024))

    import sys

    assert child(exchange, sys.executable, PEER, measured=False).hear() == (300 * 50000, True)


def test_a_writer_and_a_reader_of_much_use_little_memory(child):
    def exchange(say, _hear):
        from pyipc.processes import DEVNULL, Command

        with Command("cat").writer(output=DEVNULL) as writer:
            for _ in range(400):
                writer.write(bytes(100000))
        with Command("head", "-c", "40000000", "/dev/zero").reader() as reader:
            came = 0
            while part := reader.read_available():
                came += len(part)
        lines = 0
        with (Command("yes", "line") | Command("head", "-n", "300000")).reader() as reader:
            for _ in reader:
                lines += 1
        with (Command("yes", "line") | Command("head", "-n", "3000000")).reader() as reader:
            reader.wait()  # throws it away
        with open("/proc/self/status") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        say((came, lines, peak < 50 * 1024))

    assert child(exchange, measured=False).hear(40) == (40000000, 300000, True)
