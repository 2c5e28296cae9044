from __future__ import annotations

import errno
import inspect
import os
import subprocess
import sys

import pytest

import pyipc
from pyipc import _backend


def test_the_backend_in_use_is_the_one_asked_for():
    assert pyipc.backend() in ("native", "fallback")
    if os.environ.get("PYIPC_BACKEND"):
        assert pyipc.backend() == os.environ["PYIPC_BACKEND"]


def test_capabilities_are_yes_or_no_and_a_copy():
    able = pyipc.capabilities()
    assert able
    assert all(type(name) is str and type(value) is bool for name, value in able.items())
    able.clear()
    assert pyipc.capabilities()


def test_the_chapters_are_found_by_name_and_nothing_else_is():
    assert pyipc.sysv is sys.modules["pyipc.sysv"]
    assert "sysv" in dir(pyipc)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = pyipc.nonsense


@pytest.mark.parametrize("name", _backend.NAMES)
def test_every_backend_has_all_of_the_protocol_and_its_arguments(name):
    from pyipc._backend import protocol

    try:
        backend = _backend.load(name)
    except ImportError as problem:
        pytest.skip(f"the {name} backend cannot be had: {problem}")
    families = [cls for cls in protocol.Backend.__mro__ if cls.__module__ == protocol.__name__]
    constants = {name for cls in families for name in vars(cls).get("__annotations__", ())}
    calls = {name for cls in families for name, value in vars(cls).items() if inspect.isfunction(value)}
    calls = {name for name in calls if not name.startswith("_")}
    assert len(constants) > 10
    assert len(calls) > 30
    for name in constants:
        assert isinstance(getattr(backend, name), (int, str, type)), name
    for name in calls:
        assert callable(getattr(backend, name)), name
        if getattr(backend, name).__name__ == "_unsupported":
            assert getattr(backend, name)() == -errno.ENOTSUP
        elif inspect.isfunction(getattr(backend, name)):
            expected = list(inspect.signature(getattr(protocol.Backend, name)).parameters)[1:]
            assert list(inspect.signature(getattr(backend, name)).parameters) == expected, name


def tell_backend(say, hear):
    import pyipc

    try:
        say(pyipc.backend())
    except ImportError as problem:
        say(f"ImportError: {problem}")


def test_the_native_backend_is_chosen_where_it_loads(child):
    other = child(tell_backend, env={"PYIPC_BACKEND": ""})
    try:
        _backend.load("native")
    except ImportError:
        expected = "fallback"
    else:
        expected = "native"
    assert other.hear() == expected
    assert other.end() == 0


def test_a_backend_that_is_none_is_an_error_that_says_so(child):
    other = child(tell_backend, env={"PYIPC_BACKEND": "quantum"})
    answer = other.hear()
    assert answer.startswith("ImportError: PYIPC_BACKEND=quantum cannot be had")
    assert "native, fallback" in answer
    assert other.end() == 0


def without(say, hear, *missing):
    import sys

    for name in missing:
        sys.modules[name] = None  # as if it were not installed
    import pyipc

    try:
        say(pyipc.backend())
    except ImportError as problem:
        say(f"ImportError: {problem}")


def test_a_forced_backend_that_does_not_load_is_an_error_naming_the_cause(child):
    for backend, missing in (("native", "pyipc._core"), ("fallback", "sysv_ipc")):
        other = child(without, missing, env={"PYIPC_BACKEND": backend})
        answer = other.hear()
        assert answer.startswith(f"ImportError: PYIPC_BACKEND={backend} cannot be had"), answer
        assert missing in answer
        assert other.end() == 0


def test_without_the_core_the_fallback_serves(child):
    pytest.importorskip("sysv_ipc")
    other = child(without, "pyipc._core", env={"PYIPC_BACKEND": ""})
    assert other.hear() == "fallback"
    assert other.end() == 0


def test_without_any_backend_the_error_names_both_causes(child):
    other = child(without, "pyipc._core", "sysv_ipc", env={"PYIPC_BACKEND": ""})
    answer = other.hear()
    assert answer.startswith("ImportError: pyipc has no backend")
    assert "_core" in answer
    assert "sysv_ipc" in answer
    assert "pip install pyipc-linux[fallback]" in answer
    assert other.end() == 0


def test_it_imports_without_docstrings():
    code = "from pyipc import sysv; sysv.Semaphore.create().close()"
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
