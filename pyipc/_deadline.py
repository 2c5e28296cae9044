"""A timeout becomes a monotonic deadline.

A timeout is `None` (wait for ever), `0` (do not wait) or seconds; a deadline is a point on
CLOCK_MONOTONIC in nanoseconds. Steps of the wall clock move neither, and a wait that a signal
ends is taken up again with the same deadline, however often that happens (PEP 475).
"""

from __future__ import annotations

from time import monotonic_ns, sleep

FOREVER = 2**63 - 1

_FIRST_NAP = 20e-6
_LONGEST_NAP = 0.01


def valid(timeout: float | None) -> None:
    """Raise `ValueError` or `TypeError` unless *timeout* is None or a number of seconds >= 0."""
    if timeout is not None and not timeout >= 0:  # "not >=" catches NaN too
        raise ValueError(f"timeout must be None or at least 0 seconds, not {timeout!r}")


def after(timeout: float | None) -> int:
    """The deadline that is *timeout* seconds from now."""
    if timeout is None or timeout > 1e9:  # past 31 years, nanoseconds are near the end of int64
        return FOREVER
    return monotonic_ns() + int(timeout * 1e9)


def by(timeout: float | None) -> int:
    """The same, checked; of 0 one that has always passed: to try, and not wait."""
    if timeout is None:
        return FOREVER
    if 0 < timeout <= 1e9:  # as it mostly is: without two more calls
        return monotonic_ns() + int(timeout * 1e9)
    valid(timeout)
    return 0 if timeout == 0 else FOREVER


def left(deadline: int) -> float:
    """How many seconds it is until then; less than 0 once it has passed."""
    return (deadline - monotonic_ns()) / 1e9


def nap(length: float, deadline: int) -> float:
    """Sleep a little between two tries, not past *deadline*; gives the next *length*, which begins at 0."""
    length = min(2 * length or _FIRST_NAP, _LONGEST_NAP)
    sleep(max(0.0, min(length, left(deadline))))
    return length
