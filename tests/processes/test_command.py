"""Commands: what they are told, where they read and write, what is raised; perl and /proc are asked, too."""

from __future__ import annotations

import ctypes
import io
import os
import pwd
import signal
import sys
import tempfile
import threading
import time

import pytest

import pyipc
import pyipc.memory
from pyipc.errors import ProgramFailedError
from pyipc.processes import DEVNULL, STDOUT, Command, Pipeline, clean_environment

CAT = Command("cat")


# ---- what it is told ----


def test_words_reach_it_as_they_are():
    words = ["a b", "", "*", "$HOME", "'", "\n", "ö", "-n"]
    assert Command("printf", "%s|", *words).read_text() == "".join(f"{word}|" for word in words)
    assert Command(b"printf", b"%s", b"\xff").read_bytes() == b"\xff"


def test_its_environment_is_ours_or_another(monkeypatch, tmp_path):
    monkeypatch.setenv("PYIPC_TEST", "ours")
    show = ("sh", "-c", "echo $PYIPC_TEST")
    assert Command(*show).read_text() == "ours\n"
    assert Command(*show, env={"PATH": os.environ["PATH"], "PYIPC_TEST": "its"}).read_text() == "its\n"
    assert Command("env", env={}).read_text() == ""
    program = tmp_path / "own-program"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    assert Command("own-program", env={"PATH": str(tmp_path)}).read_text() == "found\n"
    with pytest.raises(pyipc.NotFoundError, match="own-program"):
        Command("own-program").run()
    monkeypatch.chdir(tmp_path)
    for path in "", ":", "/no/such:":  # an empty part is not the current directory
        with pytest.raises(pyipc.NotFoundError):
            Command("own-program", env={"PATH": path}).run()


def test_each_gets_our_environment_as_it_is_then(monkeypatch):
    def seen():
        return [line for line in Command("env").read_text().split("\n") if line.startswith("PYIPC_TEST")]

    assert seen() == []
    for value in "one", "two", "two", "":
        monkeypatch.setenv("PYIPC_TEST", value)
        assert seen() == [f"PYIPC_TEST={value}"]
    monkeypatch.setenv("PYIPC_TEST_TOO", "x")
    monkeypatch.delenv("PYIPC_TEST")
    assert seen() == ["PYIPC_TEST_TOO=x"]


def test_a_clean_environment(monkeypatch):
    for name, value in {
        "LD_PRELOAD": "x",
        "IFS": "x",
        "PATH": ".:/evil",
        "LC_ALL": "C",
        "HOME": "/h",
    }.items():
        monkeypatch.setenv(name, value)
    env = clean_environment(MORE="m", HOME="/other")
    assert (env["LC_ALL"], env["HOME"], env["MORE"]) == ("C", "/other", "m")
    assert "LD_PRELOAD" not in env
    assert "IFS" not in env
    assert "evil" not in env["PATH"]
    assert "MORE=m\n" in Command("env", env=env).read_text()


def test_where_it_starts_and_its_umask(tmp_path):
    assert Command("pwd", cwd=tmp_path).read_text() == f"{tmp_path.resolve()}\n"
    assert Command("sh", "-c", "umask", umask=0o137).read_text() == "0137\n"
    with pytest.raises(pyipc.NotFoundError, match=r"pwd.*no-such"):
        Command("pwd", cwd=tmp_path / "no-such").run()
    with pytest.raises(pyipc.NotFoundError, match="in ''"):
        Command("pwd", cwd="").run()
    with pytest.raises(ValueError, match="umask"):
        Command("true", umask=-1).run()


def test_groups_and_sessions():
    show = ("sh", "-c", "echo $$ $(cut -d' ' -f5,6 /proc/$$/stat)")
    me, group, session = Command(*show).read_text().split()
    assert (group, session) == (me, str(os.getsid(0)))
    me, group, session = Command(*show, new_process_group=False).read_text().split()
    assert (group, session) == (str(os.getpgrp()), str(os.getsid(0)))
    me, group, session = Command(*show, new_session=True).read_text().split()
    assert group == session == me


