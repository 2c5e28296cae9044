"""How a child has ended (waitid(2))."""

from __future__ import annotations

import _signal  # `signal` brings enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ALIASES = "SIGCLD", "SIGIOT", "SIGPOLL"


class Exit:
    """How a child has ended.

    Attributes:
        pid: Its pid, which may be another's by now.
        code: Its exit status, 0..255; None if a signal killed it.
        signal: What killed it; None if it exited.
        dumped: Whether it left a core dump, or would have if it might.
    """

    __slots__ = ("code", "dumped", "pid", "signal")

    def __init__(self, pid: int, code: int, signal: int, dumped: bool) -> None:
        self.pid = pid
        self.code = None if signal else code
        self.signal = signal or None
        self.dumped = dumped

    @property
    def status(self) -> int:
        """One number for both, as `subprocess` has it: the exit status, or minus the signal."""
        return -self.signal if self.signal is not None else self.code or 0

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, Exit):
            return NotImplemented
        return (self.pid, self.status, self.dumped) == (other.pid, other.status, other.dumped)

    def __hash__(self) -> int:
        return hash((self.pid, self.status, self.dumped))

    def __bool__(self) -> bool:
        """Whether it exited with status 0."""
        return self.status == 0

    def __str__(self) -> str:
        if self.signal is None:
            return f"exited with status {self.code}"
        core = ", with a core dump" if self.dumped else ""
        return f"was killed by {_name(self.signal)}{core}"

    def __repr__(self) -> str:
        return f"<child {self.pid} {self}>"


def _name(number: int) -> str:
    for name, value in vars(_signal).items():
        if value == number and name[:3] == "SIG" and name[3] != "_" and name not in _ALIASES:
            return str(name)
    return f"signal {number} ({_signal.strsignal(number)})"  # of those in real time
