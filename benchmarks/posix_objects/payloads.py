"""What is written and must come back, two of each; and names that nobody else has."""

from __future__ import annotations

import os
from typing import NoReturn

SMALL = (bytes(range(64)), bytes(range(64, 128)))
LARGE = (bytes(range(256)) * 32, bytes(reversed(range(256))) * 32)

NAME = f"/pyipc-bench-{os.getpid()}"


def wrong() -> NoReturn:
    raise AssertionError("what came back is not what was written")
