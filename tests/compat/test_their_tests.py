"""The unit tests that sysv_ipc 1.2.0 comes with pass as they are, with our module under its name."""

from __future__ import annotations

import pytest

import pyipc

pytestmark = pytest.mark.timeout(180)

# Tests of a fault of theirs that is mended here, each with the reason: there is none.
FAULTS: dict[str, str] = {}

# What they themselves leave out on Linux.
SKIPPED = {
    "tests.test_message_queues.TestMessageQueueSendReceive.test_message_type_receive_specific_order",
}

# Nothing written in Python shows its memory to memoryview() before 3.12.
NEED_MEMORYVIEW = {
    "tests.test_memory.BufferProtocolTest.test_bytearray",
    "tests.test_memory.BufferProtocolTest.test_memoryview",
}


def test_their_tests_pass(child, sysv_ipc_sources):
    other = child("runs_foreign_tests.py", "sysv_ipc", sysv_ipc_sources)
    outcomes = {name: (outcome, detail) for name, outcome, detail in other.hear(timeout=150)}
    assert other.end() == 0
    assert len(outcomes) == 137
    cannot = set() if pyipc.capabilities()["compat.memoryview"] else NEED_MEMORYVIEW
    for name, (outcome, detail) in outcomes.items():
        if name in SKIPPED:
            assert outcome == "skipped", name
        elif name in FAULTS or name in cannot:
            assert outcome == "failed", f"{name} passes: it is to be taken off the list"
        else:
            assert outcome == "passed", f"{name}: {detail}"
