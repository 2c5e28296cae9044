"""Descriptors over Unix sockets, by the standard library; see fallback.py.

Why so much of it is chains of iterators: fallback_descriptors.py.
"""

from __future__ import annotations

import _socket
import os
import select
from array import array
from errno import EBADF, ECONNRESET, EINVAL, EMFILE, ENODATA, ENOPROTOOPT, ENOTCONN, ENOTSUP, EPIPE
from fcntl import ioctl
from itertools import chain, repeat

from .fallback_descriptors import KEY, close_all, close_each, is_one, own
from .fallback_foreign import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from .protocol import Credentials, Incoming

__all__ = (
    "DATAGRAM",
    "LOST",
    "LOST_TABLE_FULL",
    "MOST_FDS",
    "SEQPACKET",
    "STREAM",
    "messages_face",
    "now_message_size",
    "now_pass_credentials",
    "now_peer",
    "now_peer_pidfd",
    "now_receive",
    "now_send",
    "now_socket_is_unix",
    "now_socket_kind",
    "now_socketpair",
)

STREAM = int(_socket.SOCK_STREAM)
DATAGRAM = int(_socket.SOCK_DGRAM)
SEQPACKET = int(_socket.SOCK_SEQPACKET)
MOST_FDS = 253
LOST = 1
LOST_TABLE_FULL = 2

# Not in every _socket module; the same on all the machines we run on.
_SO_PASSPIDFD = 76
_SO_PEERPIDFD = 77
_SCM_PIDFD = 4
_MSG_CMSG_CLOEXEC = 0x40000000
_POLLRDHUP = 0x2000
_FIONREAD = 0x541B

_INT = 4
_UCRED = 12  # pid, uid, gid
_NO_UID = (1 << 32) - 1
_MOST_ADDRESS = 108
_OTHERS = 1024  # bytes of parts that are not ours, see csrc/passing.c
_ROOM = sum(map(_socket.CMSG_SPACE, (MOST_FDS * _INT, _UCRED, _INT))) + _OTHERS


class _Borrowed(_socket.socket):
    """A socket object for a number that somebody else owns.

    The destructor of its base would close that. To detach it first comes too late when a signal
    handler raises just before; to lend it a copy needs a free place in the table, where a full one
    is what we are about to find out. A `__del__` stands in the base's stead, and this one does
    nothing: `int`, since it is written in C, and nothing can come between.
    """

    __slots__ = ()
    __del__ = int


def _borrow(sock: int) -> int | _Borrowed:
    # Non-blocking, it says: else socket.setdefaulttimeout() would change the flags of the descriptor.
    kind = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK
    borrowed: int | _Borrowed = call(_Borrowed, _socket.AF_UNIX, kind, 0, sock, invalid=EBADF)
    return borrowed


def _on(sock: int, method: Callable[..., Any], *arguments: Any) -> Any:
    """What this method of socket objects gives for somebody's socket."""
    borrowed = _borrow(sock)
    return borrowed if isinstance(borrowed, int) else call(method, borrowed, *arguments)


def now_socketpair(kind: int, one: Any, other: Any) -> int:
    sockets = map(_socket.socketpair, (_socket.AF_UNIX,), (kind,), (0,))
    numbers = map(_socket.socket.detach, chain.from_iterable(sockets))
    return int(call(any, map(dict.__setitem__, (one._held, other._held), repeat(KEY), numbers)))


def _option(sock: int, name: int) -> int:
    return int(_on(sock, _socket.socket.getsockopt, _socket.SOL_SOCKET, name))


def now_socket_kind(sock: int) -> int:
    return _option(sock, _socket.SO_TYPE)


def now_socket_is_unix(sock: int) -> int:
    domain = _option(sock, _socket.SO_DOMAIN)
    return domain if domain < 0 else int(domain == _socket.AF_UNIX)


def now_send(
    sock: int, data: bytes, numbers: list[int], credentials: Credentials | None, address: bytes | None
) -> int:
    if len(numbers) > MOST_FDS or len(address or b"") > _MOST_ADDRESS:
        return -EINVAL
    if address and address[0]:
        address = address.partition(b"\0")[0]
        if len(address) == _MOST_ADDRESS:
            return -ENOTSUP  # Python insists on a NUL behind it
    parts: list[Any] = []
    if numbers:
        parts.append((_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array("i", numbers)))
    if credentials is not None:
        who = array("i", credentials[:1]).tobytes() + array("I", credentials[1:]).tobytes()
        parts.append((_socket.SOL_SOCKET, _socket.SCM_CREDENTIALS, who))
    flags = _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL
    return int(_on(sock, _socket.socket.sendmsg, (data,), parts, flags, address or None))


def _sort_out(parts: Iterable[Any]) -> tuple[list[int], list[int], Credentials | None]:
    """What recvmsg(2) brought beside the bytes: descriptors, a pidfd (or why it is none), credentials."""
    rights: list[int] = []
    pidfds: list[int] = []
    who = None
    for level, kind, data in parts:
        if level != _socket.SOL_SOCKET:
            continue
        if kind == _socket.SCM_RIGHTS:
            rights += array("i", data)
        elif kind == _socket.SCM_CREDENTIALS and len(data) >= _UCRED:
            who = _credentials(data)
        elif kind == _SCM_PIDFD and len(data) >= _INT:
            pidfds = list(array("i", data[:_INT]))
    return rights, pidfds, who


