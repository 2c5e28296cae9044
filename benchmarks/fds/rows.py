"""Passing descriptors over a Unix socket, beside what the standard library has, and C."""

from __future__ import annotations

from pathlib import Path

from contest import BEST, HERE, Bound, Contestant, Row, compiled, python

WAYS = {
    "pyipc": "with_pyipc",
    "sendmsg by hand": "with_sendmsg",
    "socket.send_fds": "with_send_fds",
    "multiprocessing.reduction": "with_reduction",
}


def rows(scratch: Path) -> list[Row]:
    limit = compiled("C", HERE / "fds/limit.c", scratch)
    here, across = _contestants("work", limit), _contestants("across", limit)
    bound = [Bound(1.0, BEST)]
    return [
        Row("fd-one", "one descriptor: send, receive, fstat, close, in one process", here, bound),
        Row("fd-many", "64 descriptors in a message, the same, per message", here, bound),
        Row(
            "fd-one-across",
            "one descriptor a message, between two processes, by the clock on the wall",
            across,
            bound,
            pinned=False,
        ),
        Row(
            "fd-many-across",
            "64 descriptors a message, between two processes, by the clock on the wall",
            across,
            bound,
            pinned=False,
        ),
    ]


def _contestants(how: str, limit: Contestant) -> list[Contestant]:
    return [*(python(name, f"fds.{module}", "pyipc", how=how) for name, module in WAYS.items()), limit]
