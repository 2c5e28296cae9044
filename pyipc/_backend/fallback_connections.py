"""Connections over the standard library; see fallback.py."""

from __future__ import annotations

from _socket import MSG_DONTWAIT, SHUT_WR, SO_OOBINLINE, SOL_SOCKET
from fcntl import ioctl
from termios import FIONREAD

from . import standard_fork
from .fallback_descriptors import Descriptor, now_pidfd_open
from .fallback_foreign import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

__all__ = ("connection_finish", "fork")

_PIECE = 65536
_MOST_PIECES = 64
_NOTHING = bytes(4)


def fork(born: list[int]) -> int:
    return standard_fork.fork(born, Descriptor(), now_pidfd_open)


def connection_finish(connection: socket) -> int:
    # csrc/connection.c says why.
    result: int = call(connection.shutdown, SHUT_WR) or call(
        connection.setsockopt, SOL_SOCKET, SO_OOBINLINE, 1
    )
    pieces = 0
    while result == 0 and pieces < _MOST_PIECES:
        # To ask costs less than to be told of nothing by an exception.
        unread = call(ioctl, connection.fileno(), FIONREAD, _NOTHING)
        if unread == _NOTHING:
            break
        if isinstance(unread, int):
            return unread
        if isinstance(call(connection.recv, _PIECE, MSG_DONTWAIT), int):
            break
        pieces += 1
    return result
