"""Servers of short connections over TCP, four clients at a time, beside those of their kind."""

from __future__ import annotations

from pathlib import Path

from contest import HERE, Bound, Contestant, Row, compiled, python

_MODULES = {
    "pyipc": "with_pyipc",
    "socketserver": "with_socketserver",
    "asyncio streams": "with_asyncio",
    "select and accept": "with_accept_loop",
    "C": "with_c",
}
_KINDS = {
    "serial": ("one after the other", ("socketserver", "asyncio streams", "C")),
    "thread": ("by threads", ("socketserver", "asyncio streams")),
    "fork": ("a child for each; 400 of them", ("socketserver", "C")),
    "prefork": ("two workers", ("select and accept", "C")),
    "dispatch": ("passed to two workers", ("select and accept",)),
}
_CALLS = {"fork": 400}
_MOST = 2000


def rows(scratch: Path) -> list[Row]:
    load = compiled("the clients", HERE / "sockets/load.c", scratch)
    return [
        Row(
            f"serve-{model}",
            f"a short connection over TCP, {what}",
            [_contestant(name, load) for name in ("pyipc", *others)],
            [Bound(1.0, name, aim=model == "dispatch") for name in others if name != "C"],
            calls=_CALLS.get(model, _MOST),
            pinned=False,
        )
        for model, (what, others) in _KINDS.items()
    ]


def _contestant(name: str, load: Contestant) -> Contestant:
    if load.missing:
        return Contestant(name, [], load.missing)
    return python(name, f"sockets.{_MODULES[name]}", "pyipc", how="once", LOAD=load.command[0])
