"""The protocol over the compiled core; the only importer of `_core`.

Most calls are the C functions themselves: no Python stands between a handle and the kernel.
"""

from __future__ import annotations

from errno import ENOTSUP

from pyipc import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .protocol import Class, Owner, QueueFields, SegmentFields, SetFields

NAME = "native"

_ffi = _core.ffi
_lib = _core.lib
_new = _ffi.new
_buffer = _ffi.buffer

# A capability is a fact about this backend on this kernel; the kernel's part is found by the call.
_CAPABILITIES = (
    "sysv.semaphore_sets",
    "sysv.atomic_operations",
    "sysv.segment_views",
    "sysv.segment_locks",
    "sysv.waiter_counts",
    "sysv.wide_message_types",
    "sysv.close_wakes_waiters",
    "sysv.huge_pages",
    "sysv.receive_except",
    "sysv.receive_copy",
    "sysv.receive_truncated",
)


def capabilities() -> dict[str, bool]:
    return {**dict.fromkeys(_CAPABILITIES, True), "sysv.read_only_views": _HOT}


# Whether C stands in for the hot methods (hot_calls.c); it cannot on PyPy and without a GIL.
_HOT = _lib.pyipc_now_add_hot_calls() == 0


def accelerate(*methods: str, result: Any = None) -> Callable[[Class], Class]:
    def decorate(cls: Class) -> Class:
        if _HOT:
            if result is not None:
                _core.messages(result)
            for method in methods:
                _core.accelerate(cls, method)
        return cls

    return decorate


interrupt = _lib.pyipc_interrupt

# ---- segments ----

SHM_HUGE_2M = _lib.PYIPC_SHM_HUGE_2M
SHM_HUGE_1G = _lib.PYIPC_SHM_HUGE_1G
SHM_NO_RESERVE = _lib.PYIPC_SHM_NO_RESERVE
SHM_READ_ONLY = _lib.PYIPC_SHM_READ_ONLY

shm_create = _lib.pyipc_shm_create
now_shm_find = _lib.pyipc_now_shm_find
now_shm_size = _lib.pyipc_now_shm_size
now_shm_set = _lib.pyipc_now_shm_set
shm_lock = _lib.pyipc_shm_lock
shm_remove = _lib.pyipc_shm_remove

_CHARS = _ffi.typeof("char *")


def _attachment(address: int) -> Any:
    if _HOT:
        return _core.adopt(address)
    return _ffi.gc(_ffi.cast(_CHARS, address), _lib.pyipc_shm_detach)


def shm_create_private(size: int, flags: int, mode: int) -> int | tuple[int, Any]:
    address = _new("int64_t *")
    id = _lib.pyipc_shm_create_private(size, flags, mode, address)
    return id if id < 0 else (id, _attachment(address[0]))


def shm_attach(id: int, address: int, flags: int) -> int | Any:
    if _HOT:
        return _core.attach(id, address, flags)
    result = _lib.pyipc_shm_attach(id, address, flags)
    return result if result < 0 else _attachment(result)


def shm_address(attachment: Any) -> int:
    return attachment.address if _HOT else int(_ffi.cast("intptr_t", attachment))


def shm_memory(attachment: Any, size: int, read_only: bool) -> Any:
    if _HOT:
        attachment.checked(size)
        return memoryview(attachment)
    memory = _buffer(attachment, size)  # anybody can write through it, and die of it
    return _Unseen(memory) if read_only else memoryview(memory)


class _Unseen:
    """Memory that can be read, but not looked at."""

    __slots__ = ("memory",)

    def __init__(self, memory: Any) -> None:
        self.memory = memory


def view(memory: Any) -> int | memoryview:
    return -ENOTSUP if type(memory) is _Unseen else memory[:]


def shm_populate(memory: Any) -> int:
    return _lib.pyipc_populate(_ffi.from_buffer(memory), len(memory))


# Copying more than this takes longer than another thread should wait for the GIL.
_COPY_WITH_GIL = 65536


def copy_out(memory: Any, offset: int, size: int) -> bytes:
    if type(memory) is _Unseen:
        copy: bytes = memory.memory[offset : offset + size]
        return copy
    if not _HOT or size <= _COPY_WITH_GIL:
        return memory[offset : offset + size].tobytes()
    source = _ffi.from_buffer(memory) + offset
    return _core.copy_out(int(_ffi.cast("intptr_t", source)), size)


def copy_in(memory: memoryview, offset: int, data: Any) -> None:
    size = len(data)
    if size <= _COPY_WITH_GIL:
        memory[offset : offset + size] = data
    else:
        _lib.pyipc_copy(_ffi.from_buffer(memory) + offset, _ffi.from_buffer(data), size)


def _owner(owner: Any) -> Owner:
    return owner.key, owner.uid, owner.gid, owner.creator_uid, owner.creator_gid, owner.mode


