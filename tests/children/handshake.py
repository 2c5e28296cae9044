"""What a second process of a test uses to talk with it: a line out, a line in."""

from __future__ import annotations

import ast
import os
import sys
from typing import Any

_answers = -1


def begin() -> None:
    """Keep standard output for answers; what the program prints goes to standard error."""
    global _answers
    _answers = os.dup(1)
    os.dup2(2, 1)


def say(value: Any = None) -> None:
    os.write(_answers, f"{value!r}\n".encode())


def hear() -> Any:
    line = sys.stdin.readline()
    if not line:
        raise SystemExit("the test has gone")
    return ast.literal_eval(line)
