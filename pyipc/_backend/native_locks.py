"""Locks and their like in shared memory, over the compiled core; see native.py."""

from __future__ import annotations

from .native_core import HOT, core, ffi, lib

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

LOCK = lib.PYIPC_LOCK
SEMAPHORE = lib.PYIPC_SEMAPHORE
EVENT = lib.PYIPC_EVENT
CONDITION = lib.PYIPC_CONDITION
BARRIER = lib.PYIPC_BARRIER
RWLOCK = lib.PYIPC_RWLOCK
SYNC_RECURSIVE = lib.PYIPC_SYNC_RECURSIVE
SYNC_STRICT = lib.PYIPC_SYNC_STRICT
SYNC_UNDO = lib.PYIPC_SYNC_UNDO
SYNC_BOUNDED = lib.PYIPC_SYNC_BOUNDED
MOST_PARTIES = lib.PYIPC_MOST_PARTIES

# ---- making one, taking part ----

now_sync_size = lib.pyipc_now_sync_size


def now_sync_format(memory: memoryview, kind: int, flags: int, value: int) -> int:
    return lib.pyipc_now_sync_format(ffi.from_buffer(memory), len(memory), kind, flags, value)


def sync_open(memory: memoryview, life: int, kind: int, spins: int) -> Any:
    state = ffi.new("struct pyipc_sync *", {"me": {"spins": spins}})
    result = lib.pyipc_sync_open(state, ffi.from_buffer(memory), len(memory), life, kind)
    return result if result < 0 else state


# ---- each kind ----

now_lock_try = lib.pyipc_now_lock_try
lock_acquire = lib.pyipc_lock_acquire
lock_recover = lib.pyipc_lock_recover
now_lock_release = lib.pyipc_now_lock_release
now_lock_depth = lib.pyipc_now_lock_depth
now_lock_recovered = lib.pyipc_now_lock_recovered
now_lock_held = lib.pyipc_now_lock_held

now_semaphore_try = lib.pyipc_now_semaphore_try
semaphore_acquire = lib.pyipc_semaphore_acquire
now_semaphore_release = lib.pyipc_now_semaphore_release
semaphore_release = lib.pyipc_semaphore_release
semaphore_value = lib.pyipc_semaphore_value

now_event_count = lib.pyipc_now_event_count
now_event_set = lib.pyipc_now_event_set
now_event_clear = lib.pyipc_now_event_clear
event_wait = lib.pyipc_event_wait

condition_enlist = lib.pyipc_condition_enlist
condition_sleep = lib.pyipc_condition_sleep
condition_delist = lib.pyipc_condition_delist
condition_notify = lib.pyipc_condition_notify


def new_place() -> Any:
    return ffi.new("int32_t *", -1)


barrier_arrive = lib.pyipc_barrier_arrive
barrier_wait = lib.pyipc_barrier_wait
barrier_acted = lib.pyipc_barrier_acted
barrier_leave = lib.pyipc_barrier_leave
barrier_abort = lib.pyipc_barrier_abort
barrier_reset = lib.pyipc_barrier_reset
now_barrier_broken = lib.pyipc_now_barrier_broken
barrier_waiting = lib.pyipc_barrier_waiting


def new_arrival() -> Any:
    return ffi.new("struct pyipc_arrival *", {"place": -1})


rwlock_acquire = lib.pyipc_rwlock_acquire
now_rwlock_release = lib.pyipc_now_rwlock_release
rwlock_release = lib.pyipc_rwlock_release
now_rwlock_recovered = lib.pyipc_now_rwlock_recovered

# ---- where C stands in: csrc/python_locks.c ----

_CALLS = HOT and lib.pyipc_now_add_lock_calls() == 0


def lock_slots(cls: type) -> dict[str, str]:
    names = ("acquire", "release") if _CALLS else ()
    return {name: getattr(cls, name).__doc__ or "" for name in names}


def lock_calls(handle: Any, member: Any) -> Any:
    return core.LockCalls(handle, member, int(ffi.cast("intptr_t", member.state))) if _CALLS else None


def lock_block(cls: Class) -> Class:
    if _CALLS:
        core.lock_block(cls)
    return cls
