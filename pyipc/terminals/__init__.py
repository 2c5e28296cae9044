"""Programs on a pseudo-terminal (pty(7)): type, wait for what they say, hand them to a person.

`spawn` runs a program that believes it talks to somebody: it shows what it has to say at once, asks for
passwords, draws on the screen. `Terminal.send_line` types, `Terminal.expect` waits for its answer, and
`Terminal.interact` gives it to whoever sits at our own terminal.
"""

from .patterns import EOF, TIMEOUT, Match
from .terminal import Terminal, spawn

__all__ = (  # noqa: RUF022 (as Python sorts)
    "EOF",
    "Match",
    "TIMEOUT",
    "Terminal",
    "spawn",
)
