"""Signals by name and by number (signal(7)).

Those in real time have no names of their own, and where they begin the C library decides: they are counted
from there, "SIGRTMIN+3", or from the end, "SIGRTMAX-2".
"""

from __future__ import annotations

import _signal  # `signal` brings enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Union

    SignalName = Union[int, str]

_FIRST_REAL_TIME: int = _signal.SIGRTMIN
_LAST: int = _signal.SIGRTMAX

_ALIASES = "SIGCLD", "SIGIOT", "SIGPOLL"


def _named() -> dict[str, int]:
    found = {"SIGSTKFLT": 16}  # which Python knows from 3.11 on
    for name, value in vars(_signal).items():
        if name.startswith("SIG") and not name.startswith(("SIG_", "SIGRT")):
            found[name] = int(value)
    return found


_NUMBERS = _named()
_NAMES = {number: name for name, number in _NUMBERS.items() if name not in _ALIASES}


def names() -> dict[str, int]:
    """Every signal's name and number, in the order of the numbers, as `kill -l` lists them."""
    real_time = range(_FIRST_REAL_TIME, _LAST + 1)
    return {name(number): number for number in [*sorted(_NAMES), *real_time]}


def number(signal: SignalName) -> int:
    """The number of a signal: of "HUP", "SIGHUP", "SIGRTMIN+3", of `signal.SIGHUP`, or of 1.

    Raises:
        ValueError: There is no such signal, or it is one of those that the C library keeps for itself.
    """
    if isinstance(signal, str):
        return _number_of(signal)
    if not isinstance(signal, int):
        raise TypeError(f"a signal is a name or a number, not {signal!r}")
    found = int(signal)
    if found not in _NAMES and not _FIRST_REAL_TIME <= found <= _LAST:
        raise ValueError(f"there is no signal {found}")
    return found


def _number_of(text: str) -> int:
    full = text.upper()
    if not full.startswith("SIG"):
        full = f"SIG{full}"
    found = _NUMBERS.get(full)
    if found is None:
        found = _real_time(full)
    if found is None:
        raise ValueError(f"there is no signal {text!r}")
    return found


def _real_time(full: str) -> int | None:
    for start, first, sign in ("SIGRTMIN", _FIRST_REAL_TIME, "+"), ("SIGRTMAX", _LAST, "-"):
        rest = full[len(start) :]
        if not full.startswith(start) or (rest and not (rest[0] == sign and _is_count(rest[1:]))):
            continue
        found = first + int(rest or 0)
        if _FIRST_REAL_TIME <= found <= _LAST:
            return found
    return None


def _is_count(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and len(digits) <= 2


def name(number: int) -> str:
    """The name of a signal: "SIGHUP" of 1, "SIGRTMIN+3" of one in real time.

    Raises:
        ValueError: There is no such signal.
    """
    found = _NAMES.get(number)
    if found is not None:
        return found
    if number == _LAST:
        return "SIGRTMAX"
    if not isinstance(number, int):
        raise TypeError(f"a number, not {number!r}")
    if not _FIRST_REAL_TIME <= number <= _LAST:
        raise ValueError(f"there is no signal {number}")
    past = number - _FIRST_REAL_TIME
    return f"SIGRTMIN+{past}" if past else "SIGRTMIN"


def numbers_of(signals: tuple[SignalName, ...]) -> list[int]:
    """Those of several, sorted, each of them once; one at least."""
    if not signals:
        raise ValueError("which signals?")
    return sorted({number(signal) for signal in signals})


def catchable(signals: tuple[SignalName, ...]) -> list[int]:
    """The same of signals that a process may handle, ignore or block (signal(7))."""
    found = numbers_of(signals)
    for one in found:
        if one in (_signal.SIGKILL, _signal.SIGSTOP):
            raise ValueError(f"{name(one)} can be neither handled nor ignored nor blocked")
    return found


def set_of(numbers: list[int]) -> int:
    """As the kernel has it: the lowest bit for signal 1."""
    found = 0
    for one in numbers:
        found |= 1 << (one - 1)
    return found


def text_of(numbers: list[int]) -> str:
    """For messages."""
    return ", ".join([name(one) for one in numbers])