def test_what_it_looks_like():
    command = Command("sort", "-n") | Command(b"head")
    assert repr(command) == "Command('sort', '-n') | Command(b'head')"
    assert [stage.name for stage in command.commands] == ["sort", "head"]
    with command.reader(b"") as running:
        assert repr(running) == "<sort | head>"
        running.read()
    assert repr(running) == "<sort | head closed>"
    assert running.closed
    with pytest.raises(TypeError):
        CAT | "sort"
    with pytest.raises(ValueError, match="no commands"):
        Pipeline()


# ---- how it ends ----


@pytest.mark.parametrize("code", [1, 3, 255])
def test_a_bad_end_is_raised_with_the_programs_name(code):
    command = Command("sh", "-c", f"exit {code}")
    with pytest.raises(ProgramFailedError, match=f"'sh' exited with status {code}") as caught:
        command.run()
    assert [ended.code for ended in caught.value.exits] == [code]
    with pytest.raises(ProgramFailedError):
        command.read_bytes()
    (ended,) = Command("sh", "-c", f"exit {code}", ok=(0, code)).run()
    assert ended.code == code


def test_a_signal_is_a_bad_end_unless_it_is_awaited():
    script = "kill -TERM $$"
    with pytest.raises(ProgramFailedError, match="killed by SIGTERM"):
        Command("sh", "-c", script).run()
    assert Command("sh", "-c", script, ok=[-signal.SIGTERM]).run()[0].signal == signal.SIGTERM
    with pytest.raises(ProgramFailedError, match="SIGPIPE"):  # of the last one, it is a bad end
        Command("sh", "-c", "kill -PIPE $$").run()


def test_a_timeout_kills_it_and_its_children(tmp_path):
    with pytest.raises(pyipc.TimedOutError):
        Command("sh", "-c", "sleep 100 & sleep 100; echo").run(timeout=0.05)
    began = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):  # its child would keep the pipe open
        Command("sh", "-c", "sleep 100 & sleep 100; echo").read_bytes(timeout=0.05)
    assert time.monotonic() - began < 10
    with pytest.raises(ValueError, match="timeout"):
        Command("true").run(timeout=-1)


def test_errors_of_starting(tmp_path):
    for program, error in (
        ("no-such-program", pyipc.NotFoundError),
        (str(tmp_path), pyipc.AccessError),
        ("a\0b", ValueError),
        ("", ValueError),
        (5, TypeError),
    ):
        for start in "run", "read_bytes", "reader", "writer", "duplex", "streams":
            with pytest.raises(error):
                getattr(Command(program), start)()
    with pytest.raises(pyipc.LimitError, match="MAX_ARG_STRLEN"):
        Command("echo", "x" * 200 * 1024).run()
    assert len(Command("echo", *["x" * 1023] * 200).read_bytes()) == 200 * 1024


# ---- input and output ----


class Once:
    def __init__(self, parts):
        self.parts = parts

    def __iter__(self):
        return iter(self.parts)


MUCH = bytes(range(256)) * 4096  # a MiB: more than a pipe holds


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (b"bytes", b"bytes"),
        ("teöxt", "teöxt".encode()),
        (b"", b""),
        ("", b""),
        (bytearray(b"ba"), b"ba"),
        (memoryview(b"abcd")[1:3], b"bc"),
        pytest.param(MUCH, MUCH, id="much"),
        ([], b""),
        (["a", b"b", "", b"", bytearray(b"c")], b"abc"),
        (Once([b"x"] * 3), b"xxx"),
        (io.BytesIO(b"line\nrest"), b"line\nrest"),
        (io.StringIO("line\nrest"), b"line\nrest"),
        (DEVNULL, b""),
        (Command("echo", "hi"), b"hi\n"),
        (Command("echo", "hi") | Command("tr", "h", "H"), b"Hi\n"),
    ],
)
def test_what_it_may_read(given, read):
    assert CAT.read_bytes(given) == read


