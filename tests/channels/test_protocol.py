"""Every interleaving of a few processes at a channel, with deaths anywhere: nobody waits in vain."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("protocol", Path(__file__).with_name("protocol.py"))
protocol = importlib.util.module_from_spec(spec)
spec.loader.exec_module(protocol)

# Senders, receivers, messages of each sender, slots, deaths.
CASES = [(1, 1, 3, 1, 2), (1, 2, 3, 1, 2), (2, 1, 2, 1, 3), (2, 1, 2, 2, 2), (1, 3, 2, 1, 2), (2, 2, 1, 1, 2)]

MUTATIONS = [
    "commit before token",
    "flag before token",
    "drain before flag",
    "drain without the guard",
    "nothing is taken from the dead",
]


# With messages that are kept: and how often one is returned.
KEPT = [(1, 1, 2, 1, 1, 1), (1, 2, 2, 1, 1, 1), (1, 2, 2, 1, 2, 0), (1, 2, 1, 1, 2, 2), (2, 2, 1, 2, 1, 1)]

KEPT_MUTATIONS = ["sleep on what was returned", "the end does not wait for what is kept"]


@pytest.mark.parametrize("idle", [False, True], ids=["", "and one who does nothing"])
@pytest.mark.parametrize("case", CASES)
def test_whatever_comes_between_and_whoever_dies_the_others_go_on(case, idle):
    assert protocol.Protocol(*case, idle=idle).explore() > 100


@pytest.mark.parametrize("idle", [False, True], ids=["", "and one who does nothing"])
@pytest.mark.parametrize("case", KEPT)
def test_what_is_kept_is_acknowledged_once_whoever_dies_with_it(case, idle):
    *numbers, returns = case
    assert protocol.Protocol(*numbers, idle=idle, returns=returns).explore() > 100


@pytest.mark.parametrize("mutation", KEPT_MUTATIONS)
def test_what_is_done_otherwise_with_what_is_kept_is_found(mutation):
    for *numbers, returns in KEPT:
        for idle in False, True:
            try:
                protocol.Protocol(*numbers, idle=idle, returns=returns, mutation=mutation).explore()
            except protocol.WrongError:
                return
    raise AssertionError(f"nothing wrong with: {mutation}")


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_is_done_in_another_order_is_found(mutation):
    for case in CASES:
        for idle in False, True:
            try:
                protocol.Protocol(*case, idle=idle, mutation=mutation).explore()
            except protocol.WrongError:
                return
    raise AssertionError(f"nothing wrong with: {mutation}")
