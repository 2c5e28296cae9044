"""The `pyipc` command, run as people run it."""

import json
import os
import subprocess
import sys

import pytest

import pyipc


@pytest.fixture
def run():
    """Run a command; what it printed to both, and its status."""

    def run(*arguments, **options):
        environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
        words = [sys.executable, "-m", "pyipc", *map(str, arguments)]
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=50, check=False, **options
        )

    return run


@pytest.fixture
def listed(run):
    """What `pyipc ls` lists, by kind and id."""

    def listed(*arguments):
        ran = run("ls", "--json", *arguments)
        assert (ran.returncode, ran.stderr) == (0, "")
        return {(one["kind"], one["id"]): one for one in json.loads(ran.stdout)}

    return listed


@pytest.fixture
def on_terminal():
    """Run a command on a terminal that is so wide; what it shows."""

    def run(columns, *arguments):
        from pyipc import terminals

        environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
        environment.pop("NO_COLOR", None)
        with terminals.spawn(sys.executable, "-m", "pyipc", *arguments, env=environment) as terminal:
            return terminal.expect(terminals.EOF, timeout=30).before.decode()

    return run
