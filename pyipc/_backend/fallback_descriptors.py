"""Descriptors, pidfds and passing them, over the standard library; see fallback.py.

A descriptor has one owner from the moment it exists, though a signal handler may raise at any time
(csrc/descriptors.c says why). CPython runs handlers between two steps of its own loop, so each call
that gives a number to Python code can lose it: `number = os.dup(7)` is two steps, and no `try` is
early enough to help. The ways out:

- Blocking signals meanwhile costs two system calls more, and a handler that is due already runs
  all the same. Other objects that own what they make take sockets only (`socket`), or cannot give
  the number back without being raced (`FileIO`, `epoll`).
- A chain of iterators that are written in C is one step, however much it does: `dict.__setitem__`
  by `map` stores what another `map` makes, and `os.close` by `map` closes what `dict.pop` takes out.

So an owner is a dict that holds its number or nothing, and whoever makes, moves or closes one uses
such chains. They look odd; to write them out as statements breaks them. What a received message
brings is in a list before Python sees it, and the number of each is taken from one iterator, by
its owner or by `os.close`, so that neither forgets nor repeats one.

What remains: a second handler that raises while the consequences of the first are cleaned up may
leave a descriptor open; so may one that raises just as an owner is dropped that is open.
"""

from __future__ import annotations

import _socket
import os
import select
import sys
from _operator import attrgetter
from _warnings import warn
from _weakref import ref
from array import array
from errno import (
    EAGAIN,
    EBADF,
    ECONNRESET,
    EINTR,
    EINVAL,
    EMFILE,
    ENODATA,
    ENOPROTOOPT,
    ENOTCONN,
    ENOTSUP,
    EPIPE,
    ETIMEDOUT,
)
from fcntl import F_GETFD, F_GETFL, F_SETFD, FD_CLOEXEC, fcntl, ioctl
from itertools import chain, repeat
from time import monotonic_ns

from .fallback_foreign import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from .protocol import Credentials, Exit, Incoming

__all__ = (
    "DATAGRAM",
    "LOST",
    "LOST_TABLE_FULL",
    "MOST_FDS",
    "READABLE",
    "SEQPACKET",
    "STREAM",
    "WRITABLE",
    "Descriptor",
    "close_all",
    "fd_open",
    "fd_wait",
    "messages_face",
    "now_adopt",
    "now_duplicate",
    "now_eventfd",
    "now_eventfd_read",
    "now_eventfd_write",
    "now_message_size",
    "now_move",
    "now_pass_credentials",
    "now_peer",
    "now_peer_pidfd",
    "now_pidfd_getfd",
    "now_pidfd_open",
    "now_pidfd_send",
    "now_pidfd_status",
    "now_receive",
    "now_send",
    "now_socket_is_unix",
    "now_socket_kind",
    "now_socketpair",
)

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
STREAM = int(_socket.SOCK_STREAM)
DATAGRAM = int(_socket.SOCK_DGRAM)
SEQPACKET = int(_socket.SOCK_SEQPACKET)
MOST_FDS = 253
LOST = 1
LOST_TABLE_FULL = 2

# ---- owners ----

_KEY = "number"
_is_one = (-1).__lt__  # of a number


class Descriptor:
    """The owner of a descriptor, or of none: see protocol.py."""

    __slots__ = ("__weakref__", "_held", "_last")
    _held: dict[str, int]
    _last: Callable[[], None]

    def __new__(cls, *arguments: object, **named: object) -> Descriptor:
        self = object.__new__(cls)
        held: dict[str, int] = {}
        still_open: Iterator[int] = filter(_is_one, map(held.get, (_KEY,), (-1,)))  # looks when asked
        self._held = held
        self._last = chain(map(_dropped, (ref(self),), (held,), still_open), (None,)).__next__
        return self

    # What a signal handler raises in a destructor goes nowhere, and a destructor in Python that ran
    # for every owner would swallow one in ten. This one is a call in C, unless the owner is open still.
    __del__ = property(attrgetter("_last"))

    @property
    def _number(self) -> int:
        return self._held.get(_KEY, -1)

    def fileno(self) -> int:
        """Its number, which stays this object's to close.

        Raises:
            ClosedError: It is closed.
        """
        number = self._number
        if number < 0:
            self._refuse()  # type: ignore[attr-defined]
        return number

    def _close(self) -> int:
        return int(call(any, map(os.close, _out_of([self]))))

    def _take(self) -> int:
        return self._held.pop(_KEY, -1)


def _dropped(owner: ref[Descriptor], held: dict[str, int], number: int) -> None:
    try:
        who = owner()  # None of garbage, to which references are dead by now
        name = f"<descriptor {number}>" if who is None else repr(who)
        warn(f"{name} was dropped without close()", ResourceWarning, 2, who)
    finally:
        call(os.close, held.pop(_KEY, -1))


