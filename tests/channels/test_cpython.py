"""CPython's tests of multiprocessing's queues and connections, with ours in their place."""

from __future__ import annotations

import importlib.util

import pytest

if importlib.util.find_spec("test") is None or importlib.util.find_spec("test._test_multiprocessing") is None:
    pytest.skip("this interpreter comes without its tests", allow_module_level=True)

pytestmark = [pytest.mark.needs("channels", "sync.locks"), pytest.mark.timeout(150)]

# How many there are at least that pass.
LEAST = {"Queue": 8, "Connection": 5, "Poll": 4}

LEFT_OUT = (
    # There is no thread that could fail: put() raises what goes wrong with the object.
    "test_queue_feeder_donot_stop_onexc",
    # A hook of that thread, in a subclass of multiprocessing's own class.
    "test_queue_feeder_on_queue_feeder_error",
    # Of 3.13: that close() does nothing before that thread has begun.
    "test_closed_queue_empty_exceptions",
    # They send a descriptor over the connection's own, which is no socket here. (Handles and sockets can
    # be sent as objects.)
    "test_fd_transfer",
    "test_large_fd_transfer",
    "test_missing_fd_transfer",
)


@pytest.mark.parametrize(
    ("tests", "method"),
    [
        *(("Queue", "fork"), ("Queue", "spawn")),
        *(("Connection", "fork"), ("Connection", "forkserver")),
        ("Poll", "fork"),  # which take their time
    ],
)
def test_theirs_pass_with_ours(child, tests, method):
    other = child("runs_cpython_tests.py", method, tests, *LEFT_OUT)
    outcomes = other.hear(timeout=120)
    assert other.end() == 0
    assert len(outcomes) >= LEAST[tests]
    for name, outcome, detail in outcomes:
        assert outcome == "passed", f"{name}: {detail}"
