#!/usr/bin/env python3
"""Make docs/performance.md, and its pictures, from what `run.py --json FILE` wrote: `picture.py FILE`."""

# ruff: noqa: RUF001 (dashes and signs as they are printed)

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import report
from contest import FALLBACK, LIMIT

DOCS = Path(__file__).resolve().parent.parent / "docs"
CHAPTERS = {
    "sysv": "System V",
    "posix_objects": "POSIX objects",
    "fds": "Descriptors",
    "memory": "Memory without a name",
    "processes": "Programs",
    "sockets": "Servers",
    "sync": "Locks and their like",
    "channels": "Channels",
    "compat": "The interfaces of sysv_ipc and posix_ipc",
    "terminals": "Terminals",
    "imports": "To import it",
}
BAR, GAP, NAMES, WIDTH, FIGURES = 20, 6, 240, 420, 100
COLOURS = {"pyipc": "#1f6f8b", LIMIT: "#b8b8b8"}
OTHERS = "#d9a441"

HEAD = """# Performance

Figures of one run of [the benchmarks](https://en.wikipedia.org/wiki/Benchmark_(computing)), a few rows of each chapter.
"""


def picture(row: dict[str, Any]) -> str:
    """A bar for each contestant, as long as one operation takes it."""
    shown = {name: one["median"] for name, one in row["contestants"].items() if ", " not in name}
    longest = max(shown.values())
    height = len(shown) * (BAR + GAP) + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{NAMES + WIDTH + FIGURES}" height="{height}"'
        ' font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for place, (name, figure) in enumerate(shown.items()):
        lines += _bar(name, figure, WIDTH * figure / longest, GAP + place * (BAR + GAP))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(name: str, figure: float, length: float, top: int) -> list[str]:
    colour = COLOURS.get("pyipc" if name in ("pyipc", FALLBACK) else name, OTHERS)
    text = top + BAR - 5
    return [
        f'<text x="{NAMES - 8}" y="{text}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{NAMES}" y="{top}" width="{max(length, 1):.1f}" height="{BAR}" fill="{colour}"/>',
        f'<text x="{NAMES + length + 6:.1f}" y="{text}">{report.duration(figure)}</text>',
    ]
