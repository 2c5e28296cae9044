"""POSIX semaphores, queues and shared memory, beside posix_ipc, and C."""

from __future__ import annotations

from pathlib import Path

from contest import CFFI, FALLBACK, HERE, Bound, Row, backend_missing, compiled, python

THEIRS = "posix_ipc"


def rows(scratch: Path) -> list[Row]:
    ours = python("pyipc", "posix_objects.with_pyipc", "pyipc")
    fallback = python(FALLBACK, "posix_objects.with_pyipc", "pyipc", PYIPC_BACKEND="fallback")
    fallback = fallback._replace(missing=backend_missing("fallback"))
    by_cffi = python(CFFI, "posix_objects.with_pyipc_cffi", "pyipc")
    theirs = python(THEIRS, "posix_objects.with_posix_ipc", "posix_ipc")
    pread = python("posix_ipc and os.pread", "posix_objects.with_posix_ipc", "posix_ipc")
    mapped = python("posix_ipc and mmap", "posix_objects.with_posix_ipc_mapped", "posix_ipc")
    limit = compiled("C", HERE / "posix_objects/limit.c", scratch)
    return [
        Row(
            "posix-sem",
            "release() and acquire(), per call",
            [ours, fallback, by_cffi, theirs, limit],
            [Bound(1.3, THEIRS)],
            calls=2,
        ),
        Row(
            "posix-sem-timed",
            "release() and acquire(timeout=1.0), per call",
            [ours, fallback, theirs, limit],
            [Bound(1.3, THEIRS)],
            calls=2,
        ),
        Row(
            "posix-mq-64",
            "send and receive 64 bytes, in a queue for messages of 8 KiB",
            [ours, fallback, by_cffi, theirs, limit],
            [Bound(0.9, THEIRS)],
            calls=2,
        ),
        Row(
            "posix-mq-8k",
            "send and receive 8 KiB",
            [ours, fallback, by_cffi, theirs, limit],
            [Bound(1.05, THEIRS, aim=True)],
            calls=2,
        ),
        Row(
            "posix-shm-64",
            "write 64 bytes and read them, by the kernel",
            [ours, fallback, pread, limit],
            [Bound(1.3, pread.name, aim=True)],
            calls=2,
        ),
        Row(
            "posix-view-64",
            "the same through a view: `.buf`, and a memoryview of an mmap",
            [ours, mapped, limit],
            [Bound(1.05, mapped.name, aim=True)],
            calls=2,
        ),
        Row(
            "posix-create-shm",
            "create 4 KiB and remove it (C as posix_ipc: shm_open, ftruncate; pyipc reserves its page)",
            [ours, fallback, theirs, limit],
            [],
        ),
        Row(
            "posix-create-sem",
            "create a semaphore and remove it",
            [ours, fallback, theirs, limit],
            [],
        ),
        Row(
            "posix-create-mq",
            "create a queue and remove it",
            [ours, fallback, theirs, limit],
            [],
        ),
    ]
