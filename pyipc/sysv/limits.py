"""The kernel's limits on System V IPC, read when one stands in the way (proc(5), ipc(5))."""

from __future__ import annotations

from ..errors import limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sized

    from ..errors import LimitError

# Name -> (file below /proc/sys, which number in it).
_WHERE = {
    "SHMMNI": ("kernel/shmmni", 0),
    "SHMMAX": ("kernel/shmmax", 0),
    "SHMALL": ("kernel/shmall", 0),
    "SEMMSL": ("kernel/sem", 0),
    "SEMMNS": ("kernel/sem", 1),
    "SEMOPM": ("kernel/sem", 2),
    "SEMMNI": ("kernel/sem", 3),
    "MSGMAX": ("kernel/msgmax", 0),
    "MSGMNB": ("kernel/msgmnb", 0),
    "MSGMNI": ("kernel/msgmni", 0),
}


def read(name: str) -> int:
    """What the limit is now."""
    file, column = _WHERE[name]
    with open(f"/proc/sys/{file}") as text:
        return int(text.read().split()[column])


def reached(result: int, doing: str, name: str) -> LimitError:
    """The error for running into this limit."""
    return limit_error(-result, doing, name, read(name), f"/proc/sys/{_WHERE[name][0]}")


def reached_either(result: int, doing: str, ids: str, objects: Sized, other: str) -> LimitError:
    """The error of ENOSPC, which stands for too many objects or for a second limit."""
    return reached(result, doing, ids if len(objects) >= read(ids) else other)
