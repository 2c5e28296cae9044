"""CPython's own tests of multiprocessing's Value and Array, with ours in their place."""

from __future__ import annotations

import importlib.util

import pytest

if importlib.util.find_spec("test") is None or importlib.util.find_spec("test._test_multiprocessing") is None:
    pytest.skip("this interpreter comes without its tests", allow_module_level=True)

pytestmark = [pytest.mark.needs("sync.locks"), pytest.mark.timeout(150)]

# How many there are at least: none is left out. (Those of multiprocessing.sharedctypes are about its own
# functions, copy and synchronized among them, which have no counterpart here.)
LEAST = {"Value": 3, "Array": 4}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("tests", LEAST)
def test_theirs_pass_with_ours(child, method, tests):
    other = child("runs_cpython_tests.py", method, tests)
    outcomes = other.hear(timeout=120)
    assert other.end() == 0
    assert len(outcomes) >= LEAST[tests]
    for name, outcome, detail in outcomes:
        assert outcome == "passed", f"{name}: {detail}"
