"""System V message queues over `sysv_ipc`; see fallback.py."""

from __future__ import annotations

from errno import EEXIST, EIDRM, EINVAL, ENOENT, ENOTSUP, EPERM

from .fallback_foreign import Reached, call, change, create, find, owner, row_of, sysv
from .fallback_waits import until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .protocol import QueueFields

__all__ = (
    "MSG_COPY",
    "MSG_EXCEPT",
    "MSG_TRUNCATE",
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
)

MSG_TRUNCATE = 1
MSG_EXCEPT = 2
MSG_COPY = 4

# A message may have as many bytes as this, MSGMAX where nobody has raised it, or as all of these.
_SMALL = 8192
_ANY = (1 << 31) - 1


def _open(key: int, max_size: int) -> Any:
    """The longest message is for the foreign object to say, hence one for each bound."""
    return call(sysv.MessageQueue, key, 0, 0, max_size)


_queues = Reached("msg", _open)


def _no_int(type: int) -> bool:
    return not -(1 << 31) <= type < 1 << 31


def msg_create(key: int, mode: int) -> int:
    foreign = create(sysv.MessageQueue, key, mode & 0o777)
    return foreign if isinstance(foreign, int) else int(foreign.id)


def msg_get(key: int, flags: int) -> int:
    kernel, mode = flags & ~0o777, flags & 0o777
    if kernel & sysv.IPC_CREAT and not key:
        foreign = create(sysv.MessageQueue, key, mode)
    else:
        missing = EEXIST if kernel & sysv.IPC_EXCL else ENOENT
        foreign = call(sysv.MessageQueue, key, kernel, mode, missing=missing)
    return foreign if isinstance(foreign, int) else int(foreign.id)


def now_msg_find(key: int) -> int:
    return find("msg", key, 0, None)


def now_msg_send(id: int, type: int, data: bytes) -> int:
    if type < 1:
        return -EINVAL
    if _no_int(type):
        return -ENOTSUP
    foreign = _queues.get(id, _SMALL if len(data) <= _SMALL else _ANY)
    if isinstance(foreign, int):
        return foreign
    result = int(call(foreign.send, data, False, type))
    return -EIDRM if result == -EINVAL and row_of("msg", id) == -EIDRM else result


def msg_send(id: int, type: int, data: bytes, deadline: int) -> int:
    return int(until(lambda: now_msg_send(id, type, data), deadline))


def now_msg_receive(id: int, size: int, type: int, flags: int) -> int | tuple[bytes, int]:
    if flags or _no_int(type):
        return -ENOTSUP
    foreign = _queues.get(id, size)
    if isinstance(foreign, int):
        return foreign
    result: int | tuple[bytes, int] = call(foreign.receive, False, type)
    return result


def msg_receive(id: int, size: int, type: int, flags: int, deadline: int) -> int | tuple[bytes, int]:
    result: int | tuple[bytes, int] = until(lambda: now_msg_receive(id, size, type, flags), deadline)
    return result


def now_msg_stat(id: int) -> int | QueueFields:
    foreign = _queues.get(id, _SMALL)
    if isinstance(foreign, int):
        return foreign
    max_bytes = call(getattr, foreign, "max_size")  # which the listing lacks
    row = row_of("msg", id) if max_bytes >= 0 else int(max_bytes)
    if isinstance(row, int):
        return row
    size, messages, stime, rtime, ctime, lspid, lrpid = (
        int(row[name]) for name in ("cbytes", "qnum", "stime", "rtime", "ctime", "lspid", "lrpid")
    )
    return owner(row), size, messages, max_bytes, stime, rtime, ctime, lspid, lrpid


def now_msg_set(id: int, uid: int, gid: int, mode: int, max_bytes: int) -> int:
    if max_bytes >= 1 << 31:
        return -EINVAL  # the kernel would take its lower 32 bits
    foreign = _queues.get(id, _SMALL)
    if isinstance(foreign, int):
        return foreign
    return change(foreign, uid=uid, gid=gid, mode=mode, max_size=max_bytes)


def msg_remove(id: int) -> int:
    return int(call(sysv.remove_message_queue, id, denied=EPERM))
