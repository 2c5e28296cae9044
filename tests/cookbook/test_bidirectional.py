"""The programs of docs/cookbook/bidirectional."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pyipc

PLACE = Path(__file__).parents[2] / "docs/cookbook/bidirectional"


def run(name, *arguments):
    environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
    command = [sys.executable, "-X", "dev", "-W", "error", PLACE / name, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.skipif(not PLACE.exists(), reason="the cookbook is in the repository")
def test_comm_has_an_answer_to_each_line():
    done = run("comm.py")
    assert (done.returncode, done.stderr) == (0, "")
    got = [line.split() for line in done.stdout.splitlines()]
    assert got == [["got", "back", str(number), "a", "line"] for number in range(1, 11)]
