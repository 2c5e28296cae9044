"""Locks and their like, and shared values, between processes, that outlive the death of who has them.

Locks have the interface of `multiprocessing`'s, and stand in for them: anonymous, inherited by a fork, or
passed to a process that `multiprocessing` starts, or over its connections. But whoever is killed with one
blocks nobody: a lock is taken from the dead, what they had taken of a semaphore comes back, and a
condition, a barrier or a readers' lock does without them. `FileLock` is a lock with a name.

`Value` and `Array` are those of `multiprocessing`, with such a lock. `Counter` and `Counters` are numbers to
count in together without a lock, `Latest` is a value of bytes of which the newest counts.
"""

from .barriers import Barrier
from .cell import Latest
from .conditions import Condition
from .counters import Counter, Counters
from .events import Event
from .file_lock import FileLock
from .locks import Lock, RLock
from .rwlocks import RWLock
from .semaphores import BoundedSemaphore, Semaphore
from .values import Array, Value

__all__ = (
    "Array",
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Counter",
    "Counters",
    "Event",
    "FileLock",
    "Latest",
    "Lock",
    "RLock",
    "RWLock",
    "Semaphore",
    "Value",
)
