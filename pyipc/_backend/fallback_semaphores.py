"""System V semaphores over `sysv_ipc`; see fallback.py."""

from __future__ import annotations

from errno import EACCES, EEXIST, EIDRM, ENOENT, ENOTSUP, ERANGE

from .fallback_foreign import Reached, call, change, create, find, owner, stat_row, sysv
from .fallback_waits import until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .protocol import SetFields

__all__ = (
    "SEM_GET_PID",
    "SEM_GET_VALUE",
    "SEM_GET_WAITERS",
    "SEM_GET_ZERO_WAITERS",
    "SEM_NOWAIT",
    "SEM_UNDO",
    "now_sem_find",
    "now_sem_get",
    "now_sem_get_all",
    "now_sem_give",
    "now_sem_op",
    "now_sem_set",
    "now_sem_set_all",
    "now_sem_set_value",
    "now_sem_stat",
    "now_sem_take",
    "sem_callable",
    "sem_create",
    "sem_get",
    "sem_op",
    "sem_prepare",
    "sem_remove",
)

SEM_NOWAIT = 0x800
SEM_UNDO = 0x1000
SEM_GET_VALUE, SEM_GET_PID, SEM_GET_WAITERS, SEM_GET_ZERO_WAITERS = range(4)

_MOST = 32767  # SEMVMX
_FIGURES = ("value", "last_pid", "waiting_for_nonzero", "waiting_for_zero")


def _open(key: int, undo: int) -> Any:
    """Whether operations wait and are undone is for the foreign object to say, hence one of each kind."""
    foreign = call(sysv.Semaphore, key, 0, 0, missing=EIDRM)
    if not isinstance(foreign, int):
        foreign.block = False
        foreign.undo = bool(undo)
    return foreign


_sets = Reached("sem", _open)


def sem_create(key: int, values: Sequence[int], mode: int) -> int:
    if len(values) != 1:
        return -ENOTSUP
    # Stevens' race (csrc/sysv_sem.c): finders wait for the first semop(2), which must bring the
    # value they may see. So it starts one too low, and gets there by that operation.
    first = max(values[0] - 1, 0)
    working_mode = mode & 0o777 | 0o600
    foreign = create(sysv.Semaphore, key, working_mode, first)
    if isinstance(foreign, int):
        return foreign
    try:
        foreign.block = False
        result = call(foreign.release if values[0] else foreign.Z)
        if result == 0 and working_mode != mode & 0o777:
            result = call(setattr, foreign, "mode", mode & 0o777)
    except BaseException:  # a signal handler's: nobody knows of the set yet
        sem_remove(foreign.id)
        raise
    if result < 0:
        sem_remove(foreign.id)
        return int(result)
    return int(foreign.id)


def sem_get(key: int, flags: int, value: int) -> int:
    if flags & sysv.IPC_CREAT and not key:
        foreign = create(sysv.Semaphore, key, flags & 0o777, value)
    elif flags & sysv.IPC_EXCL:
        foreign = call(
            sysv.Semaphore, key, flags & ~0o777, flags & 0o777, value, missing=EEXIST, invalid=ERANGE
        )
    else:
        foreign = call(sysv.Semaphore, key, 0, flags & 0o777, missing=ENOENT)
    return foreign if isinstance(foreign, int) else int(foreign.id)


def now_sem_find(key: int, count: int) -> int:
    return find("sem", key, count, "nsems")


def sem_prepare(ops: Sequence[tuple[int, int, int]]) -> int | tuple[int, int]:
    """The delta and flags of the only operation there can be."""
    if len(ops) != 1 or ops[0][0] != 0:
        return -ENOTSUP
    return ops[0][1:]


def sem_callable(set: Any, python: Any, prepared: tuple[int, int]) -> Callable[..., None]:
    run: Callable[..., None] = python.run
    return run


def now_sem_take(id: int) -> int:
    return now_sem_op(id, (-1, 0), 1)


def now_sem_give(id: int) -> int:
    return now_sem_op(id, (1, 0), 1)


def now_sem_op(id: int, ops: tuple[int, int], count: int) -> int:
    delta, flags = ops
    foreign = _sets.get(id, flags & SEM_UNDO)
    if isinstance(foreign, int):
        return foreign
    if delta < 0:
        return int(call(foreign.acquire, None, -delta, invalid=ERANGE))
    if delta > 0:
        return int(call(foreign.release, delta, invalid=ERANGE))
    return int(call(foreign.Z))


def sem_op(id: int, ops: tuple[int, int], count: int, deadline: int) -> int:
    if ops[1] & SEM_NOWAIT:
        return now_sem_op(id, ops, count)
    return int(until(lambda: now_sem_op(id, ops, count), deadline))


def now_sem_get(id: int, index: int, what: int) -> int:
    foreign = _sets.get(id, 0)
    if isinstance(foreign, int):
        return foreign
    return -ENOTSUP if index else int(call(getattr, foreign, _FIGURES[what]))


def now_sem_set_value(id: int, index: int, value: int) -> int:
    foreign = _sets.get(id, 0)
    if isinstance(foreign, int):
        return foreign
    if index:
        return -ENOTSUP
    if not 0 <= value <= _MOST:
        return -ERANGE
    return int(call(setattr, foreign, "value", value))


def now_sem_get_all(id: int, count: int) -> int | list[int]:
    value = -ENOTSUP if count != 1 else now_sem_get(id, 0, SEM_GET_VALUE)
    return value if value < 0 else [value]


def now_sem_set_all(id: int, values: Sequence[int]) -> int:
    return -ENOTSUP if len(values) != 1 else now_sem_set_value(id, 0, values[0])


def now_sem_stat(id: int) -> int | SetFields:
    row = stat_row("sem", id)
    if isinstance(row, int):
        return row
    return owner(row), int(row["nsems"]), int(row["otime"]), int(row["ctime"])


def now_sem_set(id: int, uid: int, gid: int, mode: int) -> int:
    foreign = _sets.get(id, 0)
    if isinstance(foreign, int):
        return foreign
    return change(foreign, uid=uid, gid=gid, mode=mode, denied=EACCES)


def sem_remove(id: int) -> int:
    return int(call(sysv.remove_semaphore, id))
