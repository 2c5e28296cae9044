"""Locks and their like in shared memory: there are none without the compiled core. See fallback.py."""

from __future__ import annotations

from errno import ENOTSUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .protocol import Class

__all__ = (
    "BARRIER",
    "CONDITION",
    "EVENT",
    "LOCK",
    "MOST_PARTIES",
    "RWLOCK",
    "SEMAPHORE",
    "SYNC_BOUNDED",
    "SYNC_RECURSIVE",
    "SYNC_STRICT",
    "SYNC_UNDO",
    "barrier_abort",
    "barrier_acted",
    "barrier_arrive",
    "barrier_leave",
    "barrier_reset",
    "barrier_wait",
    "barrier_waiting",
    "condition_delist",
    "condition_enlist",
    "condition_notify",
    "condition_sleep",
    "event_wait",
    "lock_acquire",
    "lock_block",
    "lock_calls",
    "lock_recover",
    "lock_slots",
    "new_arrival",
    "new_place",
    "now_barrier_broken",
    "now_event_clear",
    "now_event_count",
    "now_event_set",
    "now_lock_depth",
    "now_lock_held",
    "now_lock_recovered",
    "now_lock_release",
    "now_lock_try",
    "now_rwlock_recovered",
    "now_rwlock_release",
    "now_semaphore_release",
    "now_semaphore_try",
    "now_sync_format",
    "now_sync_size",
    "rwlock_acquire",
    "rwlock_release",
    "semaphore_acquire",
    "semaphore_release",
    "semaphore_value",
    "sync_open",
)

LOCK, SEMAPHORE, EVENT, CONDITION, BARRIER, RWLOCK = range(6)
SYNC_RECURSIVE, SYNC_STRICT, SYNC_UNDO, SYNC_BOUNDED = 1, 2, 4, 8
MOST_PARTIES = 1 << 20


def _unsupported(*_: Any) -> int:
    return -ENOTSUP


barrier_abort = _unsupported
barrier_acted = _unsupported
barrier_arrive = _unsupported
barrier_leave = _unsupported
barrier_reset = _unsupported
barrier_wait = _unsupported
barrier_waiting = _unsupported
condition_delist = _unsupported
condition_enlist = _unsupported
condition_notify = _unsupported
condition_sleep = _unsupported
event_wait = _unsupported
lock_acquire = _unsupported
lock_calls = _unsupported
lock_recover = _unsupported
new_arrival = _unsupported
new_place = _unsupported
now_barrier_broken = _unsupported
now_event_clear = _unsupported
now_event_count = _unsupported
now_event_set = _unsupported
now_lock_depth = _unsupported
now_lock_held = _unsupported
now_lock_recovered = _unsupported
now_lock_release = _unsupported
now_lock_try = _unsupported
now_rwlock_recovered = _unsupported
now_rwlock_release = _unsupported
now_semaphore_release = _unsupported
now_semaphore_try = _unsupported
now_sync_format = _unsupported
now_sync_size = _unsupported
rwlock_acquire = _unsupported
rwlock_release = _unsupported
semaphore_acquire = _unsupported
semaphore_release = _unsupported
semaphore_value = _unsupported
sync_open = _unsupported


def lock_slots(cls: type) -> dict[str, str]:
    return {}


def lock_block(cls: Class) -> Class:
    return cls
