"""Pipelines: every status, every failure with its program's name, the group gone with who ends early."""

# ruff: noqa: PT012  # what is raised at the end of a block is the point

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess

import pytest

import pyipc
from pyipc.errors import ProgramFailedError
from pyipc.processes import STDOUT, Command

CAT = Command("cat")


def test_what_one_writes_the_next_reads():
    assert (
        Command("printf", "b\na\n") | Command("sort") | Command("tr", "a-z", "A-Z")
    ).read_text() == "A\nB\n"
    first, last = CAT | Command("tr", "a", "b"), Command("tr", "b", "c") | CAT
    assert (first | last).read_text("aaa") == "ccc"
    with_input = (CAT | CAT).read_bytes(b"x" * (1 << 20))
    assert with_input == b"x" * (1 << 20)


def exits(code):
    return Command("sh", "-c", f"cat >/dev/null; exit {code}", ok=range(256))


def test_every_status_is_told():
    assert [end.code for end in (exits(1) | exits(2) | exits(3)).run(b"")] == [1, 2, 3]
    bad = Command("sh", "-c", "exit 9")
    with pytest.raises(ProgramFailedError, match="'sh' exited with status 9") as caught:
        (exits(0) | bad | exits(4)).run(b"")
    assert [end.code for end in caught.value.exits] == [0, 9, 4]


def test_an_early_stage_may_be_killed_by_sigpipe():
    yes = Command("yes")

    with (yes | CAT | Command("head", "-n", "2")).reader() as reader:
        assert reader.read() == b"y\ny\n"
        ends = reader.finish()
    assert [end.signal for end in ends] == [signal.SIGPIPE, signal.SIGPIPE, None]
    assert (yes | Command("head", "-c", "1")).read_bytes() == b"y"


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("wrong", ["no-such-program", "/etc/passwd"])
def test_a_stage_that_cannot_start_is_named_and_the_others_are_ended(place, wrong, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    read = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with open(tmp_path / "fifo", "wb") as held:
        stages = [Command("cat", stderr=held) for _ in range(4)]
        stages[place] = Command(wrong)
        pipeline = stages[0] | stages[1] | stages[2] | stages[3]
        every = "run", "reader", "writer", "duplex", "streams"
        for start in every if pyipc.backend() == "native" else every[3:4]:
            with pytest.raises(pyipc.IPCError, match=wrong):
                getattr(pipeline, start)()
    assert os.read(read, 1) == b""  # nobody has the other end
    os.close(read)


@pytest.mark.parametrize("how", ["break", "exception", "kill"])
def test_an_early_end_takes_the_whole_group_along(how, tmp_path):
    """Programs, and those that they have started, which have the fifo open."""
    os.mkfifo(tmp_path / "fifo")
    read = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with open(tmp_path / "fifo", "wb") as held:
        script = "sleep 100 & while echo line; do :; done"
        pipeline = Command("sh", "-c", script, stderr=held) | Command(
            "sh", "-c", "sleep 100 & cat", stderr=held
        )
        if how == "exception":
            with pytest.raises(KeyError), pipeline.reader() as reader:
                assert reader.read_line() == b"line\n"
                raise KeyError
        else:
            with pipeline.reader() as reader:
                for line in reader:
                    assert line == b"line\n"
                    break
                if how == "kill":
                    reader.kill()
    os.set_blocking(read, True)
    assert os.read(read, 1) == b""
    os.close(read)
    assert all(child.closed for child in reader.children)


def test_they_are_one_group_so_that_they_can_be_killed_together():
    with (CAT | CAT | CAT).duplex() as running:
        groups = {os.getpgid(child.pid) for child in running.children}
        assert groups == {running.children[0].pid}
        assert running.children[0].pid != os.getpgrp()
        running.kill()
        assert [end.signal for end in running.wait(20)] == [signal.SIGKILL] * 3
        running.close()


def test_the_first_may_have_ended_before_the_others_start():
    for _ in range(20 if pyipc.backend() == "native" else 3):
        pipeline = Command("true") | Command("true") | Command("echo", "x")
        assert pipeline.read_text() == "x\n"


def test_errors_may_go_down_the_pipe():
    script = "echo out; echo err >&2"
    assert (Command("sh", "-c", script, stderr=STDOUT) | Command("sort")).read_text() == "err\nout\n"


def test_no_room_for_the_descriptors_of_a_pipeline():
    import resource

    CAT.read_bytes(b"")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = set(os.listdir("/proc/self/fd"))
    spare = os.dup(2)
    os.close(spare)
    try:
        for more in range(1, 12):
            resource.setrlimit(resource.RLIMIT_NOFILE, (spare + more, hard))
            with contextlib.suppress(pyipc.LimitError):
                (CAT | CAT).read_bytes(b"x")
                break
        assert more > 3
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert set(os.listdir("/proc/self/fd")) == before


def test_the_same_as_perls(tmp_path):
    """A pipe open to a pipeline, and from one."""
    if not shutil.which("perl"):
        pytest.skip("perl is not installed")
    program = r"""
        open(my $from, "printf 'b\\001\\na\\n' | cat -v | sort |") or die;
        print while <$from>;
        close($from) or die "bad: $! $?";
        open($from, "sh -c 'echo x; exit 3' |") or die;
        print while <$from>;
        close($from);
        print $? >> 8, "\n";
    """
    theirs = subprocess.run(["perl", "-we", program], check=True, stdout=subprocess.PIPE).stdout
    pipeline = Command("printf", r"b\001\na\n") | Command("cat", "-v") | Command("sort")
    ours = pipeline.read_bytes()
    with (
        pytest.raises(ProgramFailedError) as caught,
        Command("sh", "-c", "echo x; exit 3").reader() as reader,
    ):
        ours += reader.read()
    assert ours + b"%d\n" % caught.value.exits[0].code == theirs


def test_perl_is_a_stage_like_any_other():
    if not shutil.which("perl"):
        pytest.skip("perl is not installed")
    upper = Command("perl", "-ne", "print uc")
    assert (CAT | upper | Command("sort")).read_text("b\na\n") == "A\nB\n"
    with pytest.raises(ProgramFailedError, match="'perl' exited with status 7"):
        (CAT | Command("perl", "-e", "exit 7")).run(b"")
    assert (
        Command("perl", "-e", "while (1) { print qq(y\n) }") | Command("head", "-n", "1")
    ).read_text() == "y\n"
