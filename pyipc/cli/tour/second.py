"""What a second Python process of the tour runs."""

from __future__ import annotations

import signal
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def play(seconds: str, module: str, function: str, *arguments: str) -> None:
    """Play the part that `module.function(*arguments)` describes, for at most so many seconds."""
    signal.alarm(int(seconds))
    part = getattr(import_module(module), function)
    try:
        part(*arguments)
    except Exception as problem:  # whatever it is, the first process shows it
        _die(problem)


def _die(problem: Exception) -> NoReturn:
    sys.exit(f"{type(problem).__name__}: {problem}")


def tell(fact: object) -> None:
    """Say something to the process that conducts the tour."""
    print(fact, flush=True)


def wait_for_word() -> None:
    """Go on when it says so, or has gone."""
    sys.stdin.readline()
