"""Descriptors, pidfds and passing them, over the compiled core; see native.py."""

from __future__ import annotations

from .native_core import HOT, core, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .protocol import Credentials, Exit, Incoming

__all__ = (
    "DATAGRAM",
    "LOST",
    "LOST_TABLE_FULL",
    "MOST_FDS",
    "READABLE",
    "SEQPACKET",
    "STREAM",
    "WRITABLE",
    "Descriptor",
    "close_all",
    "fd_open",
    "fd_wait",
    "messages_face",
    "now_adopt",
    "now_duplicate",
    "now_eventfd",
    "now_eventfd_read",
    "now_eventfd_write",
    "now_message_size",
    "now_move",
    "now_pass_credentials",
    "now_peer",
    "now_peer_pidfd",
    "now_pidfd_getfd",
    "now_pidfd_open",
    "now_pidfd_send",
    "now_pidfd_status",
    "now_receive",
    "now_send",
    "now_socket_is_unix",
    "now_socket_kind",
    "now_socketpair",
)

READABLE = lib.PYIPC_READABLE
WRITABLE = lib.PYIPC_WRITABLE
STREAM = lib.PYIPC_STREAM
DATAGRAM = lib.PYIPC_DATAGRAM
SEQPACKET = lib.PYIPC_SEQPACKET
MOST_FDS = lib.PYIPC_MOST_FDS
LOST = lib.PYIPC_LOST
LOST_TABLE_FULL = lib.PYIPC_LOST_TABLE_FULL

# ---- owners ----


class _Cell:
    """What python_descriptors.c does, where it cannot: an int in C memory, closed by a C destructor."""

    __slots__ = ("_cell",)
    _cell: Any

    def __new__(cls, *arguments: object, **options: object) -> _Cell:
        self = object.__new__(cls)
        self._cell = ffi.gc(ffi.new("int32_t *", -1), lib.pyipc_fd_close)
        return self

    @property
    def _number(self) -> int:
        number: int = self._cell[0]
        return number

    def fileno(self) -> int:
        """Its number, which stays this object's to close.

        Raises:
            ClosedError: It is closed.
        """
        number = self._number
        if number < 0:
            self._refuse()  # type: ignore[attr-defined]
        return number

    def _close(self) -> int:
        return lib.pyipc_fd_close(self._cell)

    def _take(self) -> int:
        return lib.pyipc_now_fd_take(self._cell)

    def __del__(self) -> None:
        if hasattr(self, "_cell") and self._number >= 0:
            from _warnings import warn

            warn(f"{self} was dropped without close()", ResourceWarning, 2, self)


Descriptor: Any = core.Descriptor if HOT else _Cell


def cell(descriptor: Any) -> Any:
    """The int that owns its number; to be used while somebody has the descriptor."""
    return ffi.cast("int32_t *", descriptor._address) if HOT else descriptor._cell


def now_adopt(into: Any, number: int) -> int:
    return lib.pyipc_now_fd_adopt(number, cell(into))


def now_duplicate(into: Any, number: int) -> int:
    return lib.pyipc_now_fd_duplicate(number, cell(into))


def fd_open(into: Any, path: bytes, flags: int) -> int:
    return lib.pyipc_fd_open(path, flags, cell(into))


def now_move(source: Any, into: Any) -> int:
    return lib.pyipc_now_fd_move(cell(source), cell(into))


def close_all(handles: list[Any]) -> None:
    if HOT:
        core.close_all(handles)
    else:
        for handle in handles:
            handle._close()


fd_wait = lib.pyipc_fd_wait

# ---- eventfds and pidfds ----


def now_eventfd(into: Any, initial: int, semaphore: bool) -> int:
    return lib.pyipc_now_eventfd(initial, semaphore, cell(into))


def now_eventfd_read(eventfd: Any) -> int:
    value = ffi.new("uint64_t *")
    result = lib.pyipc_now_eventfd_read(cell(eventfd), value)
    return result if result < 0 else value[0]