def test_arrays_are_read_whole():
    import array

    import numpy

    assert CAT.read_bytes(memoryview(array.array("H", [1, 2]))) == b"\1\0\2\0" or sys.byteorder == "big"
    assert CAT.read_bytes(memoryview(array.array("H"))) == b""
    table = numpy.arange(60, dtype=numpy.uint8).reshape(6, 10)
    assert CAT.read_bytes([memoryview(table)]) == bytes(range(60))
    large = numpy.zeros((1000, 1000), numpy.uint8)
    assert len(CAT.read_bytes(memoryview(large))) == 1000000
    with pytest.raises(TypeError):
        CAT.read_bytes([memoryview(b"abcdef")[::2]])


def test_files_are_read_from_where_they_stand(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with open(path, "rb", buffering=0) as file:
        file.seek(4)
        assert CAT.read_bytes(file) == b"456789"
        os.lseek(file.fileno(), 8, 0)
        assert CAT.read_bytes(file.fileno()) == b"89"
    with pytest.raises(ValueError, match="closed"):
        CAT.read_bytes(file)
    with pytest.raises(pyipc.ClosedError):
        CAT.read_bytes(777)
    with pyipc.memory.Memory(4096) as memory:
        os.pwrite(memory.fileno(), b"memory", 0)
        assert CAT.read_bytes(memory)[:6] == b"memory"


def test_output_goes_where_it_is_told(tmp_path, capfd):
    with open(tmp_path / "file", "wb") as file:
        Command("echo", "hi").run(output=file)
        Command("sh", "-c", "echo out; echo err >&2", stderr=STDOUT).run(output=file.fileno())
    assert (tmp_path / "file").read_bytes() == b"hi\nout\nerr\n"
    Command("sh", "-c", "echo out; echo err >&2", stderr=DEVNULL).run(output=DEVNULL)
    Command("sh", "-c", "echo mine; echo bad >&2").run()
    assert capfd.readouterr() == ("mine\n", "bad\n")
    with tempfile.TemporaryFile() as errors:
        both = Command("sh", "-c", "echo out; echo err >&2", stderr=errors)
        assert both.read_bytes() == b"out\n"
        errors.seek(0)
        assert errors.read() == b"err\n"
    assert Command("sh", "-c", "echo out; echo err >&2", stderr=STDOUT).read_bytes() == b"out\nerr\n"


def test_text_is_utf_8():
    with pytest.raises(UnicodeDecodeError):
        Command("printf", r"\377").read_text()


def test_a_generator_that_raises_ends_the_program(until):
    closed = []

    def lines():
        try:
            yield b"one\n"
            yield b"two\n"
            raise KeyError("mine")
        finally:
            closed.append(1)

    with pytest.raises(KeyError, match="mine"):
        CAT.read_bytes(lines())
    with pytest.raises(TypeError):
        CAT.read_bytes([b"one\n", 5])
    with pytest.raises(KeyError), CAT.reader(lines()) as reader:
        reader.read()
    assert closed == [1, 1]


def test_a_generator_is_closed_when_nobody_reads_it():
    closed = []

    def endless():
        try:
            while True:
                yield b"x" * 1000
        finally:
            closed.append(1)

    assert Command("head", "-c", "10").read_bytes(endless()) == b"x" * 10
    assert Command("true").run(endless())[0].code == 0
    assert closed == [1, 1]


def test_a_generator_is_asked_for_no_more_than_is_needed():
    asked = []

    def counted():
        for number in range(10000):
            asked.append(number)
            yield b"x" * 4096

    with Command("head", "-c", "1").reader(counted()) as reader:
        assert reader.read() == b"x"
    assert len(asked) < 100


# ---- parents and children ----


@pytest.mark.parametrize("where", ["main", "thread"])
def test_a_killed_parent_takes_its_pipeline_along(child, where, tmp_path):
    def parent(say, hear, where, fifo):
        import os
        import threading

        from pyipc.processes import Command

        def start():
            end = os.open(fifo, os.O_WRONLY)
            lasting = [Command("cat", die_with_parent=True, stderr=end) for _ in range(3)]
            with (lasting[0] | lasting[1] | lasting[2]).duplex() as running:
                running.send_line("mid")
                say(running.read_line())
                hear()

        if where == "main":
            start()
        else:
            thread = threading.Thread(target=start)
            thread.start()
            thread.join()

    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        other = child(parent, where, str(fifo))
        assert other.hear() == b"mid\n"
        os.set_blocking(read, True)
        began = time.monotonic()
        other.kill()
        assert os.read(read, 1) == b""  # the last of the three is gone
        assert time.monotonic() - began < 1
    finally:
        os.close(read)


def test_the_end_of_a_thread_takes_nobody_along(child):
    def parent(say, _hear):
        import threading

        from pyipc.processes import Command

        running = []
        thread = threading.Thread(
            target=lambda: running.append(Command("cat", die_with_parent=True).duplex())
        )
        thread.start()
        thread.join()
        with running[0] as cat:
            cat.send_line("alive")
            say(cat.read_line(20))

    assert child(parent).hear() == b"alive\n"


# ---- as another user ----

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def who(**options):
    """What the kernel says of it."""
    text = Command("cat", "/proc/self/status", **options).read_text()
    facts = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    ids = [[int(number) for number in facts[name].split()] for name in ("Uid", "Gid", "Groups")]
    return *ids, int(facts["CapEff"], 16) | int(facts["CapPrm"], 16)


def dumpable():
    return ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)  # PR_GET_DUMPABLE


