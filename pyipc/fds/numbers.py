"""What callers give for a socket or a descriptor, as a number; and what kind of socket it is."""

from __future__ import annotations

import _socket

from .._backend import ops
from ..errors import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol, Union

    class HasFileno(Protocol):
        """A file, a socket, a handle, a `Memory`."""

        def fileno(self) -> int:
            """Its descriptor."""

    HasNumber = Union[int, HasFileno]

# `socket.socket.family` and `.type` make an enum each time; these are the ints below them.
Socket = _socket.socket
family_of = Socket.family.__get__
kind_of_socket = Socket.type.__get__


def number_of(descriptor: HasNumber) -> int:
    """Its number; `TypeError` of what has none, `ValueError` of what is closed."""
    number = descriptor if isinstance(descriptor, int) else _fileno(descriptor)
    if not 0 <= number < 1 << 31:
        raise ValueError(f"{descriptor!r} is closed, or no descriptor")
    return number


def _fileno(descriptor: HasFileno) -> int:
    try:
        number = descriptor.fileno()
    except AttributeError:
        raise TypeError(f"{descriptor!r} is neither a number nor has it a fileno()") from None
    return number


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
