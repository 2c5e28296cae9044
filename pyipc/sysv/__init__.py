"""System V IPC: shared memory, semaphore sets and message queues, as the kernel has them.

Programs in C, Perl, Fortran and the rest see the same objects by the same keys (svipc(7)). An
object is made or found by its *key*, a number that the programs agree on; or it is *private*,
without a key, and is found by its *id* alone.

A handle made by `create` owns its object: closing it, or leaving its `with` block, removes the
object, unless it was made with `persist=True`. One from `open` (by key), `attach` (by id) or
`open_or_create` borrows, and removes nothing.
"""

from .keys import ftok
from .listing import message_queues, segments, semaphore_sets
from .queues import Message, MessageQueue
from .records import QueueStat, SegmentStat, SetStat
from .semaphores import Operation, Semaphore, SemaphoreSet
from .shared_memory import SharedMemory

__all__ = (
    "Message",
    "MessageQueue",
    "Operation",
    "QueueStat",
    "SegmentStat",
    "Semaphore",
    "SemaphoreSet",
    "SetStat",
    "SharedMemory",
    "ftok",
    "message_queues",
    "segments",
    "semaphore_sets",
)
