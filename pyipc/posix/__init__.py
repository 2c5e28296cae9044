"""POSIX shared memory, semaphores and message queues: names that other programs know, too.

Those of C programs and of `posix_ipc` are the same objects (shm_overview(7), mq_overview(7)). So are
semaphores (sem_overview(7)), if both use the same C library: they are its own layout and protocol.
"""

from .listing import (
    MessageQueueRecord,
    SemaphoreRecord,
    SharedMemoryRecord,
    message_queues,
    named_semaphores,
    shared_memory_objects,
)
from .queues import Message, MessageQueue, QueueStat
from .semaphores import Semaphore, UnnamedSemaphore
from .shared_memory import SharedMemory

__all__ = (
    "Message",
    "MessageQueue",
    "MessageQueueRecord",
    "QueueStat",
    "Semaphore",
    "SemaphoreRecord",
    "SharedMemory",
    "SharedMemoryRecord",
    "UnnamedSemaphore",
    "message_queues",
    "named_semaphores",
    "shared_memory_objects",
)
