"""Messages with descriptors over a socket (sendmsg(2), recvmsg(2), unix(7)).

Every call first tries without waiting, with the GIL held; only what would have to wait goes the slow
way, `_deadline` and poll(2). The socket's own timeout and O_NONBLOCK do not matter: a call waits as
long as its `timeout` says.
"""

from __future__ import annotations

import os
from errno import EACCES, EAGAIN, EBADF, EINTR, EMFILE, EMSGSIZE, ETIMEDOUT, ETOOMANYREFS
from time import monotonic_ns

from .. import _deadline
from .._backend import ops
from .._descriptor import Handle, number_of
from .._pidfd import Pidfd
from ..errors import DescriptorsLostError, error, limit_error, most_open
from .kinds import Socket, family_of, is_unix, kind_of, kind_of_socket
from .peers import NOBODY, Peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Any, Union

    from .._backend.protocol import Credentials, Incoming
    from .._descriptor import HasNumber
    from ..errors import IPCError

    Address = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]

_SCM_MAX_FD = ops.MOST_FDS

# What one read of a stream takes at the most: copied with the GIL held.
_FROM_STREAM = 65536

# Of what is left, so much is cut out for each further write to a stream: what a socket may have room for.
_STREAM_PIECE = 1 << 18

_WMEM_MAX = "/proc/sys/net/core/wmem_max"
_LARGEST_PIECE = 8 << 20


def _longest_message() -> int:
    """What a sender can send at the most: its SO_SNDBUF, which is twice wmem_max.

    With CAP_NET_ADMIN it can be more (SO_SNDBUFFORCE), up to what the kernel allocates in one piece.
    """
    try:
        with open(_WMEM_MAX) as file:
            most = int(file.read())
    except (OSError, ValueError):  # in a network namespace of an older kernel
        most = 0
    return max(2 * most, _LARGEST_PIECE)


# Room that stays empty costs nothing.
_LONGEST = _longest_message()

_ALREADY = 0  # a deadline that has passed: try, do not wait


class Message:
    """What `receive` gives; it owns the descriptors, and closes what is left of them with `close()`.

    Attributes:
        data: Its bytes.
        fds: A `Handle` for each descriptor, in the order in which they were sent.
        peer: Who sent it, if the socket was told to ask (`pass_credentials`); else None.
        address: Of a datagram from a bound socket: its path, or the name after a NUL byte; else None.
    """

    __slots__ = ("address", "data", "fds", "peer")

    def __init__(self, data: bytes, fds: list[Handle], peer: Peer | None, address: bytes | None) -> None:
        self.data = data
        self.fds = fds
        self.peer = peer
        self.address = address

    def close(self) -> None:
        """Close the descriptors that nobody has closed, detached or taken over."""
        ops.close_all(self.fds)
        if self.peer is not None:
            self.peer.close()

    def __enter__(self) -> Message:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<message of {len(self.data)} bytes and {len(self.fds)} descriptors>"


# ---- sending ----


@ops.stand_in("(sock, data, descriptors=(), timeout=None, *, address=None, credentials=None)")
def send(
    sock: HasNumber,
    data: Any,
    descriptors: Iterable[HasNumber] = (),
    timeout: float | None = None,
    *,
    address: Address | None = None,
    credentials: Credentials | None = None,
) -> None:
    """Send bytes and descriptors, which stay open here, as one message.

    It is one sendmsg(2); a stream that takes only a part of the bytes gets the rest after it. Where
    bytes go without a message's bounds, on a stream, the descriptors arrive with the first of them.

    Args:
        sock: A connected Unix socket; or, without descriptors, any other.
        data: Any bytes-like object. A stream needs at least one byte, or the kernel would drop the
            descriptors; so does a packet without descriptors, which would look like the end.
        descriptors: Numbers, or what has a `fileno()`: files, sockets, handles, `Memory`. At most 253.
        timeout: How many seconds to wait for room.
        address: Where a datagram goes: a path, or an abstract name after a NUL byte.
        credentials: The pid, uid and gid to show, each one that this process may claim. A receiver
            that has called `pass_credentials` sees its sender without.

    Raises:
        WouldBlockError: With `timeout=0`: there is no room. Of a stream that has taken some bytes, its
            `characters_written` says how many, and the descriptors went with them.
        TimedOutError: There was no room in time; `characters_written` likewise.
        LimitError: More than 253 descriptors; a message longer than SO_SNDBUF; or more descriptors on
            their way than RLIMIT_NOFILE lets this user have.
        PeerGoneError: The other side has closed.
        ClosedError: The socket, or one of the descriptors, is closed; nothing was sent.
        AccessError: Credentials that this process may not claim.
    """
    _deadline.valid(timeout)
    number = number_of(sock)
    kept = tuple(descriptors)  # of a generator, each would be closed before it is sent
    numbers = [number_of(one) for one in kept]
    if type(data) is not bytes:
        data = memoryview(data).tobytes()
    if numbers or credentials is not None:
        _refuse_what_would_vanish(sock, number, len(numbers))
    if not data:
        _refuse_empty(sock, number, bool(numbers or credentials))
    where = None if address is None else _sun_path(address, kind_of(sock, number))
    if credentials is not None:
        credentials = _claimed(*credentials)
    sent = ops.now_send(number, data, numbers, credentials, where)
    if sent != len(data):
        _send_rest(sent, sock, data, numbers, credentials, where, timeout)


