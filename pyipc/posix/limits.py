"""The limits on POSIX objects, read when one stands in the way (mq_overview(7), proc(5))."""

from __future__ import annotations

from .._linux import RLIMIT_MSGQUEUE
from ..errors import limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..errors import LimitError

_FOLDER = "/proc/sys/fs/mqueue"

#: What CAP_SYS_RESOURCE lets one have at most, whatever the files say (HARD_MSGMAX, HARD_MSGSIZEMAX).
HARD = {"msg_max": 65536, "msgsize_max": 1 << 24}

#: Priorities are below this (MQ_PRIO_MAX).
PRIORITIES = 32768


def read(name: str) -> int | None:
    """What the limit is now: of msg_max, msgsize_max, queues_max, msg_default and msgsize_default."""
    try:
        with open(f"{_FOLDER}/{name}", "rb", buffering=0) as file:
            return int(file.read(32))
    except OSError:
        return None


def default(name: str, most: str, otherwise: int) -> int:
    """What the kernel takes where nobody says anything."""
    wanted, limit = read(name), read(most)
    wanted = otherwise if wanted is None else wanted
    return wanted if limit is None else min(wanted, limit)


def reached(number: int, doing: str, name: str) -> LimitError:
    """The error for running into this one."""
    return limit_error(number, doing, name, read(name), f"{_FOLDER}/{name}")


def bytes_reached(number: int, doing: str) -> LimitError:
    """The error for having as many bytes in queues as one user may."""
    import resource

    return limit_error(number, doing, "RLIMIT_MSGQUEUE", resource.getrlimit(RLIMIT_MSGQUEUE)[0], None)
