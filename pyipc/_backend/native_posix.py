"""POSIX objects over the compiled core; see native.py."""

from __future__ import annotations

from errno import EINVAL

from .native_core import HOT, core, ffi, lib
from .native_descriptors import Descriptor, cell, now_twin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .protocol import PosixQueueFields

__all__ = (
    "NOTIFY_BY_SIGNAL",
    "NOTIFY_NOBODY",
    "POSIX_CREATE",
    "POSIX_EXCLUSIVE",
    "POSIX_READ",
    "POSIX_SEM_MOST",
    "POSIX_SEM_SIZE",
    "POSIX_WRITE",
    "now_posix_mq_notify",
    "now_posix_mq_receive",
    "now_posix_mq_send",
    "now_posix_mq_stat",
    "now_posix_sem_init",
    "now_posix_sem_post",
    "now_posix_sem_try",
    "now_posix_sem_value",
    "posix_mq_news",
    "posix_mq_open",
    "posix_mq_unlink",
    "posix_sem_in",
    "posix_sem_open",
    "posix_sem_unlink",
    "posix_sem_wait",
    "posix_shm_create",
    "posix_shm_get",
    "posix_shm_link",
    "posix_shm_open",
    "posix_shm_read",
    "posix_shm_resize",
    "posix_shm_unlink",
    "posix_shm_write",
)

POSIX_CREATE = lib.PYIPC_POSIX_CREATE
POSIX_EXCLUSIVE = lib.PYIPC_POSIX_EXCLUSIVE
POSIX_READ = lib.PYIPC_POSIX_READ
POSIX_WRITE = lib.PYIPC_POSIX_WRITE
POSIX_SEM_SIZE = lib.PYIPC_POSIX_SEM_SIZE
POSIX_SEM_MOST = lib.PYIPC_POSIX_SEM_MOST
NOTIFY_NOBODY = lib.PYIPC_NOTIFY_NOBODY
NOTIFY_BY_SIGNAL = lib.PYIPC_NOTIFY_BY_SIGNAL

POSIX_SEM_ALIGNMENT = ffi.alignof("long")  # sem_t is a union with one

# Copying more than this takes longer than another thread should wait for the GIL.
_COPY_WITH_GIL = 65536


def _on_a_twin(call: Any, owner: Any, *arguments: Any) -> int:
    """Call without the GIL: meanwhile another thread may close the owner, and let its number mean another."""
    twin = Descriptor()
    result = now_twin(twin, owner)
    try:
        return result if result < 0 else call(cell(twin), *arguments)
    finally:
        twin._close()


# ---- shared memory ----

posix_shm_link = lib.pyipc_posix_shm_link
posix_shm_resize = lib.pyipc_posix_shm_resize
posix_shm_unlink = lib.pyipc_posix_shm_unlink


def posix_shm_create(into: Any, mode: int) -> int:
    return lib.pyipc_posix_shm_create(mode, cell(into))


def posix_shm_open(into: Any, name: bytes, read_only: bool) -> int:
    return lib.pyipc_posix_shm_open(name, read_only, cell(into))


def _posix_shm_get(into: Any, name: bytes, flags: int, mode: int, size: int) -> int:
    return lib.pyipc_posix_shm_get(name, flags, mode, size, cell(into))


posix_shm_get = core.posix_shm_get if HOT else _posix_shm_get


def posix_shm_read(memory: Any, offset: int, size: int) -> int | bytes:
    data = bytearray(size)
    if size <= _COPY_WITH_GIL:
        result = lib.pyipc_now_posix_shm_read(cell(memory), ffi.from_buffer(data), size, offset)
    else:
        result = _on_a_twin(lib.pyipc_posix_shm_read, memory, ffi.from_buffer(data), size, offset)
    return result if result < 0 else bytes(data)


def posix_shm_write(memory: Any, offset: int, data: Any) -> int:
    size = len(data)
    if size <= _COPY_WITH_GIL:
        return lib.pyipc_now_posix_shm_write(cell(memory), ffi.from_buffer(data), size, offset)
    return _on_a_twin(lib.pyipc_posix_shm_write, memory, ffi.from_buffer(data), size, offset)


# ---- semaphores ----

_CHARS = ffi.typeof("char *")