def _out_of(owners: Iterable[Any]) -> Iterator[int]:
    """The numbers of these, each taken from its owner as it is asked for."""
    return filter(_is_one, map(dict.pop, [owner._held for owner in owners], repeat(_KEY), repeat(-1)))


def own(into: Any, make: Callable[..., Any], *arguments: Any) -> int:
    """Let it own what this function makes, which must have no Python in it."""
    made = map(make, *zip(arguments))
    return int(call(any, map(into._held.__setitem__, (_KEY,), made)))


def _close_each(numbers: Iterator[int]) -> None:
    while call(any, map(os.close, numbers)) < 0:
        pass  # that one is closed, whatever close(2) had to say of it


def now_adopt(into: Any, number: int) -> int:
    flags = call(fcntl, number, F_GETFD, invalid=EBADF)
    if flags >= 0 and not flags & FD_CLOEXEC:
        flags = call(fcntl, number, F_SETFD, flags | FD_CLOEXEC)
    if flags < 0:
        return int(flags)
    into._held[_KEY] = number
    return 0


def now_duplicate(into: Any, number: int) -> int:
    return own(into, os.dup, number)  # which is F_DUPFD_CLOEXEC, for all its name


def fd_open(into: Any, path: bytes, flags: int) -> int:
    if flags & os.O_CREAT or flags & os.O_TMPFILE == os.O_TMPFILE:
        return -EINVAL
    return own(into, os.open, path, flags)  # close-on-exec, as all that Python opens


def now_move(source: Any, into: Any) -> int:
    return min(next(map(into._held.setdefault, (_KEY,), _out_of([source])), -EBADF), 0)


def close_all(handles: list[Any]) -> None:
    _close_each(_out_of(handles))


# select.poll takes a wait up again itself after a signal, and nothing of the standard library gets
# another thread out of it: so close() in another thread waits for this net, and it is a fine one.
_NET_NS = 100_000_000


def fd_wait(number: int, events: int, deadline: int) -> int:
    if number < 0:
        return -EBADF
    poll = select.poll()
    poll.register(number, events & (READABLE | WRITABLE))
    left = max(deadline - monotonic_ns(), 0)
    found = call(poll.poll, min(left, _NET_NS) / 1e6)
    if isinstance(found, int):
        return found
    if not found:
        return -ETIMEDOUT if left < _NET_NS else -EINTR
    return -EBADF if found[0][1] & select.POLLNVAL else 0


# ---- eventfds and pidfds ----

_EVENTFD_BYTES = 8
_MOST_COUNTED = (1 << 64) - 2


def now_eventfd(into: Any, initial: int, semaphore: bool) -> int:
    if sys.version_info < (3, 10):
        return -ENOTSUP
    flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK | (os.EFD_SEMAPHORE if semaphore else 0)
    return own(into, os.eventfd, initial, flags)


def _counter_of(number: int) -> int:
    try:
        with open(f"/proc/self/fdinfo/{number}") as lines:
            label = "eventfd-count:"
            return next((int(line.split()[1], 16) for line in lines if line.startswith(label)), -EINVAL)
    except OSError as problem:
        if problem.filename is None:  # a signal handler's
            raise
        return -(problem.errno or EBADF)


def _will_not_wait(number: int, needed: int) -> int:
    """0, or -EAGAIN if it would: to read (needed is 0), or to add so much. See csrc/descriptors.c."""
    flags = int(call(fcntl, number, F_GETFL, invalid=EBADF))
    if flags < 0 or flags & os.O_NONBLOCK:
        return min(flags, 0)
    value = _counter_of(number)
    if value < 0:
        return value
    return 0 if (value <= _MOST_COUNTED - needed if needed else value > 0) else -EAGAIN


# os.eventfd_read() tells a read of fewer bytes by an errno of long ago.
def now_eventfd_read(eventfd: Any) -> int:
    number = eventfd._number
    result: int | bytes = _will_not_wait(number, 0) or call(os.read, number, _EVENTFD_BYTES)
    if isinstance(result, int):
        return result
    return int.from_bytes(result, sys.byteorder) if len(result) == _EVENTFD_BYTES else -EINVAL


def now_eventfd_write(eventfd: Any, value: int) -> int:
    if value > _MOST_COUNTED:
        return -EINVAL
    number = eventfd._number
    data = array("Q", (value,))
    result = _will_not_wait(number, value) if value else 0
    return min(result or int(call(os.write, number, data)), 0)


def now_pidfd_open(into: Any, pid: int) -> int:
    if not hasattr(os, "pidfd_open"):  # a Python that was built where Linux was older than 5.3
        return -ENOTSUP
    return own(into, os.pidfd_open, pid)


def now_pidfd_send(pidfd: Any, signal: int) -> int:
    import signal as signals  # which brings enum

    if not hasattr(signals, "pidfd_send_signal"):
        return -ENOTSUP
    return int(call(signals.pidfd_send_signal, pidfd._number, signal))