def _not_sent(result: int, sock: HasNumber, data: bytes, descriptors: list[HasNumber] | None) -> None:
    """Raise what C was told, where it stood in."""
    numbers = [number_of(one) for one in descriptors or ()]
    raise _send_error(result, number_of(sock), data, 0, numbers)


def _refuse_what_would_vanish(sock: HasNumber, number: int, count: int) -> None:
    if count > _SCM_MAX_FD:
        doing = f"send {count} descriptors at once (send_bundle() can)"
        raise limit_error(EMSGSIZE, doing, "SCM_MAX_FD", _SCM_MAX_FD, None)
    if not is_unix(sock, number):
        raise ValueError(f"descriptors and credentials go over Unix sockets only, not over {sock!r}")


def _refuse_empty(sock: HasNumber, number: int, accompanied: bool) -> None:
    kind = kind_of(sock, number)
    if kind == ops.STREAM:
        raise ValueError("on a stream, descriptors need at least one byte to go with")
    if kind == ops.SEQPACKET and not accompanied:
        raise ValueError("an empty packet without descriptors would look like the end of the connection")


def _claimed(pid: int, uid: int, gid: int) -> Credentials:
    for value, most in (pid, 1 << 31), (uid, (1 << 32) - 1), (gid, (1 << 32) - 1):
        if not isinstance(value, int):
            raise TypeError(f"credentials are a pid, a uid and a gid, not {value!r}")
        if not 0 <= value < most:  # cut to its 32 bits it would be another's: 1 << 32 is root
            raise ValueError(f"there is no process, user or group {value}")
    return pid, uid, gid


def _sun_path(address: Address, kind: int) -> bytes:
    if kind != ops.DATAGRAM:
        raise ValueError("only datagrams go to an address")
    path = os.fsencode(address)
    if not 0 < len(path) <= 108 or (path[:1] != b"\0" and (b"\0" in path or len(path) > 107)):
        raise ValueError(f"the address of a Unix socket is 1 to 107 bytes without NUL, not {path!r}")
    return path


def _send_rest(
    sent: int,
    sock: HasNumber,
    data: bytes,
    numbers: list[int],
    credentials: Credentials | None,
    where: bytes | None,
    timeout: float | None,
) -> None:
    """Go on after a first try that has sent only a part, or has failed."""
    number = number_of(sock)
    deadline = _ALREADY if timeout == 0 else _deadline.after(timeout)
    left, written, nap, asked = data, 0, None, numbers
    while True:
        result = 0
        if sent >= 0:  # a part, on a stream, and the descriptors with it
            written += sent
            if written == len(data):
                return
            left = data[written : written + _STREAM_PIECE]
            numbers, credentials, nap = [], None, None
        elif sent == -EAGAIN:
            result, nap = _wait_for_room(number, deadline, nap)
        elif sent != -EINTR:
            result = sent
        if result < 0 and result != -EINTR:
            raise _send_error(result, number, data, written, asked)
        number = number_of(sock)  # asked anew: if it was closed, its number may be a stranger's by now
        sent = ops.now_send(number, left, numbers, credentials, where)


def _wait_for_room(number: int, deadline: int, nap: float | None) -> tuple[int, float]:
    # Of a datagram to somebody whom the socket is not connected to, poll(2) does not know whether there
    # is room over there. So after it was wrong once, sleep a little each time.
    if not deadline:
        return -EAGAIN, 0.0
    length = 0.0 if nap is None else _deadline.nap(nap, deadline)
    if monotonic_ns() >= deadline:
        return -ETIMEDOUT, length
    return ops.fd_wait(number, ops.WRITABLE, deadline), length


def _send_error(result: int, number: int, data: bytes, written: int, numbers: list[int]) -> IPCError:
    doing = f"send {len(data)} bytes and {len(numbers)} descriptors over descriptor {number}"
    problem: IPCError
    if result == -EMSGSIZE:
        problem = limit_error(EMSGSIZE, doing, "SO_SNDBUF", None, _WMEM_MAX)
    elif result == -ETOOMANYREFS:
        doing = f"{doing}: too many of this user's are on their way"
        problem = limit_error(ETOOMANYREFS, doing, "RLIMIT_NOFILE", most_open(), None)
    elif result == -EBADF:
        problem = error(EBADF, f"{doing}: {_closed_one(number, numbers)} is not open")
    else:
        problem = error(-result, doing)
    if written or result in (-EAGAIN, -ETIMEDOUT):
        problem.characters_written = written
    return problem


