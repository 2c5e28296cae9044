"""Counters, values, the latest value and lock files, beside what the standard library and PyPI have."""

from __future__ import annotations

from pathlib import Path

from contest import Bound, Contestant, Row, python

BY = {
    "pyipc": ("values_by_pyipc", "pyipc"),
    "multiprocessing": ("values_by_multiprocessing", "multiprocessing"),
    "fcntl.flock, by hand": ("values_by_fcntl", "fcntl"),
    "filelock": ("values_by_filelock", "filelock"),
}


def rows(scratch: Path) -> list[Row]:
    return [
        Row(
            "counter",
            "add 1 to a shared number",
            _by("pyipc", "multiprocessing"),
            _ahead("multiprocessing", 0.5),
        ),
        Row(
            "value",
            "read and write a Value",
            _by("pyipc", "multiprocessing"),
            _ahead("multiprocessing"),
            calls=2,
        ),
        Row(
            "latest-1k",
            "write 1 KiB that others may read, and read it, whole",
            _by("pyipc", "multiprocessing"),
            _ahead("multiprocessing"),
            calls=2,
        ),
        Row(
            "latest-1m",
            "the same of 1 MiB",
            _by("pyipc", "multiprocessing"),
            _ahead("multiprocessing"),
            calls=2,
        ),
        Row(
            "file-lock",
            "take a lock file and release it",
            _by("pyipc", "fcntl.flock, by hand", "filelock"),
            [Bound(0.5, "filelock")],
        ),
    ]


def _by(*names: str) -> list[Contestant]:
    return [python(name, f"sync.{BY[name][0]}", BY[name][1]) for name in names]


def _ahead(theirs: str, most: float = 1.0) -> list[Bound]:
    return [Bound(most, theirs, aim=most == 1.0)]
