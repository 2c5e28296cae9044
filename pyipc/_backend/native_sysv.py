"""System V over the compiled core; see native.py."""

from __future__ import annotations

from .native_core import HOT, core, ffi, lib
from .native_mapping import Unseen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .protocol import Owner, QueueFields, SegmentFields, SetFields

__all__ = (
    "MSG_COPY",
    "MSG_EXCEPT",
    "MSG_TRUNCATE",
    "SEM_GET_PID",
    "SEM_GET_VALUE",
    "SEM_GET_WAITERS",
    "SEM_GET_ZERO_WAITERS",
    "SEM_NOWAIT",
    "SEM_UNDO",
    "SHM_HUGE_1G",
    "SHM_HUGE_2M",
    "SHM_NO_RESERVE",
    "SHM_READ_ONLY",
    "Viewed",
    "msg_create",
    "msg_get",
    "msg_receive",
    "msg_remove",
    "msg_send",
    "now_msg_find",
    "now_msg_receive",
    "now_msg_send",
    "now_msg_set",
    "now_msg_stat",
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
    "now_shm_find",
    "now_shm_set",
    "now_shm_size",
    "now_shm_stat",
    "sem_callable",
    "sem_create",
    "sem_get",
    "sem_op",
    "sem_prepare",
    "sem_remove",
    "shm_address",
    "shm_attach",
    "shm_create",
    "shm_create_private",
    "shm_get",
    "shm_lock",
    "shm_memory",
    "shm_populate",
    "shm_remove",
)

_new = ffi.new
_buffer = ffi.buffer

# ---- segments ----

SHM_HUGE_2M = lib.PYIPC_SHM_HUGE_2M
SHM_HUGE_1G = lib.PYIPC_SHM_HUGE_1G
SHM_NO_RESERVE = lib.PYIPC_SHM_NO_RESERVE
SHM_READ_ONLY = lib.PYIPC_SHM_READ_ONLY

shm_create = lib.pyipc_shm_create
shm_get = lib.pyipc_shm_get
now_shm_find = lib.pyipc_now_shm_find
now_shm_size = lib.pyipc_now_shm_size
now_shm_set = lib.pyipc_now_shm_set
shm_lock = lib.pyipc_shm_lock
shm_remove = lib.pyipc_shm_remove

_CHARS = ffi.typeof("char *")


def _attachment(address: int) -> Any:
    if HOT:
        return core.adopt(address)
    return ffi.gc(ffi.cast(_CHARS, address), lib.pyipc_shm_detach)


def shm_create_private(size: int, flags: int, mode: int) -> int | tuple[int, Any]:
    address = _new("int64_t *")
    id = lib.pyipc_shm_create_private(size, flags, mode, address)
    return id if id < 0 else (id, _attachment(address[0]))


def shm_attach(id: int, address: int, flags: int) -> int | Any:
    if HOT:
        return core.attach(id, address, flags)
    result = lib.pyipc_shm_attach(id, address, flags)
    return result if result < 0 else _attachment(result)


def shm_address(attachment: Any) -> int:
    return attachment.address if HOT else int(ffi.cast("intptr_t", attachment))


def shm_memory(attachment: Any, size: int, read_only: bool) -> Any:
    if HOT:
        attachment.checked(size)
        return memoryview(attachment)
    memory = _buffer(attachment, size)  # anybody can write through it, and die of it
    return Unseen(memory) if read_only else memoryview(memory)


class _Viewed:
    """Where no type of our own can be the base: Python asks __buffer__() from 3.12 on."""

    __slots__ = ()


Viewed: Any = core.Viewed if HOT else _Viewed


def shm_populate(memory: Any) -> int:
    return lib.pyipc_populate(ffi.from_buffer(memory), len(memory))


def _owner(owner: Any) -> Owner:
    return owner.key, owner.uid, owner.gid, owner.creator_uid, owner.creator_gid, owner.mode


def now_shm_stat(id: int) -> int | SegmentFields:
    s = _new("struct pyipc_shm_stat *")
    result = lib.pyipc_now_shm_stat(id, s)
    if result < 0:
        return result
    times = s.attach_time, s.detach_time, s.change_time
    return _owner(s.owner), s.size, s.attach_count, *times, s.creator_pid, s.last_pid


# ---- semaphore sets ----

