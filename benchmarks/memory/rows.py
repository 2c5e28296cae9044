"""Memory behind a descriptor, beside multiprocessing.shared_memory and mmap by hand."""

from __future__ import annotations

from pathlib import Path

from contest import BEST, Bound, Row, python


def rows(scratch: Path) -> list[Row]:
    del scratch
    ours = python("pyipc", "memory.with_pyipc", "pyipc")
    standard = python("mp.shared_memory", "memory.with_shared_memory", "pyipc")
    by_hand = python("memfd_create and mmap", "memory.with_mmap", "pyipc")
    return [
        Row(
            "memory-create",
            "create 64 KiB with all its pages, map it, write a byte, let go",
            [ours, by_hand],
            [Bound(1.3, BEST, aim=True)],
        ),
        Row(
            "memory-create-bare",
            "the same without its pages (mp.shared_memory names it, and unlinks it)",
            [ours, standard, by_hand],
            [Bound(1.0, "mp.shared_memory", aim=True)],
        ),
        Row(
            "memory-copy-64",
            "write 64 bytes and read them",
            [ours, standard, by_hand],
            [Bound(1.0, BEST, aim=True)],
            calls=2,
        ),
        Row(
            "memory-view-64",
            "the same through a view, `.buf`",
            [ours, standard],
            [Bound(1.05, "mp.shared_memory", aim=True)],
            calls=2,
        ),
    ]
