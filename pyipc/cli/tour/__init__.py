"""`pyipc tour`: every chapter at work between real processes.

A stop is a module of this package that is named in `STOPS` and has a `TITLE` and `STEPS`, a list
of `stage.Step`. Its steps run one after the other; one that fails does not keep the next from
running, and leaves neither processes nor objects behind.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
from contextlib import contextmanager
from importlib import import_module

import pyipc

from .show import Terminal
from .stage import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

STOPS = (
    *("sysv", "posix", "compat", "fds", "memory"),
    *("signals", "fifos", "processes", "terminals", "sockets"),
    *("sync", "channels"),
)


def _stop(name: str) -> str:
    if name not in STOPS:
        raise argparse.ArgumentTypeError(f"no stop is called {name!r}; there is: {', '.join(STOPS)}")
    return name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `pyipc tour` can be told."""
    parser.description = "See every chapter of pyipc at work between real processes, perl among them."
    parser.epilog = "The exit status is 1 when a step fails. What this backend cannot do is no failure."
    parser.add_argument(
        "stops", nargs="*", type=_stop, metavar="STOP", help=f"go only there ({', '.join(STOPS)})"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document, at the end")


def run(arguments: argparse.Namespace) -> int:
    """Make the tour; gives the exit status."""
    try:
        about = _about()
    except ImportError as problem:
        print(f"pyipc tour: {problem}", file=sys.stderr)
        return 1
    terminal = Terminal(None if arguments.json else sys.stdout)
    terminal.hello(about)
    with _ending_tidily():
        stops = [_visit(name, terminal, about["perl"]) for name in arguments.stops or STOPS]
    failed = any(step["status"] == "failed" for stop in stops for step in stop["steps"])
    terminal.goodbye([step for stop in stops for step in stop["steps"]])
    if arguments.json:
        print(json.dumps({**about, "ok": not failed, "stops": stops}, indent=2))
    return 1 if failed else 0


def _about() -> dict[str, Any]:
    return {
        "pyipc": pyipc.__version__,
        "backend": pyipc.backend(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "implementation": sys.implementation.name,
        "kernel": os.uname().release,
        "perl": shutil.which("perl"),
    }


def _visit(name: str, terminal: Terminal, perl: str | None) -> dict[str, Any]:
    module = import_module(f".{name}", __name__)
    terminal.arrive(module.TITLE)
    stop = Stop(terminal, perl)
    return {
        "name": name,
        "title": module.TITLE,
        "steps": [stop.perform(number, step).as_dict() for number, step in enumerate(module.STEPS, 1)],
    }


@contextmanager
def _ending_tidily() -> Iterator[None]:
    """Whoever asks us to end waits until we have cleaned up."""

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    # Under nohup(1), SIGHUP is ignored, and shall be.
    ours = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
