"""The end of a connection (shutdown(2))."""

from __future__ import annotations

from _socket import SHUT_RDWR

from .._backend import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket


def finish(connection: socket) -> None:
    """Close it, so that what was written arrives, though some of what came was not read.

    Else the kernel answers with a reset; csrc/connection.c says when, and what that destroys.
    """
    ops.connection_finish(connection)  # of one that its peer has left, it says so
    try:  # noqa: SIM105 (contextlib takes long to import)
        connection.close()
    except OSError:
        pass  # its handler has closed the number behind its back


def cut(connection: socket) -> None:
    """Let both sides find their connection at its end, whoever is reading or writing."""
    try:  # noqa: SIM105 (contextlib takes long to import)
        connection.shutdown(SHUT_RDWR)
    except OSError:
        pass  # it is at its end
