"""Sockets that are made, and at which of several addresses they are bound (socket(2), bind(2))."""

from __future__ import annotations

from _socket import AF_INET, AF_INET6
from errno import EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EEXIST

from ..errors import IPCError, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket
    from typing import Any, TypeVar

    from .resolving import Found

    Socket = TypeVar("Socket", bound=socket)

_NOT_HERE = (EADDRNOTAVAIL, EAFNOSUPPORT)  # of an address that is not this machine's


def made(kind: Callable[[int, int], Socket], family: int, type_: int, doing: str) -> Socket:
    """A socket of that kind.

    Raises:
        LimitError: There is no descriptor left; or another IPCError.
    """
    try:
        return kind(family, type_)
    except OSError as problem:
        if isinstance(problem, IPCError):
            raise  # a signal handler's
        raise error(problem.errno or 0, doing) from problem


def at_first(found: Found, make: Callable[[int, Any], Socket]) -> Socket:
    """What *make* binds at the first of these addresses that is this machine's, of IPv4 before IPv6.

    Raises:
        IPCError: None is (EADDRNOTAVAIL); or whatever else *make* raises.
    """
    problem: OSError | None = None
    for family, target in sorted(found, key=lambda one: one[0] != AF_INET):
        try:
            return make(family, target)
        except OSError as one:
            if one.errno not in _NOT_HERE:
                raise
            problem = problem or one
    assert problem is not None  # nothing found would have been raised
    raise problem


def everywhere(found: Found, make: Callable[[int, Any, bool], Socket]) -> Socket:
    """What *make* binds at all addresses: by IPv6 for both, or by IPv4 where the kernel has no IPv6."""
    places = dict(found)
    if AF_INET6 in places:
        try:
            return make(AF_INET6, places[AF_INET6], True)
        except OSError as problem:
            if problem.errno not in _NOT_HERE or AF_INET not in places:
                raise
    return make(AF_INET, places[AF_INET], False)


def refused(problem: OSError, doing: str) -> IPCError:
    """What to raise for a socket that cannot be bound."""
    number = problem.errno or 0
    return error(EEXIST if number == EADDRINUSE else number, doing)
