"""Lock files, by the package filelock."""

from __future__ import annotations

import tempfile

from filelock import FileLock


def file_lock():
    with tempfile.TemporaryDirectory() as directory:
        lock = FileLock(f"{directory}/lock")

        def block(n):
            acquire, release = lock.acquire, lock.release
            for _ in range(n):
                acquire()
                release()

        yield block
