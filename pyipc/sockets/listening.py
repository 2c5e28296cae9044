"""Sockets that listen, and the names that they take away again (listen(2), unix(7))."""

from __future__ import annotations

import _socket
import os
from errno import EINVAL
from socket import (
    AF_INET6,
    AF_UNIX,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SO_ACCEPTCONN,
    SO_REUSEADDR,
    SOCK_STREAM,
    SOL_SOCKET,
    SOMAXCONN,
    getdefaulttimeout,
    socket,
)

from .. import _deadline
from ..errors import IPCError, error
from ._binding import at_first, everywhere, made, refused
from .addresses import Address, text_of
from .resolving import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .. import _unix_path

# As numbers.
family_of, _type = _socket.socket.family.__get__, _socket.socket.type.__get__
_own = _socket.socket.__init__

_BACKLOG = max(SOMAXCONN, 4096)  # the kernel cuts it to /proc/sys/net/core/somaxconn


def accept(listening: socket) -> tuple[socket, Any]:
    """Accept a connection, and whose it is: see `socket.socket.accept`."""
    connection = socket.__new__(socket)
    connection._io_refs, connection._closed = 0, False  # type: ignore[attr-defined]  # as its __init__ does
    came: list[Any] = []
    try:
        # One step of the interpreter, after which a signal handler may raise: from accept(2) to the list.
        next(map(came.extend, iter(listening._accept, None)))  # type: ignore[attr-defined]  # of the C type
        _own(connection, family_of(listening), _type(listening), 0, came[0])
        if getdefaulttimeout() is None and listening.gettimeout():
            connection.setblocking(True)
        return connection, came[1]
    except BaseException:  # a signal handler's too
        if came and connection.fileno() < 0:
            os.close(came[0])
        connection.close()
        raise


class Listener(socket):
    """A standard socket that listens; closing it removes the path that it was bound to, if it still is there.

    What `accept()` gives is a plain `socket.socket`. After `detach()`, and in a forked child, nothing is
    removed.
    """

    _bound: _unix_path.BoundPath | None = None
    _is_served = False  # whether a server has it
    _asked: str | None = None  # the address that its server was given, by which a successor asks for it

    @property
    def address(self) -> str:
        """Where it listens, as `connect()` takes it: with the port that the kernel chose."""
        if self._bound is not None:
            return f"unix:{os.fsdecode(self._bound.path)}"
        return text_of(self.family, SOCK_STREAM, self.getsockname())

    accept = accept

    def close(self) -> None:
        """Close it, and remove its path.

        Raises:
            AccessError, TimedOutError: As of `unlink`: the directory may not be written, or is locked.
        """
        super().close()
        if self._bound is not None:
            self._bound.remove()

    def detach(self) -> int:
        """Give its number up, and leave its path."""
        self._unbind()
        return super().detach()

    def _close_socket(self) -> None:
        """Refuse who comes from now on; the path goes with `close()`."""
        super().close()

    def _let_go_in_child(self) -> None:
        """Of a process that was forked, and ends before long: close it, and nothing else."""
        _socket.socket.close(self)

    def _unbind(self) -> None:
        """Leave the path to somebody else, who has the socket too."""
        if self._bound is not None:
            self._bound.leave()
            self._bound = None


def listen(
    address: str, *, backlog: int = _BACKLOG, mode: int = 0o600, timeout: float | None = 5.0
) -> Listener:
    """Listen: a standard socket, to accept(2) from, or for a `Server`.

    Args:
        address: `tcp://host:port`: of a name with several addresses the first that is this machine's, of
            IPv4 before IPv6; `tcp://:port` is all addresses, of both; port 0 is one that the kernel
            chooses. `unix:/path`: taken over from the dead, never from the living, and of any length.
            `unix:@name`, which anybody on the machine may connect to: see `Server(allow=)`. `fd:`, `fd:3` or
            `fd:name`: what systemd has opened for us (sd_listen_fds(3)).
        backlog: How many may be connected before they are accepted; the kernel cuts it to
            /proc/sys/net/core/somaxconn.
        mode: The permissions of a Unix path, exactly and from its first moment; who may write may connect.
        timeout: How many seconds to wait for others who bind in the same directory, or for a name server.

    Raises:
        AlreadyExistsError: Somebody listens there; or the path is something else than a socket.
        AccessError: The port or the path may not be had.
        NotFoundError: There is no such directory, host or service; nothing was opened for us.
        TimedOutError: It took too long.
    """
    where = Address(address)
    where.expect("tcp", "unix", "abstract", "fd")
    if not isinstance(backlog, int) or not 0 <= backlog < 1 << 31:
        raise ValueError(f"backlog is 0..2**31-1, not {backlog!r}")
    deadline = _deadline.by(timeout)
    doing = f"listen at {address}"
    if where.kind == "fd":
        return _listen_at_activated(where.name, doing)
    if where.kind == "unix":
        return _listen_at_path(where.name, backlog, mode, timeout)
    if where.kind == "abstract":
        return _listen_at(AF_UNIX, b"\0" + os.fsencode(where.name), backlog, doing)
    found = resolve(where.host, where.port, SOCK_STREAM, deadline, doing, passive=True)

    def make(family: int, target: Any, both: bool = False) -> Listener:
        return _listen_at(family, target, backlog, doing, both)

    return at_first(found, make) if where.host else everywhere(found, make)


def _listen_at_activated(name: str, doing: str) -> Listener:
    from .activation import activated_number, take

    number = activated_number(name, doing)
    listener = Listener(fileno=number)
    if not listener.getsockopt(SOL_SOCKET, SO_ACCEPTCONN):
        listener.detach()
        raise error(EINVAL, f"{doing}: descriptor {number} does not listen")
    take(number)
    listener.setblocking(True)
    return listener


def _listen_at_path(path: str, backlog: int, mode: int, timeout: float | None) -> Listener:
    from .. import _unix_path

    listener = made(Listener, AF_UNIX, SOCK_STREAM, f"listen at unix:{path}")
    try:
        listener._bound = _unix_path.bind(listener, path, mode=mode, backlog=backlog, timeout=timeout)
        return listener
    except BaseException:  # a signal handler's too
        listener.close()
        raise


def _listen_at(family: int, target: Any, backlog: int, doing: str, both: bool = False) -> Listener:
    listener = made(Listener, family, SOCK_STREAM, doing)
    try:
        if family != AF_UNIX:
            listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # of connections that are over, not of listeners
        if family == AF_INET6:
            listener.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, not both)
        listener.bind(target)
        listener.listen(backlog)
        return listener
    except BaseException as problem:  # a signal handler's too
        listener.close()
        if isinstance(problem, OSError) and not isinstance(problem, IPCError):
            raise refused(problem, doing) from problem
        raise
