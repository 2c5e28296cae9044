"""The doors: each does what the package does that it stands in for, beside that package."""

from __future__ import annotations

from pathlib import Path

from contest import FALLBACK, Bound, Row, backend_missing, python

THEIRS = "sysv_ipc"


def rows(scratch: Path) -> list[Row]:
    ours = python("pyipc", "compat.with_pyipc", "pyipc")
    fallback = python(FALLBACK, "compat.with_pyipc", "pyipc", PYIPC_BACKEND="fallback")
    fallback = fallback._replace(missing=backend_missing("fallback"))
    both = [ours, fallback, python(THEIRS, "compat.with_sysv_ipc", "sysv_ipc")]
    bound = [Bound(1.3, THEIRS)]
    return [
        Row("compat-semaphore", "release() and acquire(), per call", both, bound, calls=2),
        Row("compat-copy-64", "write 64 bytes and read them", both, bound, calls=2),
        Row("compat-view-64", "the same through a memoryview", [ours, both[2]], bound, calls=2),
        Row("compat-message-64", "send and receive 64 bytes", both, bound, calls=2),
        Row("compat-attach", "attach and detach 1 MiB", both, bound),
        Row("compat-create-segment", "create, fill, detach and remove a segment of 4 KiB", both, bound),
        Row("compat-create-set", "create and remove a semaphore", both, bound),
        Row("compat-create-queue", "create and remove a queue", both, bound),
    ]
