"""What is made, written and must come back; two payloads, so that old bytes are noticed."""

from __future__ import annotations

from typing import NoReturn

PAGES = 65536
SMALL = (bytes(range(64)), bytes(range(64, 128)))


def wrong() -> NoReturn:
    raise AssertionError("what came back is not what was written")
