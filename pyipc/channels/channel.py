"""Channels of bytes: many send, many receive, and each message goes to one of them."""

from __future__ import annotations

import os
from errno import EMSGSIZE

from .. import _deadline, _memfd
from .._backend import ops
from ..errors import PeerGoneError, check
from .ends import RECEIVES, SENDS, End, Message, Reservation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

SLOTS, SLOT_SIZE, CAPACITY = 256, 1024, 1 << 30

# How much one call of C sends or receives.
_MOST_MESSAGES = 256
_MOST_BYTES = 65536


def _bytes_of(data: Any) -> Any:
    """Its bytes, in one piece."""
    if type(data) is bytes:
        return data
    view = memoryview(data)
    return view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes()


@ops.accelerate("channel.send", "channel.send_many", "channel.reserve")
class Sending(End):
    """What who sends can do."""

    __slots__ = ()

    def send(self, data: Any, timeout: float | None = None) -> None:
        """Send one message, waiting while there is no room.

        Args:
            data: Any bytes-like object; one longer than `slot_size` takes memory of `capacity`.
            timeout: How many seconds to wait.

        Raises:
            WouldBlockError: With `timeout=0`: there is no room.
            TimedOutError: There was none in time.
            PeerGoneError: Nobody receives any more.
            LimitError: It is longer than `capacity`.
        """
        deadline = _deadline.by(timeout)
        result = self._send_some([_bytes_of(data)], deadline)
        if result < 0:
            raise self._error(result, "send to")

    def send_many(self, messages: Iterable[Any], timeout: float | None = None) -> int:
        """Send messages, in this order; without a *timeout*, all of them.

        As many as there is room for become visible in one step: this is faster than one by one.

        Returns:
            How many were sent, before the time was over or the last receiver gone.

        Raises:
            WouldBlockError, TimedOutError, PeerGoneError, LimitError: As `send` does, of the first.
        """
        deadline = _deadline.by(timeout)
        return self._send_all([_bytes_of(data) for data in messages], deadline)

    def _send_all(self, waiting: list[Any], deadline: int, before: int = 0) -> int:
        sent = 0
        while sent < len(waiting):
            result = self._send_some(waiting[sent : sent + _MOST_MESSAGES], deadline)
            if result < 0 and before + sent == 0:
                raise self._error(result, "send to")
            if result < 0:
                break
            sent += result
        return before + sent

    def _send_rest(self, messages: list[Any], before: int, timeout: float | None) -> int:
        """Go on, when C has sent so many already."""
        return self._send_all(messages, _deadline.by(timeout), before)

    def _send_some(self, messages: list[Any], deadline: int) -> int:
        """At least the first of these."""
        short = size = 0
        while short < len(messages) and size < _MOST_BYTES and len(messages[short]) <= self.slot_size:
            size += len(messages[short])
            short += 1
        if short == 0:
            failed: int = self._until(deadline, "send to", ops.channel_send_long, messages[0])
            return failed or 1
        sent: int = self._call(ops.now_channel_send, messages[:short])
        if sent < 0:
            sent = self._until(deadline, "send to", ops.channel_send, messages[:short])
        return sent

    def reserve(self, size: int, timeout: float | None = None) -> Reservation:
        """Memory of the channel to write a message of *size* bytes into, without a copy.

        `with sender.reserve(size) as message: message.buf[:] = ...` sends it at the end of the block, or
        drops it by an exception. It takes memory of `capacity`, however small it is.

        Raises:
            WouldBlockError, TimedOutError: There is no memory now, or was not in time.
            PeerGoneError: Nobody receives any more.
            LimitError: *size* is more than `capacity`.
            OutOfMemoryError: The system has no memory.
        """
        deadline = _deadline.by(timeout)
        if size < 0:
            raise ValueError(f"a message has at least 0 bytes, not {size}")
        if size > self.capacity:
            raise self._error(-EMSGSIZE, "reserve memory of")
        member = self._part()
        loan = ops.loan(member, member.state)
        result = self._until(deadline, "reserve memory of", ops.channel_reserve, size, loan)
        if result < 0:
            raise self._error(result, "reserve memory of")
        return Reservation(self, loan)


