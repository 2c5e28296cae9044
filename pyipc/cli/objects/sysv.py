"""System V segments, semaphore sets and queues (sysvipc(7))."""

from __future__ import annotations

from functools import partial

from ... import sysv
from ..._backend import ops
from ...errors import IPCError, check
from .found import IDLE, IN_USE, ORPHAN, Found
from .processes import lives

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .processes import Processes


def objects(processes: Processes) -> Iterator[Found]:
    """All of this IPC namespace."""
    for segment in sysv.segments():
        yield Found(
            "sysv shm",
            segment.id,
            _verdict_of_segment(segment),
            key=segment.key,
            uid=segment.uid,
            mode=segment.mode,
            size=segment.size,
            count=segment.attach_count,
            maker=segment.creator_pid,
            holders=processes.segments[segment.id],
            changed=segment.change_time,
            remove=partial(_remove, ops.shm_remove, segment.id),
        )
    for set in sysv.semaphore_sets():
        waiters = _waiters(set.id)
        yield Found(
            "sysv sem",
            set.id,
            IN_USE if waiters else IDLE,
            key=set.key,
            uid=set.uid,
            mode=set.mode,
            count=set.count,
            waiters=waiters,
            changed=set.change_time,
            remove=partial(_remove, ops.sem_remove, set.id),
        )
    for queue in sysv.message_queues():
        yield Found(
            "sysv msg",
            queue.id,
            IDLE,
            key=queue.key,
            uid=queue.uid,
            mode=queue.mode,
            size=queue.bytes,
            count=queue.messages,
            changed=queue.change_time,
            remove=partial(_remove, ops.msg_remove, queue.id),
        )


def _verdict_of_segment(segment: sysv.SegmentStat) -> str:
    if segment.attach_count:
        return IN_USE
    return IDLE if lives(segment.creator_pid, segment.change_time) else ORPHAN


def _waiters(id: int) -> int | None:
    """How many wait for its semaphores; None if its mode forbids to look."""
    try:
        with sysv.SemaphoreSet.attach(id) as set:
            return sum(semaphore.waiters + semaphore.zero_waiters for semaphore in set)
    except IPCError:
        return None


def _remove(remove: Callable[[int], int], id: int) -> None:
    check(remove(id), f"remove object {id}")
