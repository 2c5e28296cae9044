"""Locks and semaphores between processes, beside multiprocessing's, and System V's with SEM_UNDO."""

from __future__ import annotations

from pathlib import Path

from contest import Bound, Row, python

THEIRS = "multiprocessing"


def rows(scratch: Path) -> list[Row]:
    del scratch
    here = [python("pyipc", "sync.with_pyipc", "pyipc"), python(THEIRS, "sync.with_multiprocessing", "pyipc")]
    across = [one._replace(command=[*one.command[:2], "across", *one.command[3:]]) for one in here]
    undo = python("pyipc.sysv, undo", "sync.with_undo", "pyipc")
    undo_across = python("pyipc.sysv, undo", "sync.with_undo", "pyipc", how="across")
    return [
        Row("lock", "a lock that nobody else wants: acquire() and release()", here, [Bound(1.0, THEIRS)]),
        Row("lock-with", "the same as a `with` block", [*here, undo], [Bound(1.0, THEIRS)]),
        Row("rlock", "a recursive lock, the same", here, [Bound(1.0, THEIRS)]),
        Row("semaphore", "a semaphore of one, the same", here, [Bound(1.1, THEIRS, aim=True)]),
        Row(
            "lock-across",
            "two processes add to one number under a lock, by the clock on the wall, per two additions",
            [*across, undo_across],
            [Bound(1.0, THEIRS, aim=True)],
            pinned=False,
        ),
        Row(
            "semaphore-across",
            "there and back: two semaphores, two processes, by the clock on the wall",
            [*across, undo_across],
            [Bound(1.1, THEIRS, aim=True)],
            pinned=False,
        ),
    ]
