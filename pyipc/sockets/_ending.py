"""The end of a connection (shutdown(2))."""

from __future__ import annotations

from _socket import MSG_DONTWAIT, SHUT_RDWR, SHUT_WR
from fcntl import ioctl
from termios import FIONREAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

_PIECE = 65536
_MOST_PIECES = 64  # of what nobody has read
_NOTHING = bytes(4)


def finish(connection: socket, *, close: bool = True) -> None:
    """Close it, so that what was written arrives, though some of what came was not read.

    The kernel answers close(2) with a reset while there is something unread, and a reset destroys what
    the peer has not read yet.
    """
    number = connection.fileno()
    if number < 0:
        return  # its handler has closed it, or given it away
    try:
        connection.shutdown(SHUT_WR)
        pieces = 0
        # To ask costs less than to be told of nothing by an exception.
        while ioctl(number, FIONREAD, _NOTHING) != _NOTHING and pieces < _MOST_PIECES:
            connection.recv(_PIECE, MSG_DONTWAIT)
            pieces += 1
    except OSError:
        pass  # the peer has gone
    if close:
        connection.close()


def cut(connection: socket) -> None:
    """Let both sides find their connection at its end, whoever is reading or writing."""
    try:  # noqa: SIM105 (contextlib takes long to import)
        connection.shutdown(SHUT_RDWR)
    except OSError:
        pass  # it is at its end