def now_shm_stat(id: int) -> int | SegmentFields:
    s = _new("struct pyipc_shm_stat *")
    result = _lib.pyipc_now_shm_stat(id, s)
    if result < 0:
        return result
    times = s.attach_time, s.detach_time, s.change_time
    return _owner(s.owner), s.size, s.attach_count, *times, s.creator_pid, s.last_pid


# ---- semaphore sets ----

SEM_NOWAIT = _lib.PYIPC_SEM_NOWAIT
SEM_UNDO = _lib.PYIPC_SEM_UNDO
SEM_GET_VALUE = _lib.PYIPC_SEM_GET_VALUE
SEM_GET_PID = _lib.PYIPC_SEM_GET_PID
SEM_GET_WAITERS = _lib.PYIPC_SEM_GET_WAITERS
SEM_GET_ZERO_WAITERS = _lib.PYIPC_SEM_GET_ZERO_WAITERS

now_sem_find = _lib.pyipc_now_sem_find
now_sem_take = _lib.pyipc_now_sem_take
now_sem_give = _lib.pyipc_now_sem_give
now_sem_op = _lib.pyipc_now_sem_op
sem_op = _lib.pyipc_sem_op
now_sem_get = _lib.pyipc_now_sem_get
now_sem_set_value = _lib.pyipc_now_sem_set_value
now_sem_set = _lib.pyipc_now_sem_set
sem_remove = _lib.pyipc_sem_remove

# Room for every index a semaphore can have: see pyipc_now_sem_get_all() in sysv_sem.c.
_EVERY_INDEX = 65536


def sem_create(key: int, values: Sequence[int], mode: int) -> int:
    return _lib.pyipc_sem_create(key, _new("uint16_t[]", values), len(values), mode)


def sem_prepare(ops: Sequence[tuple[int, int, int]]) -> Any:
    return _new("struct pyipc_sem_op[]", ops)


def sem_callable(set: Any, python: Any, prepared: Any) -> Callable[..., None]:
    run: Callable[..., None] = _core.Operations(set, python, _buffer(prepared)[:]).run if _HOT else python.run
    return run


def now_sem_get_all(id: int, count: int) -> int | list[int]:
    values = _new("uint16_t[]", _EVERY_INDEX)
    result = _lib.pyipc_now_sem_get_all(id, values)
    return result if result < 0 else _ffi.unpack(values, count)


def now_sem_set_all(id: int, values: Sequence[int]) -> int:
    room = _new("uint16_t[]", _EVERY_INDEX)
    room[0 : len(values)] = values
    return _lib.pyipc_now_sem_set_all(id, room)


def now_sem_stat(id: int) -> int | SetFields:
    s = _new("struct pyipc_sem_stat *")
    result = _lib.pyipc_now_sem_stat(id, s)
    return result if result < 0 else (_owner(s.owner), s.count, s.op_time, s.change_time)


# ---- message queues ----

MSG_TRUNCATE = _lib.PYIPC_MSG_TRUNCATE
MSG_EXCEPT = _lib.PYIPC_MSG_EXCEPT
MSG_COPY = _lib.PYIPC_MSG_COPY

msg_create = _lib.pyipc_msg_create
now_msg_find = _lib.pyipc_now_msg_find
now_msg_set = _lib.pyipc_now_msg_set
msg_remove = _lib.pyipc_msg_remove

_TYPE_SIZE = 8  # of the type that precedes the bytes, struct msgbuf in msgop(2)


def now_msg_send(id: int, type: int, data: bytes) -> int:
    return _lib.pyipc_now_msg_send(id, type, data, len(data))


def msg_send(id: int, type: int, data: bytes, deadline: int) -> int:
    return _lib.pyipc_msg_send(id, type.to_bytes(_TYPE_SIZE, "little") + data, len(data), deadline)


# Each receive has a buffer of its own: with a shared one, a second thread could write over a
# message between the call and the copy.
def now_msg_receive(id: int, size: int, type: int, flags: int) -> int | tuple[bytes, int]:
    msg = _new("struct pyipc_msg *", [0, size])
    got = _lib.pyipc_now_msg_receive(id, msg, size, type, flags)
    return got if got < 0 else (_buffer(msg.data, got)[:], msg.type)


def msg_receive(id: int, size: int, type: int, flags: int, deadline: int) -> int | tuple[bytes, int]:
    msg = _new("struct pyipc_msg *", [0, size])
    got = _lib.pyipc_msg_receive(id, msg, size, type, flags, deadline)
    return got if got < 0 else (_buffer(msg.data, got)[:], msg.type)


def now_msg_stat(id: int) -> int | QueueFields:
    s = _new("struct pyipc_msg_stat *")
    result = _lib.pyipc_now_msg_stat(id, s)
    if result < 0:
        return result
    times = s.send_time, s.receive_time, s.change_time
    pids = s.last_send_pid, s.last_receive_pid
    return _owner(s.owner), s.bytes, s.messages, s.max_bytes, *times, *pids
