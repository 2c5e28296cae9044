"""Many hosts asked by UDP, beside perlipc's loop, and beside one host asked; by the clock on the wall."""

from __future__ import annotations

from pathlib import Path

from contest import Bound, Contestant, Row, python

from sockets.udp_hosts import FAR

WAYS = {"pyipc": "udp_with_pyipc", "select by hand": "udp_with_select", "one host": "udp_with_one_host"}


def rows(scratch: Path) -> list[Row]:
    return [
        Row(
            "udp-query-200",
            "200 hosts asked by UDP, each answer checked; and one",
            _contestants(),
            [Bound(1.5, "select by hand")],
            pinned=False,
        ),
        Row(
            "udp-query-200-far",
            f"the same, of hosts whose answers take {FAR * 1000:.0f} ms: one round trip's time",
            _contestants(),
            [Bound(1.2, "one host")],
            pinned=False,
        ),
    ]


def _contestants() -> list[Contestant]:
    return [python(name, f"sockets.{module}", "pyipc", how="across-free") for name, module in WAYS.items()]
