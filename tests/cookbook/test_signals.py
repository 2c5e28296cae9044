"""perlipc's programs of signals: each example runs as it stands, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pyipc

EXAMPLES = Path(__file__).parents[2] / "docs" / "cookbook" / "signals"

pytestmark = [
    pytest.mark.needs("signals"),
    pytest.mark.timeout(30),
    pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are in the repository"),
]


def words(name, *arguments):
    return [sys.executable, "-X", "dev", "-W", "error", str(EXAMPLES / name), *arguments]


@pytest.fixture
def example(tmp_path):
    """What it prints."""

    def run(name, *arguments):
        environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
        done = subprocess.run(
            words(name, *arguments), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=25
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


@pytest.fixture
def started(process, tmp_path):
    def start(name):
        environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
        return process(words(name), cwd=tmp_path, env=environment, stderr=subprocess.STDOUT)

    return start


def test_catch_zap(started):
    one = started("catch_zap.py")
    assert one.line() == "ready"
    one.kill(signal.SIGINT)
    assert one.line() == "Somebody sent me a SIGINT"
    assert one.line() == "1 so far; Ctrl-C is Python's again: default_int_handler"
    assert one.end() == 0


def test_outta_here(started):
    one = started("outta_here.py")
    assert one.line() == "ready"
    one.kill(signal.SIGINT)
    assert [one.line(), one.line()] == ["", "Outta here!"]
    assert one.end() == 1


def test_names(example):
    lines = example("names.py")
    assert lines[:2] == [f"signal #17 = {signal.Signals(17).name}", f"SIGALRM is {int(signal.SIGALRM)}"]
    assert len(lines) == 2 + len(signal.valid_signals())


def test_precious(example):
    assert example("precious.py") == [
        "still here",
        "ignored: it never came",
        "still here",
        "blocked: it came afterwards",
    ]


def test_hang_up(example):
    assert example("hang_up.py") == ["3 of 3 were hung up on by us; we are not"]


def test_is_alive(example):
    assert example("is_alive.py") == [
        "the kid is alive",
        "a zombie is gone",
        "something wicked happened to the kid",
        "its parent is alive",
    ]


def test_reaper(example):
    assert example("reaper.py") == ["100 children, 4950 in all", "subprocess has its own: 9"]


def test_lock_with_timeout(example):
    assert example("lock_with_timeout.py", "0.1") == [
        "[Errno 110] Timed out: <deadline after 0.1 s>",
        "the lock is ours",
    ]


def test_the_list_names_each_of_them():
    text = (EXAMPLES.parent / "README.md").read_text()
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        line.split("](signals/")[1].split(")")[0] for line in text.splitlines() if "](signals/" in line
    }