def _closed_one(number: int, numbers: list[int]) -> str:
    for one in (number, *numbers):
        try:
            os.fstat(one)
        except OSError:
            return f"descriptor {one}"
    return "one of them"


# ---- receiving ----


@ops.stand_in("(sock, max_size=None, timeout=None)")
def receive(sock: HasNumber, max_size: int | None = None, timeout: float | None = None) -> Message:
    """Receive a message and the descriptors that came with it.

    On a stream it is the bytes that are there, 64 KiB at the most, up to those that came with the next
    descriptors.

    Args:
        sock: Any socket.
        max_size: Refuse a longer message (it stays where it is; on a stream: take no more bytes than
            that). None takes any. Where several receive from one socket, a longer message may come
            in between two calls, and be cut.
        timeout: How many seconds to wait.

    Raises:
        WouldBlockError: With `timeout=0`: there is none.
        TimedOutError: There was none in time.
        PeerGoneError: The end: the other side has closed, and all that it had sent was received. With
            ECONNRESET, which only other sockets than Unix ones tell: it broke off.
        LimitError: The message is longer than *max_size*.
        DescriptorsLostError: Some descriptors did not fit into this process, or were kept back.
    """
    _deadline.valid(timeout)
    if max_size is not None and not isinstance(max_size, int):
        raise TypeError(f"max_size is an int, not {type(max_size).__name__}")
    if max_size is not None and max_size < 1:
        raise ValueError(f"max_size is at least 1, not {max_size}")
    number = number_of(sock)
    kind = kind_of(sock, number)
    came = _receive_once(number, kind, max_size)
    if came == -EAGAIN:
        came = _wait_for_message(sock, kind, max_size, timeout)
    if isinstance(came, int):
        raise error(-came, f"receive from descriptor {number}")
    return _message(came)


def _receive_once(number: int, kind: int, max_size: int | None) -> int | Incoming:
    if kind == ops.STREAM:
        return ops.now_receive(number, min(max_size or _FROM_STREAM, _FROM_STREAM), Handle)
    if max_size is None:
        return ops.now_receive(number, _LONGEST, Handle)
    return _receive_within(number, max_size)


def _receive_within(number: int, max_size: int) -> int | Incoming:
    size = ops.now_message_size(number)
    if size > max_size:
        doing = f"receive a message of {size} bytes from descriptor {number}; it is still there"
        raise limit_error(EMSGSIZE, doing, "max_size", max_size, None)
    return size if size < 0 else ops.now_receive(number, min(max_size, max(size, _LONGEST)), Handle)


def _wait_for_message(
    sock: HasNumber, kind: int, max_size: int | None, timeout: float | None
) -> int | Incoming:
    if timeout == 0:
        return -EAGAIN
    deadline = _deadline.after(timeout)
    length = 0.0
    while True:
        came: int | Incoming = ops.fd_wait(number_of(sock), ops.READABLE, deadline)
        if came == 0:
            # Asked anew: if it was closed meanwhile, its number may be a stranger's by now.
            came = _receive_once(number_of(sock), kind, max_size)
        if came == -EAGAIN:
            # Another has taken what we were woken for; or it is a datagram socket that was shut down for
            # reading, which is readable for ever, and brings nothing.
            if monotonic_ns() >= deadline:
                return -ETIMEDOUT
            length = _deadline.nap(length, deadline)
        elif came != -EINTR:
            return came


def _message(came: Incoming) -> Message:
    data, size, handles, credentials, pidfd, address, lost = came
    if lost:
        raise _lost(data, *lost)
    peer = None
    if credentials or pidfd:
        peer = Peer(*(credentials or NOBODY), Pidfd(pidfd) if pidfd else None)
    message = Message(data, handles, peer, address)
    if size > len(data):
        message.close()
        doing = "receive a message; the end of it, and its descriptors, are gone"
        raise limit_error(EMSGSIZE, doing, "max_size", len(data), None)
    return message


def _not_received(result: int, sock: HasNumber) -> None:
    raise error(-result, f"receive from descriptor {number_of(sock)}")


def _lost(data: bytes, why: int, arrived: int) -> DescriptorsLostError:
    limit: str | None = None
    text = "for a reason that the kernel keeps to itself; it may be a security module"
    if why == ops.LOST_TABLE_FULL:
        limit, text = "RLIMIT_NOFILE", f"since RLIMIT_NOFILE is {most_open()}"
    text = f"only {arrived} descriptors of more have arrived, {text}; those are closed again"
    problem = DescriptorsLostError(EMFILE if limit else EACCES, text)
    problem.limit, problem.value = limit, most_open() if limit else None
    problem.data, problem.arrived = data, arrived
    return problem


ops.messages_face(
    *(Message, Handle, Socket, Socket.fileno, family_of, kind_of_socket),
    *(_message, _not_sent, _not_received, _FROM_STREAM, _LONGEST),
)