_BY_PIDFD = 3  # os.P_PIDFD, where Python knows that


def now_pidfd_status(pidfd: Any, reap: bool) -> int | Exit:
    number = pidfd._number
    if number < 0:
        return -EBADF
    ended = call(os.waitid, _BY_PIDFD, number, os.WEXITED | os.WNOHANG | (0 if reap else os.WNOWAIT))
    if isinstance(ended, int):
        return ended or -EAGAIN
    status, exited = ended.si_status, ended.si_code == os.CLD_EXITED
    return ended.si_pid, status if exited else -1, 0 if exited else status, ended.si_code == os.CLD_DUMPED


def now_pidfd_getfd(into: Any, pidfd: Any, theirs: int) -> int:
    return -ENOTSUP


# ---- over Unix sockets ----

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


def now_socketpair(kind: int, one: Any, other: Any) -> int:
    sockets = map(_socket.socketpair, (_socket.AF_UNIX,), (kind,), (0,))
    numbers = map(_socket.socket.detach, chain.from_iterable(sockets))
    return int(call(any, map(dict.__setitem__, (one._held, other._held), repeat(_KEY), numbers)))


def _option(sock: int, name: int) -> int:
    borrowed = _borrow(sock)
    if isinstance(borrowed, int):
        return borrowed
    return int(call(borrowed.getsockopt, _socket.SOL_SOCKET, name))


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
    borrowed = _borrow(sock)
    if isinstance(borrowed, int):
        return borrowed
    parts: list[Any] = []
    if numbers:
        parts.append((_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array("i", numbers)))
    if credentials is not None:
        who = array("i", credentials[:1]).tobytes() + array("I", credentials[1:]).tobytes()
        parts.append((_socket.SOL_SOCKET, _socket.SCM_CREDENTIALS, who))
    flags = _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL
    return int(call(borrowed.sendmsg, (data,), parts, flags, address or None))


def _sort_out(parts: Iterable[Any]) -> tuple[list[int], list[int], Credentials | None]:
    """What recvmsg(2) brought beside the bytes: descriptors, the pidfd in a list of its own, credentials."""
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
            pidfds = list(filter(_is_one, array("i", data[:_INT])))  # a negative one says why it is none
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
        if result == -ECONNRESET:  # told once; what was sent before is still there
            result = _take(borrowed, size, came)
        if result < 0:
            return result
        data, parts, flags, where = came[0]
        rights, pidfds, who = _sort_out(parts)
        numbers = iter(rights + pidfds)
        got = size + 1 if flags & _socket.MSG_TRUNC else len(data)
        address = _path_or_name(where)
        if flags & _socket.MSG_CTRUNC:
            lost = _why_lost(sock), len(rights)
            _close_each(numbers)
            return data, got, [], None, None, address, lost
        if got == 0 and size and _is_end(borrowed, not (rights or pidfds or who)):
            return -EPIPE
        owners += [handle.__new__(handle) for _ in rights + pidfds]
        any(map(dict.__setitem__, [owner._held for owner in owners], repeat(_KEY), numbers))
        return data, got, owners[: len(rights)], who, owners[-1] if pidfds else None, address, None
    except BaseException:
        _close_each(iter(_descriptors_of(came)) if numbers is None else numbers)
        close_all(owners)
        raise


def _descriptors_of(came: list[Any]) -> list[int]:
    if not came:
        return []
    rights, pidfds, _ = _sort_out(came[0][1])
    return rights + pidfds


def messages_face(*facts: Any) -> None:
    pass  # no C stands in for anything here


def now_message_size(sock: int) -> int:
    borrowed = _borrow(sock)
    if isinstance(borrowed, int):
        return borrowed
    flags = _socket.MSG_PEEK | _socket.MSG_TRUNC | _socket.MSG_DONTWAIT
    # recv_into() does not ask the kernel when there is no room.
    seen = call(borrowed.recvmsg_into, (), 0, flags)
    if seen == -ECONNRESET:  # as in now_receive()
        seen = call(borrowed.recvmsg_into, (), 0, flags)
    return seen if isinstance(seen, int) else int(seen[0])


def now_pass_credentials(sock: int, credentials: bool, pidfd: bool) -> int:
    borrowed = _borrow(sock)
    if isinstance(borrowed, int):
        return borrowed
    result = call(borrowed.setsockopt, _socket.SOL_SOCKET, _SO_PASSPIDFD, int(pidfd))
    if result == -ENOPROTOOPT:
        result = -ENOTSUP if pidfd else 0
    return int(result or call(borrowed.setsockopt, _socket.SOL_SOCKET, _socket.SO_PASSCRED, int(credentials)))


def now_peer(sock: int) -> int | Credentials:
    borrowed = _borrow(sock)
    if isinstance(borrowed, int):
        return borrowed
    data = call(borrowed.getsockopt, _socket.SOL_SOCKET, _socket.SO_PEERCRED, _UCRED)
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
