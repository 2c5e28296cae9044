"""Connections, made by a deadline (connect(2))."""

from __future__ import annotations

import os
from errno import EAFNOSUPPORT, EAGAIN, ECONNREFUSED, EINPROGRESS, EINTR, ENOTCONN, ETIMEDOUT
from socket import AF_UNIX, SO_ERROR, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET, socket
from time import monotonic_ns

from .. import _deadline, _unix_path
from .._backend import ops
from ..errors import IPCError, error
from ._binding import made
from .addresses import Address
from .resolving import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def connect(address: str, timeout: float | None = None) -> socket:
    """Connect: a standard socket, which waits, and has no timeout.

    Of a host with several addresses they are tried in turn, each for its share of the time. See
    `Stream` for what comes after.

    Args:
        address: `tcp://host:port`, where the port may be the name of a service, and an IPv6 address
            stands in brackets; `udp://host:port`, which sends and receives datagrams of that host alone;
            `unix:/path`, of any length; `unix:@name` of the abstract namespace.
        timeout: How many seconds it may take, the search for the host's addresses too.

    Raises:
        NotFoundError: There is no such path, host or service.
        PeerGoneError: Nobody listens there.
        AccessError: We may not connect to that path.
        WouldBlockError: With `timeout=0`: it would have to wait.
        TimedOutError: It took too long.
    """
    where = Address(address)
    where.expect("tcp", "udp", "unix", "abstract")
    deadline = _deadline.by(timeout)
    doing = f"connect to {address}"
    if where.kind in ("unix", "abstract"):
        return _connect_unix(where, deadline, doing)
    kind = SOCK_STREAM if where.kind == "tcp" else SOCK_DGRAM
    found = resolve(where.host, where.port, kind, deadline, doing)
    number = 0
    for place, (family, target) in enumerate(found):
        made = _connect_inet(family, kind, target, _share(deadline, len(found) - place), doing)
        if not isinstance(made, int):
            return made
        number = made
    raise error(number, doing)


def _share(deadline: int, among: int) -> int:
    if deadline in (0, _deadline.FOREVER):
        return deadline
    now = monotonic_ns()
    return now + max(0, deadline - now) // among


def _connect_inet(family: int, kind: int, target: Any, deadline: int, doing: str) -> socket | int:
    """The socket, or the errno for which it is none."""
    try:
        sock = made(socket, family, kind, doing)
    except IPCError as problem:
        if problem.errno != EAFNOSUPPORT:  # of a kernel without IPv6
            raise
        return EAFNOSUPPORT
    try:
        sock.setblocking(False)
        number = _finish(sock, sock.connect_ex(target), deadline)
        # To a port of its own choice, nobody listening: it has met itself (RFC 9293, simultaneous open).
        if not number and kind == SOCK_STREAM and _has_met_itself(sock):
            number = ECONNREFUSED
        if not number:
            sock.setblocking(True)
            return sock
    except BaseException:  # a signal handler's too
        sock.close()
        raise
    sock.close()
    return number


def _finish(sock: socket, number: int, deadline: int) -> int:
    """Wait until connect(2) is through that has begun; the errno that it ends with."""
    while number in (EINPROGRESS, EINTR):
        result = ops.fd_wait(sock.fileno(), ops.WRITABLE, deadline)
        if result == -ETIMEDOUT and not deadline:
            return EAGAIN
        if result != -EINTR:
            number = -result if result < 0 else sock.getsockopt(SOL_SOCKET, SO_ERROR)
    return number


def _has_met_itself(sock: socket) -> bool:
    try:
        return bool(sock.getsockname() == sock.getpeername())
    except OSError as problem:
        if problem.errno != ENOTCONN:
            raise
        return False  # reset already, as whoever reads will learn


def _connect_unix(where: Address, deadline: int, doing: str) -> socket:
    sock = made(socket, AF_UNIX, SOCK_STREAM, doing)
    try:
        sock.setblocking(False)
        raw = os.fsencode(where.name)
        _unix_path.connect(sock, raw if where.kind == "unix" else b"\0" + raw, deadline, doing)
        sock.setblocking(True)
        return sock
    except BaseException:  # a signal handler's too
        sock.close()
        raise
