"""POSIX shared memory, semaphores and message queues (shm_overview(7), sem_overview(7), mq_overview(7))."""

from __future__ import annotations

import os
from functools import partial

from ... import posix
from ...errors import UnsupportedError
from .found import IDLE, IN_USE, Found
from .removal import remove_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .processes import Processes

_SHM, _MQUEUE = "/dev/shm", "/dev/mqueue"
# Of glibc's semaphores, on machines of 64 bits: the value, then how many wait.
_VALUE, _WAITERS = slice(0, 4), slice(4, 8)


def objects(processes: Processes) -> Iterator[Found]:
    """All that have names. Nobody remembers who made them, so none is an orphan for sure."""
    for memory in posix.shared_memory_objects():
        yield _found("posix shm", memory, f"{_SHM}{memory.name}", processes, memory.size)
    for semaphore in posix.named_semaphores():
        path = f"{_SHM}/sem.{semaphore.name[1:]}"
        found = _found("posix sem", semaphore, path, processes, None)
        found.count, found.waiters = _look_into(path)
        yield found
    try:
        queues = posix.message_queues()
    except UnsupportedError:
        return
    for queue in queues:
        yield _found("posix mq", queue, f"{_MQUEUE}{queue.name}", processes, queue.bytes)


def _found(
    kind: str,
    record: posix.SharedMemoryRecord | posix.SemaphoreRecord | posix.MessageQueueRecord,
    path: str,
    processes: Processes,
    size: int | None,
) -> Found:
    try:
        facts = os.stat(path, follow_symlinks=False)
        holders = processes.files.get((facts.st_dev, facts.st_ino), set())
    except OSError:
        facts, holders = None, set()
    return Found(
        kind,
        record.name,
        IN_USE if holders else IDLE,
        uid=record.uid,
        mode=record.mode,
        size=size,
        holders=holders,
        changed=record.change_time,
        remove=None if facts is None else partial(remove_file, path, facts),
    )


def _look_into(path: str) -> tuple[int | None, int | None]:
    """The value of a semaphore, and how many wait; None if its mode forbids to look."""
    try:
        with open(path, "rb") as file:
            text = file.read(8)
    except OSError:
        return None, None
    return int.from_bytes(text[_VALUE], "little"), int.from_bytes(text[_WAITERS], "little")
