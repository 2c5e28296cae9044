"""Where C may stand in for nothing, as on PyPy and without a GIL, all goes by cffi and works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyipc

pytest.importorskip("pyipc._core", reason="there is no compiled core")

ROOT = Path(__file__).parents[2]
ASKS = "HOT: bool = lib.pyipc_now_add_hot_calls() == 0 and lib.pyipc_now_add_descriptors() == 0\n"


@pytest.fixture
def copy(tmp_path):
    """A package that does not ask for them."""
    shutil.copytree(Path(pyipc.__file__).parent, tmp_path / "pyipc")
    core = tmp_path / "pyipc/_backend/native_core.py"
    text = core.read_text()
    assert text.count(ASKS) == 1
    core.write_text(text.replace(ASKS, "HOT: bool = False\n"))
    return tmp_path


def run(copy, code, *arguments):
    environment = {**os.environ, "PYIPC_BACKEND": "native", "PYTHONDONTWRITEBYTECODE": "1"}
    for name in "PYTEST_ADDOPTS", "COVERAGE_PROCESS_CONFIG":  # the copy is not what is measured
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(copy)!r}); {code}", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_what_an_installed_package_must_do(copy):
    done = run(copy, f"import runpy; runpy.run_path({str(ROOT / 'packaging/smoke.py')!r})", "native")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok: ")


def run_tests(copy, cases):
    options = ["-q", "-p", "no:cacheprovider", cases]
    done = run(copy, "import pyipc, pytest; sys.exit(pytest.main(sys.argv[1:]))", *options)
    assert done.returncode == 0, done.stdout
    return [int(number) for number in re.findall(r"(\d+) (?:passed|skipped)", done.stdout.splitlines()[-1])]


@pytest.mark.parametrize("chapter", ["channels", "posix", "terminals"])
def test_the_cases_where_c_would_stand_in(copy, chapter):
    passed, skipped = run_tests(copy, f"tests/{chapter}/test_stand_ins.py")
    assert passed == skipped > 0  # those in Python, and those in C


def test_the_interface_of_sysv_ipc(copy):
    assert run_tests(copy, "tests/compat/test_sysv_ipc.py")[0] > 250
