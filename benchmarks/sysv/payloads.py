"""What is written and must come back. There are two of each, so that old bytes are noticed."""

from __future__ import annotations

from typing import NoReturn

SMALL = (bytes(range(64)), bytes(range(64, 128)))
LARGE = (bytes(range(256)) * 4096, bytes(reversed(range(256))) * 4096)


def wrong() -> NoReturn:
    raise AssertionError("what came back is not what was written")
