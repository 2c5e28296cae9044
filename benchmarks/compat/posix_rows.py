"""The door for programs of posix_ipc: each does what that package does, beside it."""

from __future__ import annotations

from pathlib import Path

from contest import FALLBACK, Bound, Row, backend_missing, python

THEIRS = "posix_ipc"


def rows(scratch: Path) -> list[Row]:
    ours = python("pyipc", "compat.posix_with_pyipc", "pyipc")
    fallback = python(FALLBACK, "compat.posix_with_pyipc", "pyipc", PYIPC_BACKEND="fallback")
    fallback = fallback._replace(missing=backend_missing("fallback"))
    both = [ours, fallback, python(THEIRS, "compat.posix_with_posix_ipc", "posix_ipc")]
    bound = [Bound(1.3, THEIRS)]
    return [
        Row("compat-posix-semaphore", "release() and acquire(), per call", both, bound, calls=2),
        Row("compat-posix-with", "`with semaphore:`", both, bound),
        Row("compat-posix-timeout", "release() and acquire(1), per call", both, bound, calls=2),
        Row("compat-posix-message-64", "send and receive 64 bytes, per call", both, bound, calls=2),
        Row("compat-posix-message-text", "send a str of 64, receive it, per call", both, bound, calls=2),
        Row("compat-posix-create-memory", "create 4 KiB of memory, close and unlink it", both, bound),
        Row("compat-posix-create-queue", "create a queue, close and unlink it", both, bound),
        Row("compat-posix-create-semaphore", "create a semaphore, close and unlink it", both, bound),
    ]
