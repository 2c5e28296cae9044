"""More descriptors than one message can hold, between two ends that are both pyipc.

A bundle goes as several messages, its parts, each with a header (`_HEADER`) before its bytes. The
header says of the part which it is and what it holds, and of the bundle what it is to become; what
the other end says there is checked against what really came.

A bundle that its sender, or its receiver, gives up half-way is known there: the call raised. Over
packets both can go on: the parts of the old one are passed over. Over a stream they cannot, for
nobody knows where the next part begins.
"""

from __future__ import annotations

import os
from errno import EMSGSIZE, EPROTO, ETIMEDOUT
from struct import Struct

from .. import _deadline
from .._backend import ops
from .._descriptor import number_of
from ..errors import error, limit_error
from .kinds import kind_of
from .messages import Message, receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .._descriptor import HasNumber
    from ..errors import IPCError

# Magic and version; which part, of how many; its descriptors and bytes; a random number that all
# parts of a bundle share.
_HEADER = Struct("<4sIIIIQ")
_MAGIC = b"pyB1"

# Of one part: well below what SO_SNDBUF usually is, so that the kernel takes it whole.
_BYTES_PER_PART = 32768

_MOST_BYTES = 64 << 20


def send_bundle(
    sock: HasNumber, data: Any, descriptors: Iterable[HasNumber] = (), timeout: float | None = None
) -> None:
    """Send bytes and any number of descriptors, for `receive_bundle` at the other end.

    Args:
        sock: A connected Unix socket: seqpacket, or a stream that carries nothing else meanwhile.
        data: Any bytes-like object.
        descriptors: Numbers, or what has a `fileno()`.
        timeout: How many seconds all of it may take.

    Raises:
        WouldBlockError: With `timeout=0`: there is no room for all of it.
        TimedOutError: There was no room in time; what went of it will not arrive.
        LimitError: More descriptors on their way than RLIMIT_NOFILE lets this user have; or a packet
            of 32 KiB is more than SO_SNDBUF.
        PeerGoneError: The other side has closed.
    """
    _usable(sock)
    kept = tuple(descriptors)  # of a generator, each would be closed before it is sent
    numbers = [number_of(one) for one in kept]
    data = memoryview(data).tobytes()
    # Rounded up.
    count = max(1, -(-len(numbers) // ops.MOST_FDS), -(-len(data) // _BYTES_PER_PART))
    bundle = int.from_bytes(os.urandom(8), "little")
    left = _Countdown(timeout)
    for part in range(count):
        some = numbers[part * ops.MOST_FDS : (part + 1) * ops.MOST_FDS]
        piece = data[part * _BYTES_PER_PART : (part + 1) * _BYTES_PER_PART]
        header = _HEADER.pack(_MAGIC, part, count, len(some), len(piece), bundle)
        send(sock, header + piece, some, left())


def receive_bundle(sock: HasNumber, timeout: float | None = None, *, max_size: int = _MOST_BYTES) -> Message:
    """Receive what `send_bundle` has sent; the message owns its descriptors.

    Args:
        sock: The other end. Nobody else receives from it.
        timeout: How many seconds to wait for all of it.
        max_size: Refuse a bundle of more bytes; it is lost.

    Raises:
        WouldBlockError: With `timeout=0`: not all of it is there.
        TimedOutError: Not all of it came in time; what came is lost.
        PeerGoneError: The other side has closed.
        LimitError: More bytes than *max_size*.
        DescriptorsLostError: Some descriptors did not fit into this process, or were kept back.
        IPCError: EPROTO: what came is no bundle.
    """
    kind = _usable(sock)
    if not isinstance(max_size, int):
        raise TypeError(f"max_size is an int, not {type(max_size).__name__}")
    if max_size < 0:
        raise ValueError(f"max_size is at least 0, not {max_size}")
    left = _Countdown(timeout)
    bundle = _Bundle(max_size)
    try:
        while not bundle.complete:
            bundle.add(*_receive_part(sock, kind, left))
    except BaseException:  # a signal handler's too
        bundle.whole.close()
        raise
    bundle.whole.data = b"".join(bundle.pieces)
    return bundle.whole


class _Bundle:
    """What has come of a bundle so far."""

    def __init__(self, max_size: int) -> None:
        self.whole = Message(b"", [], None, None)
        self.pieces: list[bytes] = []
        self.complete = False
        self._left = max_size
        self._max_size = max_size
        self._next: tuple[int, int, int] | None = None  # part, count, bundle

    def add(self, part: int, count: int, bundle: int, message: Message) -> None:
        if part == 0:
            self.whole.close()  # what came before, its sender has given up
            self.whole, self.pieces, self._left = message, [], self._max_size
        elif (part, count, bundle) == self._next:
            _take_over(self.whole, message)
        else:
            message.close()  # the rest of one that was given up here
            return
        self.pieces.append(message.data)
        self._left -= len(message.data)
        if self._left < 0:
            doing = "receive a bundle, which is lost"
            raise limit_error(EMSGSIZE, doing, "max_size", self._max_size, None)
        self._next = (part + 1, count, bundle)
        self.complete = part + 1 == count


def _take_over(whole: Message, more: Message) -> None:
    whole.fds += more.fds
    more.fds = []
    more.close()  # the pidfd of its sender, who has sent the first one too


def _receive_part(sock: HasNumber, kind: int, left: _Countdown) -> tuple[int, int, int, Message]:
    message = receive(sock, _HEADER.size if kind == ops.STREAM else None, left())
    try:
        _complete(message, sock, _HEADER.size, kind, left)
        magic, part, count, descriptors, size, bundle = _HEADER.unpack_from(message.data)
        # Empty parts would never end: nothing bounds how many there are.
        endless = count > 1 and not (size or descriptors)
        if magic != _MAGIC or size > _BYTES_PER_PART or not part < count or endless:
            raise _no_bundle(sock)
        _complete(message, sock, _HEADER.size + size, kind, left)
        message.data = message.data[_HEADER.size :]
        if (len(message.data), len(message.fds)) != (size, descriptors):
            raise _no_bundle(sock)
    except BaseException:  # a signal handler's too
        message.close()
        raise
    return part, count, bundle, message


def _complete(message: Message, sock: HasNumber, size: int, kind: int, left: _Countdown) -> None:
    """Receive until it has *size* bytes. A packet comes whole: one that is shorter is no bundle's."""
    while len(message.data) < size:
        if kind != ops.STREAM:
            raise _no_bundle(sock)
        more = receive(sock, size - len(message.data), left())
        message.data += more.data
        _take_over(message, more)


def _no_bundle(sock: HasNumber) -> IPCError:
    return error(EPROTO, f"receive a bundle from descriptor {number_of(sock)}: this is none")


def _usable(sock: HasNumber) -> int:
    kind = kind_of(sock, number_of(sock))
    if kind not in (ops.STREAM, ops.SEQPACKET):
        raise ValueError("bundles go over packets ('seqpacket') or a stream, which keep their order")
    return kind


class _Countdown:
    """What is left of a timeout, each time it is asked; `TimedOutError` once nothing is."""

    def __init__(self, timeout: float | None) -> None:
        _deadline.valid(timeout)
        self._timeout = timeout
        self._deadline = _deadline.after(timeout)

    def __call__(self) -> float | None:
        if not self._timeout:
            return self._timeout  # None or 0
        left = _deadline.left(self._deadline)
        if left <= 0:  # the other side may keep us busy for ever, with no wait in between
            raise error(ETIMEDOUT, "pass a bundle")
        return left
