"""What there is on this machine for processes to talk by, whoever made it."""

from __future__ import annotations

from . import memfds, names, posix, sysv
from .found import Found
from .processes import Processes

__all__ = ("Found", "everything")


def everything() -> list[Found]:
    """Every object that can be seen from here, in the order of kinds.

    Of other users' processes only root sees what they hold: then no object is said to be held by nobody
    that they might hold.
    """
    processes = Processes()
    return [found for chapter in (sysv, posix, memfds, names) for found in chapter.objects(processes)]
