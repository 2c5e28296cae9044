"""perlipc's programs of safe pipe opens, and of its magic ARGV: each example runs as it stands."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

import pyipc

COOKBOOK = Path(__file__).parents[2] / "docs" / "cookbook"

pytestmark = [
    pytest.mark.timeout(30),
    pytest.mark.skipif(not COOKBOOK.exists(), reason="the examples are in the repository"),
]


def run(name, *arguments, input=""):
    words = [sys.executable, "-X", "dev", "-W", "error", str(COOKBOOK / name), *map(str, arguments)]
    environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
    return subprocess.run(
        words, env=environment, input=input, capture_output=True, text=True, timeout=25, check=False
    )


def test_store_safely(tmp_path):
    try:
        me = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        pytest.skip("this user has no name")
    path = tmp_path / "file"
    done = run("safe-pipe-opens/store_safely.py", path, me)
    assert (done.returncode, done.stderr) == (0, f"written by user {os.geteuid()}\n")
    assert path.read_text() == "one\ntwo\nthree\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_store_safely_as_another_user_who_may_not(tmp_path):
    (tmp_path / "mine").mkdir(mode=0o700)
    done = run("safe-pipe-opens/store_safely.py", tmp_path / "mine" / "file", "nobody")
    assert done.returncode == 1
    assert "PermissionError" in done.stderr  # the child's own words
    assert "kid: " in done.stderr
    assert list((tmp_path / "mine").iterdir()) == []


def test_store_safely_where_the_system_refuses(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may become anybody")
    done = run("safe-pipe-opens/store_safely.py", tmp_path / "file", "root")
    assert done.returncode == 1
    assert "become" in done.stderr or "supplementary groups" in done.stderr


def test_read_program():
    done = run("safe-pipe-opens/read_program.py", "printf", "%s\\n", "a b; id", "$HOME")
    assert (done.returncode, done.stdout, done.stderr) == (0, "A B; ID\n$HOME\n", "")
    done = run("safe-pipe-opens/read_program.py", "no-such-program")
    assert done.returncode == 1
    assert "no-such-program" in done.stderr
    done = run("safe-pipe-opens/read_program.py", "sh", "-c", "echo some; exit 3")
    assert (done.returncode, done.stdout) == (1, "SOME\n")
    assert "status 3" in done.stderr


def test_write_program(tmp_path):
    done = run("safe-pipe-opens/write_program.py", "tee", tmp_path / "file")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "file").read_text() == "stuff\n" * 10_000
    done = run("safe-pipe-opens/write_program.py", "true")
    assert done.returncode == 1
    assert "pipe broke" in done.stderr


def test_magic_argv(tmp_path):
    for number in 1, 2, 3:
        (tmp_path / f"f{number}").write_text(f"file {number}\n")
    words = [tmp_path / "f1", "echo cmd1|", "-", tmp_path / "f2", "echo cmd2 |", tmp_path / "f3"]
    done = run("using-open/magic_argv.py", *words, input="tmpfile\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{tmp_path}/f1:1: file 1",
        "echo:1: cmd1",
        "-:1: tmpfile",
        f"{tmp_path}/f2:1: file 2",
        "echo:1: cmd2",
        f"{tmp_path}/f3:1: file 3",
    ]
    done = run("using-open/magic_argv.py", "sh -c 'exit 2' |")
    assert done.returncode == 1
    assert "status 2" in done.stderr
