"""perlipc's programs of named pipes: each example runs as it stands, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import pyipc

EXAMPLES = Path(__file__).parents[2] / "docs" / "cookbook" / "named-pipes"

pytestmark = [
    pytest.mark.timeout(30),
    pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are in the repository"),
]


def words(name, *arguments):
    return [sys.executable, "-X", "dev", "-W", "error", str(EXAMPLES / name), *map(str, arguments)]


ENVIRONMENT = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}


def run(name, *arguments):
    return subprocess.run(
        words(name, *arguments), env=ENVIRONMENT, capture_output=True, text=True, timeout=25, check=False
    )


def test_make_fifo(tmp_path):
    path = tmp_path / "fifo"
    for _ in range(2):  # made, and found
        done = run("make_fifo.py", path)
        assert (done.stdout, done.stderr) == (f"{path} is a fifo of mode 622\n", "")
        assert stat.S_ISFIFO(path.stat().st_mode)
    path.unlink()
    path.write_text("mine")
    done = run("make_fifo.py", path)
    assert done.returncode == 1
    assert "no fifo" in done.stderr
    assert path.read_text() == "mine"
    done = run("make_fifo.py", tmp_path / "no" / "fifo")
    assert "No such file" in done.stderr


def test_each_who_reads_the_signature_gets_one(tmp_path, process):
    path = tmp_path / ".signature"
    server = process(words("signature.py", path), env=ENVIRONMENT)
    assert server.line() == f"serving {path}"
    readers = [["cat", path]] * 5
    if shutil.which("perl"):
        readers += [["perl", "-e", "open(S, '<', shift) or die; print <S>", path]] * 5
    for reader in readers:
        done = subprocess.run(reader, capture_output=True, check=True, timeout=20)
        assert done.stdout.startswith(b"John Smith (smith@host.org)\n")
        assert done.stdout.count(b"John Smith") == 1
        assert done.stdout.count(b"\n") >= 2
    subprocess.run(["head", "-c", "1", path], capture_output=True, check=True, timeout=20)  # leaves early
    assert path.read_bytes()
    server.kill(signal.SIGTERM)
    assert server.end() == 0
    assert not path.exists()


def test_a_signature_that_is_a_file_stays(tmp_path):
    path = tmp_path / ".signature"
    path.write_text("mine")
    done = run("signature.py", path)
    assert done.returncode == 1
    assert "AlreadyExistsError" in done.stderr
    assert path.read_text() == "mine"
