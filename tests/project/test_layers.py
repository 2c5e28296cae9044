"""Imports go down only, and each foreign module has one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyipc

PACKAGE = Path(pyipc.__file__).parent
TOP = PACKAGE.parent


def test_the_contracts_of_import_linter_hold(tmp_path):
    pytest.importorskip("importlinter", reason="import-linter is not installed")
    if not (TOP / "pyproject.toml").exists():
        pytest.skip("the contracts are in the repository, and this is an installed pyipc")
    words = ["--config", TOP / "pyproject.toml", "--cache-dir", tmp_path]
    program = "import sys; from importlinter.cli import lint_imports_command as main; main()"
    ran = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def importers(*wanted):
    """The files below pyipc/ that import one of these modules, by whatever name."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module or ''}.{alias.name}" for alias in node.names] + [node.module or ""]
            if any(part in wanted for name in names for part in name.split(".")):
                found.add(path.relative_to(PACKAGE).as_posix())
    return found


def test_one_module_imports_the_compiled_core():
    assert importers("_core") == {"_backend/native_core.py"}


def test_only_the_fallback_imports_what_it_falls_back_to():
    found = importers("sysv_ipc", "posix_ipc")
    assert all(path.startswith("_backend/fallback") for path in found)
