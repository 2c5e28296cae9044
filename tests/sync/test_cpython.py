"""CPython's tests of multiprocessing's locks, as this interpreter brings them, with ours in their place."""

from __future__ import annotations

import importlib.util

import pytest

if importlib.util.find_spec("test") is None or importlib.util.find_spec("test._test_multiprocessing") is None:
    pytest.skip("this interpreter comes without its tests", allow_module_level=True)

pytestmark = [pytest.mark.needs("sync.locks"), pytest.mark.timeout(150)]

# What is left out, each with its reason.
LEFT_OUT: dict[str, str] = {
    "test_repr_lock": "how theirs shows whose it is",
    "test_repr_rlock": "the same",
}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("tests", ["Lock", "Semaphore", "Condition", "Event", "Barrier"])
def test_theirs_pass_with_ours(child, method, tests):
    other = child("runs_cpython_tests.py", method, tests)
    outcomes = other.hear(timeout=120)
    assert other.end() == 0
    assert outcomes
    for name, outcome, detail in outcomes:
        if name not in LEFT_OUT:
            assert outcome == "passed", f"{name}: {detail}"
