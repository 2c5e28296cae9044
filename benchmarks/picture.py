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
    "signals": "Signals",
    "fifos": "Named pipes",
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

Figures of one run of the benchmarks, every row of it: what one operation takes, so a shorter bar is better.
In the tables, "pyipc ÷ it" is the ratio, measured round by round: below 1, pyipc is faster. `C` is the same
work in plain C, the limit; `(cffi)` is pyipc without the part of its core that knows CPython.

What counts are the ratios, and of those only what is far from 1. This run was a short one, on a virtual
machine (`load` says how busy it was besides): a single figure is off by a tenth or two, and one of two
processes that wait for each other by more, as their least and most show. To measure for yourself, from a
clone:

```sh
./dev bench                    # everything, half an hour
./dev bench --quick --only lock --json run.json
.venv/bin/python benchmarks/picture.py run.json    # makes this page
```

How it is measured is told in `benchmarks/README.md`, beside the programs.
"""


def picture(row: dict[str, Any]) -> str:
    """A bar for each contestant, as long as one operation takes it."""
    medians = {name: one["median"] for name, one in row["contestants"].items()}
    # "NAME, p99" and the like go into the table alone, unless there is nothing else.
    shown = {name: median for name, median in medians.items() if ", " not in name} or medians
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


def page(run: dict[str, Any]) -> str:
    facts = {**run["machine"], **run["run"]}
    lines = [HEAD, "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]
    chapter = None
    for row in run["rows"]:
        if row["chapter"] != chapter:
            chapter = row["chapter"]
            lines += ["", f"## {CHAPTERS.get(chapter, chapter)}"]
        lines += ["", f"### {row['title']}", "", f"`{row['id']}`", ""]
        lines += [f"![{row['title']}]({picture_of(row)})", ""]
        lines += ["| | median | least – most | pyipc ÷ it |", "|---|--:|--:|--:|"]
        lines += [report.line(name, figures) for name, figures in row["contestants"].items()]
    return "\n".join(lines) + "\n"


def picture_of(row: dict[str, Any]) -> str:
    return f"performance/{row['id']}.svg"


def main() -> None:
    run = json.loads(Path(sys.argv[1]).read_text())
    run["rows"] = [row for row in run["rows"] if not row["failures"]]
    shutil.rmtree(DOCS / "performance", ignore_errors=True)
    (DOCS / "performance").mkdir()
    for row in run["rows"]:
        (DOCS / picture_of(row)).write_text(picture(row))
    (DOCS / "performance.md").write_text(page(run))


if __name__ == "__main__":
    main()