SEM_NOWAIT = lib.PYIPC_SEM_NOWAIT
SEM_UNDO = lib.PYIPC_SEM_UNDO
SEM_GET_VALUE = lib.PYIPC_SEM_GET_VALUE
SEM_GET_PID = lib.PYIPC_SEM_GET_PID
SEM_GET_WAITERS = lib.PYIPC_SEM_GET_WAITERS
SEM_GET_ZERO_WAITERS = lib.PYIPC_SEM_GET_ZERO_WAITERS

now_sem_find = lib.pyipc_now_sem_find
sem_get = lib.pyipc_sem_get
now_sem_take = lib.pyipc_now_sem_take
now_sem_give = lib.pyipc_now_sem_give
now_sem_op = lib.pyipc_now_sem_op
sem_op = lib.pyipc_sem_op
now_sem_get = lib.pyipc_now_sem_get
now_sem_set_value = lib.pyipc_now_sem_set_value
now_sem_set = lib.pyipc_now_sem_set
sem_remove = lib.pyipc_sem_remove

# Room for every index a semaphore can have: see pyipc_now_sem_get_all() in sysv_sem.c.
_EVERY_INDEX = 65536


def sem_create(key: int, values: Sequence[int], mode: int) -> int:
    return lib.pyipc_sem_create(key, _new("uint16_t[]", values), len(values), mode)


def sem_prepare(ops: Sequence[tuple[int, int, int]]) -> Any:
    return _new("struct pyipc_sem_op[]", ops)


def sem_callable(set: Any, python: Any, prepared: Any) -> Callable[..., None]:
    run: Callable[..., None] = core.Operations(set, python, _buffer(prepared)[:]).run if HOT else python.run
    return run


def now_sem_get_all(id: int, count: int) -> int | list[int]:
    values = _new("uint16_t[]", _EVERY_INDEX)
    result = lib.pyipc_now_sem_get_all(id, values)
    return result if result < 0 else ffi.unpack(values, count)


def now_sem_set_all(id: int, values: Sequence[int]) -> int:
    room = _new("uint16_t[]", _EVERY_INDEX)
    room[0 : len(values)] = values
    return lib.pyipc_now_sem_set_all(id, room)


def now_sem_stat(id: int) -> int | SetFields:
    s = _new("struct pyipc_sem_stat *")
    result = lib.pyipc_now_sem_stat(id, s)
    return result if result < 0 else (_owner(s.owner), s.count, s.op_time, s.change_time)


# ---- message queues ----

MSG_TRUNCATE = lib.PYIPC_MSG_TRUNCATE
MSG_EXCEPT = lib.PYIPC_MSG_EXCEPT
MSG_COPY = lib.PYIPC_MSG_COPY

msg_create = lib.pyipc_msg_create
msg_get = lib.pyipc_msg_get
now_msg_find = lib.pyipc_now_msg_find
now_msg_set = lib.pyipc_now_msg_set
msg_remove = lib.pyipc_msg_remove

_TYPE_SIZE = 8  # of the type that precedes the bytes, struct msgbuf in msgop(2)


def now_msg_send(id: int, type: int, data: bytes) -> int:
    return lib.pyipc_now_msg_send(id, type, data, len(data))


def msg_send(id: int, type: int, data: bytes, deadline: int) -> int:
    return lib.pyipc_msg_send(id, type.to_bytes(_TYPE_SIZE, "little") + data, len(data), deadline)


# Each receive has a buffer of its own: with a shared one, a second thread could write over a
# message between the call and the copy.
def now_msg_receive(id: int, size: int, type: int, flags: int) -> int | tuple[bytes, int]:
    msg = _new("struct pyipc_msg *", [0, size])
    got = lib.pyipc_now_msg_receive(id, msg, size, type, flags)
    return got if got < 0 else (_buffer(msg.data, got)[:], msg.type)


def msg_receive(id: int, size: int, type: int, flags: int, deadline: int) -> int | tuple[bytes, int]:
    msg = _new("struct pyipc_msg *", [0, size])
    got = lib.pyipc_msg_receive(id, msg, size, type, flags, deadline)
    return got if got < 0 else (_buffer(msg.data, got)[:], msg.type)


def now_msg_stat(id: int) -> int | QueueFields:
    s = _new("struct pyipc_msg_stat *")
    result = lib.pyipc_now_msg_stat(id, s)
    if result < 0:
        return result
    times = s.send_time, s.receive_time, s.change_time
    pids = s.last_send_pid, s.last_receive_pid
    return _owner(s.owner), s.bytes, s.messages, s.max_bytes, *times, *pids
