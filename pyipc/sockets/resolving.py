"""Names of hosts and services to addresses, by a deadline (getaddrinfo(3))."""

from __future__ import annotations

import _socket
from errno import EADDRNOTAVAIL, EAGAIN, EHOSTUNREACH, ENOENT, ETIMEDOUT

from .. import _deadline
from ..errors import error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..errors import IPCError

    Found = list[tuple[int, Any]]

_NO_SUCH = (_socket.EAI_NONAME, _socket.EAI_SERVICE, getattr(_socket, "EAI_NODATA", _socket.EAI_NONAME))


def resolve(host: str, port: str, kind: int, deadline: int, doing: str, *, passive: bool = False) -> Found:
    """Families and addresses, as the `socket` module has them, the best first.

    Args:
        host: A name, or an address of IPv4 or IPv6; "" is this host, or any if *passive*.
        port: A number or the name of a service (services(5)).
        kind: SOCK_STREAM or SOCK_DGRAM.
        deadline: As `_deadline` has them.
        doing: What for, for errors.
        passive: To bind it.

    Raises:
        NotFoundError: There is no such host or service.
        TimedOutError: Nobody answered in time.
        IPCError: Nobody could be asked (EHOSTUNREACH).
    """
    flags = _socket.AI_PASSIVE if passive else 0
    try:
        return _look(host, port, kind, flags | _socket.AI_NUMERICHOST)
    except _socket.gaierror as problem:
        if problem.errno == _socket.EAI_SERVICE:
            raise _not_found(problem, doing) from None
    except UnicodeError as problem:  # of the codec idna: a label that is too long, or surrogates
        raise error(ENOENT, f"{doing}: no name of a host") from problem
    try:
        if deadline == _deadline.FOREVER:
            return _look(host, port, kind, flags)
        return _look_until(deadline, host, port, kind, flags, doing)
    except _socket.gaierror as problem:
        raise _not_found(problem, doing) from problem


def _look(host: str, port: str, kind: int, flags: int) -> Found:
    # As bytes: of text, even of ASCII, the codec idna is asked, whose import takes milliseconds, and files.
    name = host.encode() if host.isascii() else host
    found = _socket.getaddrinfo(name or None, port, _socket.AF_UNSPEC, kind, 0, flags)
    return [(family, where) for family, _, _, _, where in found]


def _look_until(deadline: int, host: str, port: str, kind: int, flags: int, doing: str) -> Found:
    """getaddrinfo(3) has no timeout, and nothing interrupts it: a thread asks, and is left behind if late."""
    from _thread import start_new_thread

    from .._simple_queue import Empty, SimpleQueue

    answers: SimpleQueue[Any] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_look(host, port, kind, flags))
        except Exception as problem:  # the caller's
            answers.put(problem)

    try:
        start_new_thread(ask, ())
    except RuntimeError as problem:
        raise limit_error(EAGAIN, f"{doing}: find {host!r}", "RLIMIT_NPROC", None, None) from problem
    try:
        answer = answers.get(timeout=max(0.0, _deadline.left(deadline)))
    except Empty:
        raise error(ETIMEDOUT if deadline else EAGAIN, f"{doing}: find {host!r}") from None
    if isinstance(answer, Exception):
        raise answer
    found: Found = answer
    return found


def _not_found(problem: OSError, doing: str) -> IPCError:
    number = {
        _socket.EAI_AGAIN: EHOSTUNREACH,
        getattr(_socket, "EAI_ADDRFAMILY", None): EADDRNOTAVAIL,
    }.get(problem.errno, ENOENT if problem.errno in _NO_SUCH else EHOSTUNREACH)
    return error(number, f"{doing}: {problem.strerror}")
