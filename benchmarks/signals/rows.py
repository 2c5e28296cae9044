"""Signals: handlers for the length of a block, deadlines, signals as data, beside the standard library."""

from __future__ import annotations

from pathlib import Path

from contest import Bound, Contestant, Row, python


def rows(scratch: Path) -> list[Row]:
    return [
        Row(
            "signal-scope",
            "a handler for a block, in which the signal comes",
            _contestants(),
            [Bound(1.5, "signal", aim=True)],
        ),
        Row(
            "signal-deadline",
            "a block with a deadline that does not come, inside another's",
            _contestants(),
            [Bound(1.5, "signal", aim=True)],
        ),
        Row(
            "signal-queue",
            "a signal with a value, sent to ourselves and taken as data",
            _contestants(),
            [Bound(1.5, "signal", aim=True)],
        ),
    ]


def _contestants() -> list[Contestant]:
    return [
        python("pyipc", "signals.with_pyipc", "pyipc"),
        python("signal", "signals.with_signal", "pyipc"),
    ]
