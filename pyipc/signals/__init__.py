"""Signals (signal(7)): what they do during a block; deadlines; sending; signals as data; reaping."""

from .._exit import Exit
from .._pidfd import Pidfd
from .deadlines import deadline
from .identity import Identity
from .names import name, names, number
from .queues import SignalInfo, SignalQueue
from .reaper import Reaper
from .scopes import blocking, default, handling, ignoring
from .sending import Life, alive, send, send_group

__all__ = (
    "Exit",
    "Identity",
    "Life",
    "Pidfd",
    "Reaper",
    "SignalInfo",
    "SignalQueue",
    "alive",
    "blocking",
    "deadline",
    "default",
    "handling",
    "ignoring",
    "name",
    "names",
    "number",
    "send",
    "send_group",
)
