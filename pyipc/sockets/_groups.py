"""Multicast groups: joining one, and sending to one (ip(7), ipv6(7))."""

from __future__ import annotations

from errno import ENOENT
from fcntl import ioctl
from socket import (
    AF_INET,
    AF_INET6,
    INADDR_ANY,
    IP_ADD_MEMBERSHIP,
    IP_MULTICAST_IF,
    IP_MULTICAST_LOOP,
    IP_MULTICAST_TTL,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_JOIN_GROUP,
    IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_IF,
    IPV6_MULTICAST_LOOP,
    SOCK_DGRAM,
    inet_pton,
    socket,
)
from struct import pack
from sys import byteorder

from ..errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Of <linux/in.h> and <linux/in6.h>; the module `socket` has them not yet.
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29
_ANY = INADDR_ANY.to_bytes(4, "big")
_IFNAMSIZ, _SIOCGIFINDEX = 16, 0x8933  # netdevice(7)
_IPV6_ADDRESSES = "/proc/net/if_inet6"
_ONE_LINK = (1, 2)  # scopes of IPv6 groups that mean nothing without an interface (RFC 4291)


class Interface:
    """A network interface, by its name or by an address of its own.

    Attributes:
        index: Its number, or 0 if the kernel is to find it, or chooses.
        address: Its IPv4 address, or 0.0.0.0.
    """

    __slots__ = ("address", "index", "text")

    def __init__(self, text: str | None, doing: str) -> None:
        self.text = text
        self.index = 0
        self.address = _ANY
        if text is None:
            return
        if not isinstance(text, str):
            raise TypeError(f"an interface is a name or an address, not {text!r:.100}")
        packed = _packed(AF_INET, text)
        if packed is not None:
            self.address = packed
            return
        packed = _packed(AF_INET6, text)
        try:
            self.index = _index_by_address(packed) if packed is not None else _index_by_name(text)
        except OSError:
            raise error(ENOENT, f"{doing}: no interface {text!r:.100}") from None

    def at(self, where: Any) -> Any:
        """The address of an IPv6 group there: with the index of the interface, its own if it names one."""
        group, port, flow, own = where
        if self.text is not None and not self.index:
            raise ValueError(f"the interface of an IPv6 group has a name, or an IPv6 address: {self.text!r}")
        index = self.index or own
        if not index and inet_pton(AF_INET6, group)[1] & 0xF in _ONE_LINK:
            raise ValueError(f"an interface is to be named for a group of one link, such as {group}")
        return group, port, flow, index


def _packed(family: int, text: str) -> bytes | None:
    try:
        return inet_pton(family, text)
    except (OSError, ValueError):
        return None


def _index_by_name(name: str) -> int:
    """What if_nametoindex(3) does; PyPy has it not."""
    raw = name.encode()
    if not 0 < len(raw) < _IFNAMSIZ:
        raise OSError(ENOENT, "no such interface")
    with socket(AF_INET, SOCK_DGRAM) as any_socket:
        found = ioctl(any_socket, _SIOCGIFINDEX, pack("40s", raw))
    return int.from_bytes(found[_IFNAMSIZ : _IFNAMSIZ + 4], byteorder)


def _index_by_address(packed: bytes) -> int:
    with open(_IPV6_ADDRESSES) as lines:
        for line in lines:
            address, index = line.split()[:2]
            if bytes.fromhex(address) == packed:
                return int(index, 16)
    raise OSError(ENOENT, "no such address")


def is_group(family: int, where: Any) -> bool:
    """Whether it is an address of many."""
    first = inet_pton(family, where[0])[0]
    return first == 0xFF if family == AF_INET6 else first >> 4 == 0xE


def join(sock: socket, where: Any, interface: Interface) -> None:
    """Get what is sent to that group, on that interface and no other."""
    if sock.family == AF_INET6:
        sock.setsockopt(IPPROTO_IPV6, IPV6_JOIN_GROUP, pack("=16sI", inet_pton(AF_INET6, where[0]), where[3]))
        _alone(sock, IPPROTO_IPV6, _IPV6_MULTICAST_ALL)
    else:  # struct ip_mreqn
        of = pack("=4s4si", inet_pton(AF_INET, where[0]), interface.address, interface.index)
        sock.setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP, of)
        _alone(sock, IPPROTO_IP, _IP_MULTICAST_ALL)


def _alone(sock: socket, level: int, option: int) -> None:
    """Without it a socket gets what others of this machine have joined, on whatever interface."""
    try:  # noqa: SIM105 (contextlib takes long to import)
        sock.setsockopt(level, option, 0)
    except OSError:
        pass  # of IPv6: before Linux 4.20


def send_by(sock: socket, where: Any, interface: Interface, hops: int, loopback: bool) -> None:
    """How far it goes that is sent to groups, by which interface, and whether also to this machine."""
    if sock.family == AF_INET6:
        sock.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hops)
        sock.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, loopback)
        sock.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, where[3])
    else:
        sock.setsockopt(IPPROTO_IP, IP_MULTICAST_TTL, hops)
        sock.setsockopt(IPPROTO_IP, IP_MULTICAST_LOOP, loopback)
        by = pack("=4s4si", _ANY, interface.address, interface.index)
        sock.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, by)
