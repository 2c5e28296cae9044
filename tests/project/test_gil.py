"""Calls that never wait keep the GIL, the others let go of it: see csrc/build_core.py."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import time

import pytest

core = pytest.importorskip("pyipc._core", reason="there is no compiled core")

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython" or bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="there is no GIL to keep",
)


def wrappers():
    """The name of each wrapper that cffi wrote -> the names that its machine code mentions."""
    if not shutil.which("objdump"):
        pytest.skip("objdump is not installed")
    text = subprocess.run(
        ["objdump", "--disassemble", "--reloc", "--no-show-raw-insn", core.__file__],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found, name = {}, None
    for line in text.splitlines():
        head = re.fullmatch(r"[0-9a-f]+ <(.+)>:", line)
        if head:
            # The compiler may split off a part: _cffi_f_pyipc_copy.cold
            name = re.sub(r"\..*$", "", head[1])
            found.setdefault(name, set())
        elif name:
            found[name].update(re.findall(r"<([\w.@]+)", line))
    found = {name[8:]: mentioned for name, mentioned in found.items() if name.startswith("_cffi_f_pyipc_")}
    if not found:
        pytest.skip("the core was stripped of its symbols")
    return found


def releases(mentioned):
    return any("PyEval_SaveThread" in name for name in mentioned)


def test_a_wrapper_lets_go_of_the_gil_unless_its_function_never_waits():
    found = {name[6:]: mentioned for name, mentioned in wrappers().items()}
    keep = {name for name in found if name.startswith("now_")}
    assert len(keep) > 10
    assert len(found) - len(keep) > 10
    assert set(found) == {name[6:] for name in dir(core.lib) if name.startswith("pyipc_")}
    for name, mentioned in found.items():
        assert releases(mentioned) == (name not in keep), name


@pytest.fixture
def waiting_for_the_gil():
    """A thread that, its gate once open, notes when it gets the GIL: only if we let go of it."""
    interval = sys.getswitchinterval()
    gate, got = threading.Lock(), []
    gate.acquire()

    def note():
        with gate:
            got.append(True)

    thread = threading.Thread(target=note)
    sys.setswitchinterval(100)  # nobody is made to let go, so the thread runs on until it waits at the gate
    thread.start()
    yield gate, got
    sys.setswitchinterval(interval)
    thread.join()


def test_a_call_that_never_waits_lets_no_other_thread_run(waiting_for_the_gil):
    gate, got = waiting_for_the_gil
    stat = core.ffi.new("struct pyipc_sem_stat *")
    gate.release()  # here, since pytest lets go of the GIL between a fixture and its test
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        core.lib.pyipc_now_sem_stat(-1, stat)
    assert not got
    end = time.monotonic() + 20
    while not got and time.monotonic() < end:
        core.lib.pyipc_sem_remove(-1)
    assert got
