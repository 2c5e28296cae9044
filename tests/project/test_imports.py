"""An import brings what it uses and no more."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

import pyipc

TOP = os.path.dirname(os.path.dirname(pyipc.__file__))
HEAVY = {
    *("dataclasses", "enum", "typing", "re", "numpy", "multiprocessing", "collections", "threading"),
    *("subprocess", "contextlib", "functools", "pathlib", "logging", "socket", "ctypes", "json"),
}


def loaded_by(statement):
    """What *statement* brings in beyond what a bare interpreter has."""
    program = f"import sys; before = set(sys.modules); {statement}; print(sorted(set(sys.modules) - before))"
    # -S: site runs the .pth files of whatever is installed here, which load what they like.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([TOP, *filter(None, sys.path)])}
    words = [sys.executable, "-S", "-c", program]
    ran = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    return set(ast.literal_eval(ran.stdout))


def test_importing_pyipc_brings_nothing_heavy():
    loaded = loaded_by("import pyipc")
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("pyipc")} == {"pyipc", "pyipc.errors"}


CHAPTERS = [
    *("channels", "compat.posix_ipc", "compat.sysv_ipc", "fds", "fifos", "memory", "posix"),
    *("processes", "signals", "sockets", "sync", "sysv", "terminals"),
]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_importing_a_chapter_brings_nothing_heavy_either(chapter):
    if pyipc.backend() != "native":
        pytest.skip("what the fallback falls back to imports what it likes")
    loaded = loaded_by(f"import pyipc.{chapter}")
    assert not loaded & HEAVY
    assert f"pyipc.{chapter}" in loaded
    assert not any(name.startswith("pyipc._backend.fallback") for name in loaded)


def test_a_chapter_is_loaded_on_first_use():
    loaded = loaded_by("import pyipc; pyipc.sysv.ftok")
    assert "pyipc.sysv" in loaded
