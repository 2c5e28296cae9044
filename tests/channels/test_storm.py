"""Processes that send and receive are killed at any moment, and nothing is lost that must not be."""

from __future__ import annotations

import os
import random

import pytest

# `PYIPC_STORM_SECONDS=600 ./dev test tests/channels/test_storm.py` for a long one.
SECONDS = float(os.environ.get("PYIPC_STORM_SECONDS", "1.2"))
BATCH = 5

pytestmark = [pytest.mark.needs("channels"), pytest.mark.timeout(60 + 2 * SECONDS)]


@pytest.mark.parametrize(("how", "most"), [("recv", 1), ("recv_many", BATCH), ("ack", 0)])
def test_what_was_sent_arrives_once_whoever_is_killed(child, how, most):
    seed = random.randrange(1 << 32)
    other = child("storm_channels.py", seed, SECONDS, how, measured=False)
    facts = other.hear(timeout=50 + 2 * SECONDS)
    told = f"seed {seed}: {facts}"
    assert facts["failed"] == 0, told
    assert (facts["twice"], facts["unsent"]) == (0, 0), told
    # A receiver that was killed may have had the messages of one call.
    assert facts["missing"] <= most * facts["kills"]["receive"], told
    assert min(facts["kills"].values()) > 5 * SECONDS, told
    assert facts["came"] > 100 * SECONDS, told
    assert other.end() == 0
