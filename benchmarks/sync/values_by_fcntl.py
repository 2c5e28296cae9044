"""Lock files, by flock(2): no timeout, and threads that use one descriptor do not exclude each other."""

from __future__ import annotations

import os
import tempfile
from fcntl import LOCK_EX, LOCK_UN, flock


def file_lock():
    with tempfile.TemporaryDirectory() as directory:
        number = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT)

        def block(n):
            for _ in range(n):
                flock(number, LOCK_EX)
                flock(number, LOCK_UN)

        yield block
        os.close(number)
