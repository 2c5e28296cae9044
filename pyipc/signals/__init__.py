"""Signals (signal(7)): what they do during a block; deadlines; sending; signals as data; reaping."""

from .._later import names_from
from .names import name, names, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._exit import Exit as Exit
    from .._pidfd import Pidfd as Pidfd
    from .deadlines import deadline as deadline
    from .identity import Identity as Identity
    from .queues import SignalInfo as SignalInfo
    from .queues import SignalQueue as SignalQueue
    from .reaper import Reaper as Reaper
    from .scopes import blocking as blocking
    from .scopes import default as default
    from .scopes import handling as handling
    from .scopes import ignoring as ignoring
    from .sending import Life as Life
    from .sending import alive as alive
    from .sending import send as send
    from .sending import send_group as send_group

__getattr__ = names_from(
    __name__,
    {
        "Exit": "reaper",
        "Identity": "identity",
        "Life": "sending",
        "Pidfd": "reaper",
        "Reaper": "reaper",
        "SignalInfo": "queues",
        "SignalQueue": "queues",
        "alive": "sending",
        "blocking": "scopes",
        "deadline": "deadlines",
        "default": "scopes",
        "handling": "scopes",
        "ignoring": "scopes",
        "send": "sending",
        "send_group": "sending",
    },
)

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
