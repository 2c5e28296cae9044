from __future__ import annotations

import time

import pytest

from pyipc import _deadline


def test_a_deadline_is_a_point_on_the_monotonic_clock():
    before = time.monotonic_ns()
    deadline = _deadline.after(1.5)
    assert before + 1_500_000_000 <= deadline <= time.monotonic_ns() + 1_500_000_000


@pytest.mark.parametrize("timeout", [None, float("inf"), 1e10, 10**30])
def test_what_is_longer_than_anybody_waits_is_for_ever(timeout):
    assert _deadline.after(timeout) == _deadline.FOREVER


def test_the_longest_real_timeout_is_a_number_the_core_can_take():
    assert _deadline.after(1e9) < _deadline.FOREVER


@pytest.mark.parametrize("timeout", [None, 0, 0.0, 1, 0.5, float("inf"), True])
def test_numbers_from_zero_up_are_timeouts(timeout):
    assert _deadline.valid(timeout) is None


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), float("-inf")])
def test_negative_numbers_and_nan_are_not(timeout):
    with pytest.raises(ValueError, match="timeout"):
        _deadline.valid(timeout)


def test_what_is_no_number_is_a_type_error():
    with pytest.raises(TypeError):
        _deadline.valid("1")
