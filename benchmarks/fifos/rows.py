"""Named pipes: records and lines through one, beside the same by hand."""

from __future__ import annotations

from pathlib import Path

from contest import Bound, Contestant, Row, python


def rows(scratch: Path) -> list[Row]:
    bounds = [Bound(3.0, "os.write and os.read", aim=True)]
    return [
        Row("fifo-record", "a record of 64 bytes, written whole and read", _contestants(), bounds),
        Row(
            "fifo-lines", "100 lines in a write, read one by one; per line", _contestants(), bounds, calls=100
        ),
    ]


def _contestants() -> list[Contestant]:
    return [
        python("pyipc", "fifos.with_pyipc", "pyipc"),
        python("os.write and os.read", "fifos.with_os", "pyipc"),
    ]
