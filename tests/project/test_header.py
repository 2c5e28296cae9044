"""The header, the compiled core and its stub name the same things."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import pyipc
from pyipc import _backend

PACKAGE = Path(pyipc.__file__).parent
HEADER = PACKAGE.parent / "csrc" / "pyipc_core.h"
FACES = ("hot_calls.c", *sorted(path.name for path in HEADER.parent.glob("python_*.c")))
NATIVE = "\n".join(path.read_text() for path in sorted((PACKAGE / "_backend").glob("native*.py")))


@pytest.fixture(scope="module")
def region():
    if not HEADER.exists():
        pytest.skip("the header is in the repository, and this is an installed pyipc")
    text = HEADER.read_text().split("/* cdef: begin */")[1].split("/* cdef: end */")[0]
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def core():
    core = pytest.importorskip("pyipc._core", reason="there is no compiled core")
    _backend.load("native")  # adds to it
    return core


def functions(region):
    return set(re.findall(r"\b(pyipc_\w+)\(", region))


def constants(region):
    return set(re.findall(r"\b(PYIPC_\w+)\b", region))


def test_every_function_and_constant_of_the_header_is_in_the_core(region, core):
    assert len(functions(region)) > 30
    assert len(constants(region)) > 10
    assert set(dir(core.lib)) == functions(region) | constants(region)


def test_the_region_is_what_cffi_can_read(region):
    assert "#" not in region
    for word in ("size_t", "ssize_t", "long", "pid_t", "key_t"):
        assert not re.search(rf"\b{word}\b", region), f"{word}: no kernel types, and fixed widths"


def test_every_function_returns_a_value_or_minus_errno(region):
    for line in re.findall(r"^.*\bpyipc_\w+\(", region, flags=re.MULTILINE):
        assert re.match(r"(int|int64_t) pyipc_", line), line


def test_the_backend_uses_every_function_of_the_core(region):
    faces = [HEADER.parent / name for name in FACES]
    in_c = "".join(face.read_text() for face in faces)
    unused = {name for name in functions(region) if f"lib.{name}" not in NATIVE and f"{name}(" not in in_c}
    assert not unused


def test_the_stub_has_what_the_backend_uses(core):
    stub = PACKAGE / "_core.pyi"
    names = set()
    for node in ast.parse(stub.read_text()).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            names.add(node.target.id)
    used = set(re.findall(r"\bcore\.(\w+)", NATIVE))
    assert used <= names
    for name in names:
        assert hasattr(core, name), name