def _credentials(data: bytes) -> Credentials:
    pid, (_, uid, gid) = array("i", data)[0], array("I", data)
    return pid, uid, gid


def _is_end(borrowed: _Borrowed, nothing_else: bool) -> bool:
    """What csrc/passing.c says of a message without bytes."""
    kind = call(borrowed.getsockopt, _socket.SOL_SOCKET, _socket.SO_TYPE)
    if kind != SEQPACKET or not nothing_else:
        return bool(kind == STREAM)
    poll = select.poll()
    poll.register(borrowed, _POLLRDHUP)
    state = call(poll.poll, 0)
    unread = call(ioctl, borrowed, _FIONREAD, bytes(_INT))
    return bool(state) and unread == bytes(_INT)


def _why_lost(sock: int) -> int:
    full = call(any, map(os.close, map(os.dup, (sock,)))) == -EMFILE
    return LOST_TABLE_FULL if full else LOST


def _path_or_name(address: Any) -> bytes | None:
    """What Python makes of an address, as it was."""
    if isinstance(address, str):
        return os.fsencode(address)[:_MOST_ADDRESS]
    return address if isinstance(address, bytes) else None


def _again(sock: int, result: int) -> bool:
    """Of a Unix socket, told once; what was sent before is still there. Of others it is the end."""
    return result == -ECONNRESET and now_socket_is_unix(sock) == 1


def _take(borrowed: _Borrowed, size: int, came: list[Any]) -> int:
    """One recvmsg(2), whose result is in this list before anybody looks."""
    flags = _socket.MSG_DONTWAIT | _MSG_CMSG_CLOEXEC
    return int(call(came.extend, map(borrowed.recvmsg, (size,), (_ROOM,), (flags,))))


def now_receive(sock: int, size: int, handle: Any) -> int | Incoming:
    borrowed = _borrow(sock)
    if isinstance(borrowed, int):
        return borrowed
    came: list[Any] = []
    owners: list[Any] = []
    numbers: Iterator[int] | None = None  # of descriptors that nobody owns yet
    try:
        result = _take(borrowed, size, came)
        if _again(sock, result):
            result = _take(borrowed, size, came)
        if result < 0:
            return result
        data, parts, flags, where = came[0]
        rights, pidfds, who = _sort_out(parts)
        no_room = pidfds == [-EMFILE]  # of which no flag tells
        pidfds = list(filter(is_one, pidfds))
        numbers = iter(rights + pidfds)
        got = size + 1 if flags & _socket.MSG_TRUNC else len(data)
        address = _path_or_name(where)
        if flags & _socket.MSG_CTRUNC or no_room:
            lost = LOST_TABLE_FULL if no_room else _why_lost(sock), len(rights)
            close_each(numbers)
            return data, got, [], None, None, address, lost
        if got == 0 and size and _is_end(borrowed, not (rights or pidfds or who)):
            return -EPIPE
        owners += [handle.__new__(handle) for _ in rights + pidfds]
        any(map(dict.__setitem__, [owner._held for owner in owners], repeat(KEY), numbers))
        return data, got, owners[: len(rights)], who, owners[-1] if pidfds else None, address, None
    except BaseException:  # a signal handler's too
        close_each(iter(_descriptors_of(came)) if numbers is None else numbers)
        close_all(owners)
        raise


def _descriptors_of(came: list[Any]) -> list[int]:
    if not came:
        return []
    rights, pidfds, _ = _sort_out(came[0][1])
    return list(filter(is_one, rights + pidfds))


def messages_face(*facts: Any) -> None:
    pass  # no C stands in for anything here


def now_message_size(sock: int) -> int:
    flags = _socket.MSG_PEEK | _socket.MSG_TRUNC | _socket.MSG_DONTWAIT
    # recv_into() does not ask the kernel when there is no room.
    look: Any = _socket.socket.recvmsg_into
    seen = _on(sock, look, (), 0, flags)
    if _again(sock, seen):
        seen = _on(sock, look, (), 0, flags)
    return seen if isinstance(seen, int) else int(seen[0])


def now_pass_credentials(sock: int, credentials: bool, pidfd: bool) -> int:
    set_option: Any = _socket.socket.setsockopt
    result = _on(sock, set_option, _socket.SOL_SOCKET, _SO_PASSPIDFD, int(pidfd))
    if result == -ENOPROTOOPT:
        result = -ENOTSUP if pidfd else 0
    return int(result or _on(sock, set_option, _socket.SOL_SOCKET, _socket.SO_PASSCRED, int(credentials)))


def now_peer(sock: int) -> int | Credentials:
    data = _on(sock, _socket.socket.getsockopt, _socket.SOL_SOCKET, _socket.SO_PEERCRED, _UCRED)
    if isinstance(data, int):
        return data
    peer = _credentials(data)
    return -ENOTCONN if peer[1] == _NO_UID else peer


def now_peer_pidfd(into: Any, sock: int) -> int:
    borrowed = _borrow(sock)
    if isinstance(borrowed, int):
        return borrowed
    result = own(into, borrowed.getsockopt, _socket.SOL_SOCKET, _SO_PEERPIDFD)
    return {-ENOPROTOOPT: -ENOTSUP, -ENODATA: -ENOTCONN}.get(result, result)
