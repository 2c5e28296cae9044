"""Descriptors over Unix sockets, by the compiled core; see native.py."""

from __future__ import annotations

from .native_core import HOT, core, ffi, lib
from .native_descriptors import cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .protocol import Credentials, Incoming

__all__ = (
    "DATAGRAM",
    "LOST",
    "LOST_TABLE_FULL",
    "MOST_FDS",
    "SEQPACKET",
    "STREAM",
    "messages_face",
    "now_message_size",
    "now_pass_credentials",
    "now_peer",
    "now_peer_pidfd",
    "now_receive",
    "now_send",
    "now_socket_is_unix",
    "now_socket_kind",
    "now_socketpair",
)

STREAM = lib.PYIPC_STREAM
DATAGRAM = lib.PYIPC_DATAGRAM
SEQPACKET = lib.PYIPC_SEQPACKET
MOST_FDS = lib.PYIPC_MOST_FDS
LOST = lib.PYIPC_LOST
LOST_TABLE_FULL = lib.PYIPC_LOST_TABLE_FULL

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
    address = ffi.buffer(message.address, message.address_size)[:] if message.address_size else None
    if message.lost:
        return data, got, [], None, None, address, (message.lost, message.count)
    handles = [handle.__new__(handle) for _ in range(message.count)]
    for place, owner in enumerate(handles):
        lib.pyipc_now_fd_move(message.fds + place, cell(owner))
    process = None
    if message.pidfd >= 0:
        process = handle.__new__(handle)
        lib.pyipc_now_fd_move(ffi.addressof(message, "pidfd"), cell(process))
    who = message.credentials
    peer = (who.pid, who.uid, who.gid) if message.has_credentials else None
    return data, got, handles, peer, process, address, None


def messages_face(*facts: Any) -> None:
    if HOT:
        core.messages_face(*facts)


now_send = core.send if HOT else _send
now_receive = core.receive if HOT else _receive
