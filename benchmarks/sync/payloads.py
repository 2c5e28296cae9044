"""What is written, by turns, so that old bytes are noticed."""

from __future__ import annotations

KILO = bytes(range(256)) * 4, bytes(range(255, -1, -1)) * 4
MEGA = KILO[0] * 1024, KILO[1] * 1024


def wrong() -> None:
    raise SystemExit("what was read is not what was written")
