"""What kind of socket it is that callers give."""

from __future__ import annotations

import _socket

from .._backend import ops
from ..errors import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._descriptor import HasNumber

# `socket.socket.family` and `.type` make an enum each time; these are the ints below them.
Socket = _socket.socket
family_of = Socket.family.__get__
kind_of_socket = Socket.type.__get__


def is_unix(sock: HasNumber, number: int) -> bool:
    """Whether it is a Unix socket."""
    if isinstance(sock, Socket):
        return bool(family_of(sock) == _socket.AF_UNIX)
    return bool(check(ops.now_socket_is_unix(number), f"use {sock!r}"))


def kind_of(sock: HasNumber, number: int) -> int:
    """`ops.STREAM`, `DATAGRAM`, `SEQPACKET` or another kind of socket."""
    if isinstance(sock, Socket):
        return int(kind_of_socket(sock))
    return check(ops.now_socket_kind(number), f"use {sock!r}")