def posix_sem_open(name: bytes, flags: int, mode: int, value: int) -> int | Any:
    if HOT:
        return core.posix_sem_open(b"/" + name, flags, mode, value)
    address = ffi.new("int64_t *")
    result = lib.pyipc_posix_sem_open(b"/" + name, flags, mode, value, address)
    return result if result < 0 else ffi.gc(ffi.cast(_CHARS, address[0]), lib.pyipc_posix_sem_close)


def posix_sem_unlink(name: bytes) -> int:
    return lib.pyipc_posix_sem_unlink(b"/" + name)


def posix_sem_in(memory: memoryview) -> int | Any:
    start = ffi.from_buffer("char[]", memory, require_writable=True)
    address = int(ffi.cast("uintptr_t", start))
    if address % POSIX_SEM_ALIGNMENT:
        return -EINVAL
    return core.posix_sem_in(address, memory) if HOT else start


def _pointer(sem: Any) -> Any:
    return ffi.cast(_CHARS, sem.address) if HOT else sem


def now_posix_sem_init(sem: Any, value: int) -> int:
    return lib.pyipc_now_posix_sem_init(_pointer(sem), value)


def now_posix_sem_try(sem: Any) -> int:
    return lib.pyipc_now_posix_sem_try(_pointer(sem))


def posix_sem_wait(sem: Any, deadline: int) -> int:
    return lib.pyipc_posix_sem_wait(_pointer(sem), deadline)


def now_posix_sem_post(sem: Any) -> int:
    return lib.pyipc_now_posix_sem_post(_pointer(sem))


def now_posix_sem_value(sem: Any) -> int:
    return lib.pyipc_now_posix_sem_value(_pointer(sem))


# ---- message queues ----

posix_mq_unlink = lib.pyipc_posix_mq_unlink


def _posix_mq_open(into: Any, name: bytes, flags: int, mode: int, max_messages: int, max_size: int) -> int:
    return lib.pyipc_posix_mq_open(name, flags, mode, max_messages, max_size, cell(into))


posix_mq_open = core.posix_mq_open if HOT else _posix_mq_open


def now_posix_mq_send(queue: Any, data: bytes, priority: int) -> int:
    size = len(data)
    if size <= _COPY_WITH_GIL:
        return lib.pyipc_now_posix_mq_send(cell(queue), data, size, priority)
    return _on_a_twin(lib.pyipc_posix_mq_send, queue, data, size, priority)


def now_posix_mq_receive(queue: Any, room: int) -> int | tuple[bytes, int]:
    data = ffi.new("char[]", room)
    priority = ffi.new("uint32_t *")
    if room <= _COPY_WITH_GIL:
        size = lib.pyipc_now_posix_mq_receive(cell(queue), data, room, priority)
    else:
        size = _on_a_twin(lib.pyipc_posix_mq_receive, queue, data, room, priority)
    return size if size < 0 else (ffi.buffer(data, size)[:], priority[0])


def now_posix_mq_stat(queue: Any) -> int | PosixQueueFields:
    s = ffi.new("struct pyipc_posix_mq_stat *")
    result = lib.pyipc_now_posix_mq_stat(queue._number, s)
    return result if result < 0 else (s.max_messages, s.max_size, s.messages, s.uid, s.gid, s.mode)


def now_posix_mq_notify(queue: Any, kind: int, what: int, value: int) -> int:
    return lib.pyipc_now_posix_mq_notify(queue._number, kind, what, value)


class _News:
    """A socket of netlink(7), to which the kernel sends a few bytes; the last one says what has happened."""

    __slots__ = ("_socket",)

    def __init__(self) -> None:
        import socket

        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)

    def ask(self, queue: Any) -> int:
        by_socket = lib.PYIPC_NOTIFY_BY_SOCKET
        return lib.pyipc_now_posix_mq_notify(queue._number, by_socket, self._socket.fileno(), 0)

    def came(self) -> bool:
        return self._socket.recv(lib.PYIPC_NOTIFY_COOKIE)[-1:] == b"\1"  # NOTIFY_WOKENUP

    def end(self) -> None:
        """The kernel says so itself."""

    def close(self) -> None:
        self._socket.close()


def posix_mq_news() -> Any:
    return _News()
