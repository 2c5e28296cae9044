"""Sockets for datagrams: of one host, of groups, and to everybody (udp(7))."""

from __future__ import annotations

from socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SO_BROADCAST,
    SO_REUSEADDR,
    SOCK_DGRAM,
    SOL_SOCKET,
    socket,
)

from .. import _deadline
from ..errors import IPCError
from ._binding import at_first, everywhere, refused
from ._groups import Interface, is_group, join, send_by
from .addresses import Address
from .resolving import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .resolving import Found


def bind(address: str, *, interface: str | None = None, timeout: float | None = 5.0) -> socket:
    """A UDP socket at that address: a standard socket, to receive from, or for a `DatagramServer`.

    Args:
        address: `udp://host:port`: of a name with several addresses the first that is this machine's, of
            IPv4 before IPv6; `udp://:port` is all addresses, of both; port 0 is one that the kernel chooses.
            At a broadcast address only broadcasts arrive. A multicast group, such as `udp://239.1.2.3:5000`,
            is joined, and only what is sent to it arrives; of one group there may be several receivers
            on a machine, and each gets all of it.
        interface: By which interface to join the group: its name, or an address of its own. None is the
            one to which the group's route leads; groups of one link of IPv6 (ff02::) need it.
        timeout: How many seconds to wait for a name server.

    Raises:
        AlreadyExistsError: Somebody has this port.
        AccessError: The port may not be had.
        NotFoundError: There is no such host, service or interface.
        IPCError: It is not an address of this machine (EADDRNOTAVAIL), or no interface leads to the
            group (ENODEV).
        TimedOutError: The name server took too long.
    """
    doing = f"bind to {address}"
    which = Interface(interface, doing)
    found = _found(address, timeout, doing, passive=True)

    def make(family: int, where: Any, both: bool = False) -> socket:
        return _bind(family, where, which, doing, both)

    return at_first(found, make) if Address(address).host else everywhere(found, make)


def sender(
    address: str,
    *,
    interface: str | None = None,
    hops: int = 1,
    loopback: bool = True,
    timeout: float | None = 5.0,
) -> socket:
    """A UDP socket whose `send()` goes to all members of a group, or to everybody at a broadcast address.

    A standard socket, which gets no answers: those come from addresses of the members' own. Who wants them
    sends by a socket of `bind()`, whose address the members see.

    Args:
        address: A multicast group or a broadcast address, `udp://239.1.2.3:5000` or `udp://255.255.255.255:5000`.
        interface: By which interface to send to the group: its name, or an address of its own. None is the
            one to which the group's route leads; groups of one link of IPv6 (ff02::) need it.
        hops: Through how many networks it may go to the group (IP_MULTICAST_TTL): 1 is this one, 0 this
            machine.
        loopback: Whether members of the group on this machine get it too.
        timeout: How many seconds to wait for a name server.

    Raises:
        NotFoundError: There is no such host, service or interface.
        IPCError: There is no way to it (ENETUNREACH).
        TimedOutError: The name server took too long.
    """
    doing = f"send to {address}"
    if not isinstance(hops, int) or not 0 <= hops <= 255:
        raise ValueError(f"hops are 0..255, not {hops!r}")
    which = Interface(interface, doing)
    found = _found(address, timeout, doing, passive=False)
    family, where = found[0]
    sock = socket(family, SOCK_DGRAM)
    try:
        where = _at(family, where, which)
        if is_group(family, where):
            send_by(sock, where, which, hops, loopback)
        elif family == AF_INET:
            sock.setsockopt(SOL_SOCKET, SO_BROADCAST, 1)
        sock.connect(where)
        return sock
    except BaseException as problem:  # a signal handler's too
        sock.close()
        if isinstance(problem, OSError) and not isinstance(problem, IPCError):
            raise refused(problem, doing) from problem
        raise


def _found(address: str, timeout: float | None, doing: str, passive: bool) -> Found:
    where = Address(address)
    where.expect("udp")
    return resolve(where.host, where.port, SOCK_DGRAM, _deadline.by(timeout), doing, passive=passive)


def _at(family: int, where: Any, which: Interface) -> Any:
    """The address, with what the interface adds to it."""
    if is_group(family, where):
        return which.at(where) if family == AF_INET6 else where
    if which.text is not None:
        raise ValueError(f"an interface is for groups, not for {where[0]}")
    return where


def _bind(family: int, where: Any, which: Interface, doing: str, both: bool) -> socket:
    where = _at(family, where, which)
    sock: socket | None = None
    try:
        sock = socket(family, SOCK_DGRAM)
        if family == AF_INET6:
            sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, not both)
        group = is_group(family, where)
        if group:
            # Of others, who had it as well would take the datagrams of who was first.
            sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        sock.bind(where)
        if group:
            join(sock, where, which)
        return sock
    except BaseException as problem:  # a signal handler's too
        if sock is not None:
            sock.close()
        if isinstance(problem, OSError) and not isinstance(problem, IPCError):
            raise refused(problem, doing) from problem
        raise