def now_eventfd_write(eventfd: Any, value: int) -> int:
    return lib.pyipc_now_eventfd_write(cell(eventfd), value)


def now_pidfd_open(into: Any, pid: int) -> int:
    return lib.pyipc_now_pidfd_open(pid, cell(into))


def now_pidfd_send(pidfd: Any, signal: int) -> int:
    return lib.pyipc_now_pidfd_send(cell(pidfd), signal)


def now_pidfd_status(pidfd: Any, reap: bool) -> int | Exit:
    e = ffi.new("struct pyipc_exit *")
    result = lib.pyipc_now_pidfd_status(cell(pidfd), reap, e)
    return result if result < 0 else (e.pid, e.code, e.signal, bool(e.dumped))


def now_pidfd_getfd(into: Any, pidfd: Any, theirs: int) -> int:
    return lib.pyipc_now_pidfd_getfd(cell(pidfd), theirs, cell(into))


# ---- over Unix sockets ----

now_socket_kind = lib.pyipc_now_socket_kind
now_socket_is_unix = lib.pyipc_now_socket_is_unix
now_message_size = lib.pyipc_now_message_size
now_pass_credentials = lib.pyipc_now_pass_credentials


def now_socketpair(kind: int, one: Any, other: Any) -> int:
    pair = ffi.gc(
        ffi.new("struct pyipc_message *", {"count": 2, "fds": [-1, -1], "pidfd": -1}), _close_message
    )
    result = lib.pyipc_now_socketpair(kind, pair.fds)
    if result == 0:
        lib.pyipc_now_fd_move(pair.fds, cell(one))
        lib.pyipc_now_fd_move(pair.fds + 1, cell(other))
    return result


def now_peer(sock: int) -> int | Credentials:
    peer = ffi.new("struct pyipc_credentials *")
    result = lib.pyipc_now_peer(sock, peer)
    return result if result < 0 else (peer.pid, peer.uid, peer.gid)


def now_peer_pidfd(into: Any, sock: int) -> int:
    return lib.pyipc_now_peer_pidfd(sock, cell(into))


_close_message = lib.pyipc_message_close


def _send(
    sock: int, data: bytes, numbers: list[int], credentials: Credentials | None, address: bytes | None
) -> int:
    who = ffi.NULL if credentials is None else ffi.new("struct pyipc_credentials *", credentials)
    fds = ffi.new("int32_t[]", numbers)
    size = len(address) if address else 0
    return lib.pyipc_now_send(sock, data, len(data), fds, len(numbers), who, address or ffi.NULL, size)


_room = ffi.new_allocator(should_clear_after_alloc=False)


def _receive(sock: int, size: int, handle: Any) -> int | Incoming:
    # The message owns what comes until a handle does, whatever is raised in between.
    message = ffi.gc(ffi.new("struct pyipc_message *", {"pidfd": -1}), _close_message)
    room = _room("char[]", max(size, 1))
    got = lib.pyipc_now_receive(sock, room, size, message)
    if got < 0:
        return got
    data: bytes = ffi.buffer(room, min(got, size))[:]
    if message.lost:
        lost = message.lost, message.count
        message.count = 0
        return data, got, [], None, None, None, lost
    handles = [handle.__new__(handle) for _ in range(message.count)]
    for place, owner in enumerate(handles):
        lib.pyipc_now_fd_move(message.fds + place, cell(owner))
    process = None
    if message.pidfd >= 0:
        process = handle.__new__(handle)
        lib.pyipc_now_fd_move(ffi.addressof(message, "pidfd"), cell(process))
    who = message.credentials
    peer = (who.pid, who.uid, who.gid) if message.has_credentials else None
    address = ffi.buffer(message.address, message.address_size)[:] if message.address_size else None
    return data, got, handles, peer, process, address, None


def messages_face(*facts: Any) -> None:
    if HOT:
        core.messages_face(*facts)


now_send = core.send if HOT else _send
now_receive = core.receive if HOT else _receive
