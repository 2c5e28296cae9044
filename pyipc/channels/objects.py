"""Objects as messages: pickles, with their large buffers beside them.

A pickle of protocol 5 can leave buffers out, such as a numpy array's. They are copied once, into the
channel's memory, and the receiver's objects are made upon them there. Such a message begins with a letter
that no pickle begins with, how many buffers there are, the size of the pickle and of each buffer; then
come the pickle and the buffers, each at a multiple of 64 bytes.

Objects are trusted: who can send a pickle can make the receiver do anything.
"""

from __future__ import annotations

import pickle
import sys
from io import BytesIO
from struct import pack, unpack_from

from .. import _deadline
from .._backend import ops
from .channel import Receiving, Sending
from .ends import Reservation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MARK = b"B"
# Shorter ones are copied into the pickle: a message of its own in the channel's memory costs more.
_WORTH_IT = 16384
_ALIGNMENT = 64
_SMALL = 1 << 20


class _Serializer:
    """A pickler that is used again and again: to make one takes as long as a small object."""

    __slots__ = ("_buffers", "_file", "_pickler", "for_multiprocessing")

    def __init__(self) -> None:
        self._file = BytesIO()
        self._buffers: list[memoryview] = []
        self._pickler = pickler = pickle.Pickler(self._file, 5, buffer_callback=self._leave_out)
        reduction: Any = sys.modules.get("multiprocessing.reduction")
        self.for_multiprocessing = reduction is not None
        if reduction is not None:
            # What `multiprocessing` can pickle, and others have told it to.
            from collections import ChainMap
            from copyreg import dispatch_table

            extra: Any = reduction.ForkingPickler._extra_reducers
            pickler.dispatch_table = ChainMap(extra, dispatch_table)  # type: ignore[arg-type] # reducers that give less

    def _leave_out(self, buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _WORTH_IT:
            return True
        self._buffers.append(view)
        return False

    def dumps(self, obj: object) -> tuple[bytes, list[memoryview]]:
        try:
            self._pickler.dump(obj)
            return self._file.getvalue(), self._buffers
        finally:
            self._pickler.clear_memo()
            self._file.seek(0)
            self._file.truncate()
            self._buffers = []


_idle: list[_Serializer] = []


def dumps(obj: object) -> tuple[bytes, list[memoryview]]:
    """Its pickle, and the buffers that are not in it."""
    try:
        serializer = _idle.pop()
    except IndexError:
        serializer = _Serializer()
    if not serializer.for_multiprocessing and "multiprocessing.reduction" in sys.modules:
        serializer = _Serializer()
    result = serializer.dumps(obj)
    if len(result[0]) < _SMALL:  # its tables stay as large as they were once
        _idle.append(serializer)
    return result


def _rounded_up(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def send(sender: Sending, obj: object, timeout: float | None) -> None:
    """Send an object; raises as `send` of bytes does, and what pickling it raises."""
    data, buffers = dumps(obj)
    if not buffers:
        sender.send(data, timeout)
        return
    deadline = _deadline.by(timeout)
    sizes = [len(data), *(view.nbytes for view in buffers)]
    header = _MARK + pack(f"<I{len(sizes)}Q", len(buffers), *sizes)
    reservation = sender.reserve(_rounded_up(len(header)) + sum(_rounded_up(size) for size in sizes), timeout)
    with reservation:
        _fill(reservation, [header, data, *buffers])
        reservation._commit(reservation.size, deadline)


def _fill(reservation: Reservation, parts: list[Any]) -> None:
    view = reservation.buf
    at = 0
    for part in parts:
        ops.copy_in(view, at, part)
        at += _rounded_up(len(part))


def recv(receiver: Receiving, timeout: float | None) -> Any:
    """Receive an object, made upon the channel's memory where it has large buffers.

    That memory is free again when they are gone.
    """
    deadline = _deadline.by(timeout)
    data = receiver._recv_short(timeout)
    if data is not None:
        return pickle.loads(data)
    message = receiver._take(deadline, keep=False)
    view = message._held().view()
    message.ack()
    return _load(view)


def _load(view: memoryview) -> Any:
    if view[:1] != _MARK:
        return pickle.loads(view)
    count = unpack_from("<I", view, 1)[0]
    sizes = unpack_from(f"<{count + 1}Q", view, 5)
    at = _rounded_up(5 + 8 * (count + 1))
    parts = []
    for size in sizes:
        if size > len(view) - at:
            raise pickle.UnpicklingError("a message that is shorter than it says")
        parts.append(view[at : at + size])
        at += _rounded_up(size)
    return pickle.loads(parts[0], buffers=parts[1:])
