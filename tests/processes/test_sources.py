"""Files, commands and standard input as one stream; perl with the same words is the oracle."""

from __future__ import annotations

import inspect
import io
import os
import shutil
import subprocess
import sys

import pytest

import pyipc
from pyipc.processes import Command, sources


@pytest.fixture
def f(tmp_path):
    def make(name, text):
        (tmp_path / name).write_bytes(text)
        return str(tmp_path / name)

    return make


@pytest.fixture
def stdin(monkeypatch, tmp_path):
    def give(data):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


def test_files_commands_and_standard_input_are_one_stream(f, stdin):
    stdin(b"from stdin\n")
    words = [f("f1", b"one\ntwo"), Command("echo", "cmd1"), "-", f("f2", b""), f("f3", b"three\n")]
    with sources(words) as lines:
        seen = [(line, os.path.basename(lines.name), lines.line_number) for line in lines]
    assert seen == [
        (b"one\n", "f1", 1),
        (b"two", "f1", 2),
        (b"cmd1\n", "echo", 1),
        (b"from stdin\n", "-", 1),
        (b"three\n", "f3", 1),
    ]
    assert not sys.stdin.buffer.closed


PROGRAM = """
import sys
from pyipc.processes import sources
for line in sources(commands=True):
    sys.stdout.buffer.write(line)
"""


def test_it_is_what_perl_makes_of_the_same_words(f, tmp_path):
    if not shutil.which("perl"):
        pytest.skip("perl is not installed")
    words = [f("f1", b"1\n2\n"), "printf 'a b\\n%s\\n' 'c  d' |", "-", f("f2", b"3"), "echo cmd2|"]
    given = b"in\nput\n"
    oracle = subprocess.run(
        ["perl", "-e", "print while <>", *words], input=given, capture_output=True, check=True
    )
    env = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
    ours = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], input=given, capture_output=True, check=False, env=env
    )
    assert ours.stderr == b""
    assert ours.stdout == oracle.stdout
    for words in ([], ["-"]):
        ours = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words], input=given, capture_output=True, env=env
        )
        assert ours.stdout == given


def test_words_that_end_in_a_bar_are_files_unless_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "echo oops|").write_bytes(b"a file\n")
    assert list(sources(["echo oops|"])) == [b"a file\n"]
    with sources(["echo oops|"], commands=True) as lines:
        assert list(lines) == [b"oops\n"]


def test_no_shell_looks_at_a_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sources(["echo $HOME `id` ; touch x > y |"], commands=True) as lines:
        assert list(lines) == [b"$HOME `id` ; touch x > y\n"]
    assert os.listdir(tmp_path) == []


def test_no_words_are_standard_input(stdin, monkeypatch):
    stdin(b"a\nb\n")
    monkeypatch.setattr(sys, "argv", ["program"])
    assert list(sources()) == [b"a\n", b"b\n"]
    stdin(b"c\n")
    assert list(sources([])) == [b"c\n"]


def test_paths_of_all_kinds(f, tmp_path):
    name = f("f1", b"x\n")
    assert list(sources([name, os.fsencode(name), tmp_path / "f1"])) == [b"x\n"] * 3


def test_pipelines_are_sources_too():
    with sources([Command("printf", "b\\na\\n") | Command("sort")]) as lines:
        assert list(lines) == [b"a\n", b"b\n"]
        assert lines.name == "printf sort"


def test_a_bad_end_of_a_command_is_raised_and_the_next_goes_on(f):
    lines = sources([Command("sh", "-c", "echo some; exit 3"), f("f1", b"x\n")])
    assert next(lines) == b"some\n"
    with pytest.raises(pyipc.ProgramFailedError, match="status 3") as problem:
        next(lines)
    assert [end.status for end in problem.value.exits] == [3]
    assert list(lines) == [b"x\n"]


def test_what_cannot_be_opened_is_named_and_the_next_goes_on(f, tmp_path):
    missing = str(tmp_path / "missing")
    lines = sources([missing, Command("no-such-program"), str(tmp_path), f("f1", b"x\n")])
    with pytest.raises(pyipc.NotFoundError, match=missing):
        next(lines)
    assert lines.name == missing
    with pytest.raises(pyipc.NotFoundError, match="no-such-program"):
        next(lines)
    with pytest.raises(pyipc.IPCError, match=str(tmp_path)):
        next(lines)
    assert list(lines) == [b"x\n"]


def test_leaving_early_closes_and_kills(f):
    with sources([f("f1", b"x\ny\n")]) as lines:
        assert next(lines) == b"x\n"
    assert list(lines) == []
    with sources([Command("yes"), f("f1", b"")]) as lines:
        assert next(lines) == b"y\n"
    with pytest.raises(ZeroDivisionError), sources([Command("yes")]) as lines:  # noqa: PT012 (the block's end is looked at)
        next(lines)
        raise ZeroDivisionError
    lines.close()


def test_commands_are_not_started_before_their_turn(tmp_path):
    mark = tmp_path / "mark"
    with sources([Command("echo", "first"), Command("touch", mark)]) as lines:
        assert next(lines) == b"first\n"
        assert not mark.exists()
        assert list(lines) == []
        assert mark.exists()


def test_what_is_no_source():
    for wrong in "one", b"one", Command("ls"):
        with pytest.raises(TypeError, match="several"):
            sources(wrong)
    with pytest.raises(TypeError):
        sources([7])
    for wrong in "", "a\0b", b"a\0b":
        with pytest.raises(ValueError, match="no path"):
            sources([wrong])
    for wrong in "|", "  |":
        with pytest.raises(ValueError, match="no command"):
            sources([wrong], commands=True)


@pytest.mark.filterwarnings("ignore")  # a file that was just opened then is dropped
@pytest.mark.parametrize("second", ["file", "command"])
def test_a_source_that_a_handler_interrupts_is_opened_by_the_next_call(f, second):
    """Raised before each line of the opening, but the last: from there on it is open."""
    path = f("f2", b"two\n")
    given = [f("f1", b"one\n"), path if second == "file" else Command("cat", path)]
    opening = type(sources([]))._open.__code__
    lines_of_it = len(inspect.getsourcelines(opening)[0])
    raised = 0
    for number in range(opening.co_firstlineno, opening.co_firstlineno + lines_of_it - 1):
        done = False

        def trace(frame, event, _, number=number):
            nonlocal done
            if frame.f_code is opening and frame.f_lineno == number and event == "line" and not done:
                done = True
                raise ZeroDivisionError
            return trace

        seen, before = [], sys.gettrace()
        with sources(given) as lines:
            while True:
                sys.settrace(trace)
                try:
                    seen.append(next(lines))
                except ZeroDivisionError:
                    raised += 1
                except StopIteration:
                    break
                finally:
                    sys.settrace(before)
        assert seen == [b"one\n", b"two\n"]
    assert raised > 5