@needs_root
def test_it_is_another_user_and_nothing_of_root_is_left():
    entry = pwd.getpwnam("nobody")
    theirs = sorted(set(os.getgrouplist("nobody", entry.pw_gid)))
    assert who(user="nobody") == ([entry.pw_uid] * 4, [entry.pw_gid] * 4, theirs, 0)
    assert who(user=1234, group=2345, extra_groups=[4567, 3456, 4567]) == (
        [1234] * 4,
        [2345] * 4,
        [3456, 4567],
        0,
    )
    assert who(user=1234, group=2345) == ([1234] * 4, [2345] * 4, [], 0)
    most = (1 << 32) - 2
    assert who(user=most, group=most)[:2] == ([most] * 4, [most] * 4)
    assert who(group=2345)[:2] == ([0] * 4, [2345] * 4)
    assert who(user=1234, group=2345, die_with_parent=True, new_session=True)[0] == [1234] * 4
    assert os.getresuid() == (0, 0, 0)


@needs_root
def test_each_of_a_pipeline_is_who_it_shall_be():
    script = "cat; id -u"
    first = Command("sh", "-c", script, user=1234, group=2345)
    second = Command("sh", "-c", script, user=3456, group=2345)
    assert (first | second | Command("sh", "-c", script)).read_text(b"") == "1234\n3456\n0\n"


@needs_root
def test_commands_of_other_users_leave_us_as_we_are_though_threads_start_them_at_once():
    assert dumpable() == 1
    start = lambda: [Command("true", user=1234, group=2345).run() for _ in range(20)]  # noqa: E731
    threads = [threading.Thread(target=start) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dumpable() == 1


def test_a_plain_user_becomes_nobody_else(unprivileged):
    def main(say, _hear):
        import os

        import pyipc
        from pyipc.processes import Command

        for options in {"user": 0, "group": 0}, {"group": 0}, {"extra_groups": [0]}:
            try:
                Command("sh", "-c", "echo it ran >&2", **options).run()
                say("it ran")
            except pyipc.AccessError as problem:
                say(str(problem))
        say(Command("id", "-u", user=os.getuid(), group=os.getgid(), extra_groups=os.getgroups()).read_text())

    other = unprivileged(main)
    for _ in range(3):
        assert "start 'sh': become another user" in other.hear()
    assert other.hear() == "65534\n"


def test_strangers_are_refused_before_anything_is_started():
    for options in (
        {"user": "no such user"},
        {"group": "no such group"},
        {"user": -1},
        {"user": (1 << 32) - 1},
    ):
        with pytest.raises(ValueError, match=r"user|group"):
            Command("true", **options)
    with pytest.raises(ValueError, match="which group"):
        Command("true", user=54321)
    with pytest.raises(TypeError):
        Command("true", user=True)
