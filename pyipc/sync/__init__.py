"""Locks and their like, between processes, that outlive the death of who holds them.

They have the interface of `multiprocessing`'s, and stand in for them: anonymous, inherited by a fork, or
passed to a process that `multiprocessing` starts, or over its connections. But whoever is killed with one
blocks nobody: a lock is taken from the dead, what they had taken of a semaphore comes back, and a
condition, a barrier or a readers' lock does without them.
"""

from .barriers import Barrier
from .conditions import Condition
from .events import Event
from .locks import Lock, RLock
from .rwlocks import RWLock
from .semaphores import BoundedSemaphore, Semaphore

__all__ = (
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "Lock",
    "RLock",
    "RWLock",
    "Semaphore",
)