@ops.accelerate("channel.recv", "channel._recv_data", "channel.recv_many", "channel.peek")
class Receiving(End):
    """What who receives can do."""

    __slots__ = ()

    def recv(self, timeout: float | None = None, *, ack: bool = False) -> Any:
        """Receive the next message, waiting for one.

        Args:
            timeout: How many seconds to wait.
            ack: Give a `Message` that comes back to another receiver if this process dies before it was
                acknowledged; else `bytes`.

        Raises:
            WouldBlockError: With `timeout=0`: no message waits.
            TimedOutError: None came in time.
            PeerGoneError: None waits, and nobody sends any more: the end.
            LimitError: With *ack*: there is no memory to keep one more.
        """
        deadline = _deadline.by(timeout)
        if ack:
            return self._take(deadline)
        result = self._receive(deadline, self.slot_size, 1)
        return self._take_copy(deadline) if isinstance(result, int) else result[0]

    def recv_into(self, buffer: Any, timeout: float | None = None) -> int:
        """Receive the next message into a writable buffer: how many bytes it has.

        Raises:
            ValueError: It is longer than *buffer*; it is still there.
            WouldBlockError, TimedOutError, PeerGoneError: As `recv` does.
        """
        deadline = _deadline.by(timeout)
        view = memoryview(buffer).cast("B")
        if view.readonly:
            raise TypeError(f"a buffer that can be written, not {buffer!r:.50}")
        size: int = self._in_time(deadline, "receive from", ops.channel_receive_into, view)
        if size >= 0:
            return size
        message = self._take(deadline)
        if len(message) > len(view):
            size = len(message)
            message.reject()
            raise ValueError(f"a message of {size} bytes for a buffer of {len(view)}")
        with message:
            view[: len(message)] = message.buf
            return len(message)

    def recv_many(self, most: int = _MOST_MESSAGES, timeout: float | None = None) -> list[bytes]:
        """Receive what waits, but at most so many messages; waits only for the first.

        They are taken in one step: this is faster than one by one.

        Raises:
            WouldBlockError, TimedOutError, PeerGoneError: As `recv` does.
        """
        deadline = _deadline.by(timeout)
        if most < 1:
            raise ValueError(f"at most {most} messages are none")
        room = max(self.slot_size, min(most * self.slot_size, _MOST_BYTES))
        result = self._receive(deadline, room, min(most, _MOST_MESSAGES))
        return [self._take_copy(deadline)] if isinstance(result, int) else result

    def peek(self, timeout: float | None = None) -> Message:
        """The next message where it lies, to look at without a copy: as `recv(ack=True)`."""
        return self._take(_deadline.by(timeout))

    def _recv_data(self, timeout: float | None) -> bytes | memoryview:
        """The next message: one that does not lie in a slot as its memory, writable."""
        deadline = _deadline.by(timeout)
        result = self._receive(deadline, self.slot_size, 1)
        if not isinstance(result, int):
            return result[0]
        view: memoryview = self._take_loan(deadline, keep=False).view()
        return view

    def _receive(self, deadline: int, room: int, most: int) -> int | list[bytes]:
        """Messages of slots; -EMSGSIZE if the next is none."""
        result: int | list[bytes] = self._call(ops.now_channel_receive, room, most)
        if isinstance(result, int) and result != -EMSGSIZE:
            result = self._in_time(deadline, "receive from", ops.channel_receive, room, most)
        return result

    def _take(self, deadline: int) -> Message:
        return Message(self, self._take_loan(deadline, keep=True))

    def _take_copy(self, deadline: int) -> bytes:
        return bytes(self._take_loan(deadline, keep=False).view())

    def _take_loan(self, deadline: int, *, keep: bool) -> Any:
        member = self._part()
        loan = ops.loan(member, member.state)
        self._in_time(deadline, "receive from", ops.channel_take, keep, loan)
        return loan

    def __iter__(self) -> Iterator[bytes]:
        """Each message, until the end."""
        while True:
            try:
                yield self.recv()
            except PeerGoneError:
                return


class Reader(Receiving):
    """The receiving end of a channel."""

    __slots__ = ()
    kind = "reader"
    roles = RECEIVES


class Writer(Sending):
    """The sending end of a channel."""

    __slots__ = ()
    kind = "writer"
    roles = SENDS


class Channel(Sending, Receiving):
    """A channel, and a handle that can send and receive.

    Messages of up to `slot_size` bytes lie in `slots` slots, longer ones in `capacity` more bytes, which
    take memory only as far as they are used. What one process sends arrives in that order; each message
    goes to one receiver.

    A process is told that all others have gone only of roles that it does not have itself: so give each
    process the end it needs, by `reader()`, `writer()` or `split()`.

    Args:
        slots: How many messages can wait, 1 to 2**20.
        slot_size: How long a message can be in bytes without taking memory of *capacity*: 1 to 65536.
        capacity: How many bytes longer messages, and those that are kept, can have together.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        OutOfMemoryError: There is no memory.
        LimitError: RLIMIT_NOFILE: it takes five descriptors, and each of its ends three.
    """

    __slots__ = ()
    roles = (*RECEIVES, *SENDS)

    def __init__(self, slots: int = SLOTS, slot_size: int = SLOT_SIZE, capacity: int = CAPACITY) -> None:
        doing = f"make a channel of {slots} slots of {slot_size} bytes, and {capacity} bytes"
        if not 1 <= slots <= 1 << 20:
            raise ValueError(f"slots is 1 to 2**20, not {slots}")
        if not 1 <= slot_size <= 1 << 16:
            raise ValueError(f"slot_size is 1 to 65536, not {slot_size}")
        if not 0 <= capacity <= 1 << 46:
            raise ValueError(f"capacity is 0 to 2**46, not {capacity}")
        size = check(ops.channel_memory(slots, slot_size, capacity), doing)
        memory = _memfd.made(size, ops.channel_memory(slots, slot_size, 0), doing)
        pipes = [ops.Descriptor() for _ in range(4)]
        data_read, data_write, space_read, space_write = pipes
        try:
            check(ops.now_pipe(False, data_read, data_write), doing)
            check(ops.now_pipe(False, space_read, space_write), doing)
            for end in data_read, space_read:
                os.fchmod(end.fileno(), 0o666)  # who is given an end must open it anew, whatever their uid
            ends = [end.fileno() for end in (data_read, space_write, data_write, space_read)]
            self._begin(memory.fileno(), ends, (slots, slot_size))
        finally:
            ops.close_all([memory, *pipes])

    def reader(self) -> Reader:
        """Another handle, that only receives.

        Raises:
            LimitError: RLIMIT_NOFILE, or that 1,023 handles are open on this channel.
        """
        return Reader._attach(self._part().life.fileno(), [self._pipe(role) for role in RECEIVES])

    def writer(self) -> Writer:
        """Another handle, that only sends; raises as `reader` does."""
        return Writer._attach(self._part().life.fileno(), [self._pipe(role) for role in SENDS])

    def split(self) -> tuple[Reader, Writer]:
        """A reader and a writer, in place of this handle, which is closed."""
        reader = self.reader()
        try:
            writer = self.writer()
        except BaseException:  # a signal handler's too
            reader.close()
            raise
        self.close()
        return reader, writer
