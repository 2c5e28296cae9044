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
from copyreg import dispatch_table
from io import BytesIO
from struct import pack, unpack_from

from .. import _deadline
from .._backend import ops
from .channel import Sending
from .ends import Reservation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MARK = b"B"
# Shorter ones are copied into the pickle: a message of its own in the channel's memory costs more.
_WORTH_IT = 16384
_ALIGNMENT = 64
_SMALL = 1 << 20


class _Reducers:
    """How to pickle what has no way of its own: as `multiprocessing` does, once it is there."""

    def __getitem__(self, cls: type) -> Any:
        reduction: Any = sys.modules.get("multiprocessing.reduction")
        extra = {} if reduction is None else reduction.ForkingPickler._extra_reducers
        return extra[cls] if cls in extra else dispatch_table[cls]


class _Serializer:
    """A pickler that is used again and again: to make one takes as long as a small object."""

    __slots__ = ("buffers", "clear_memo", "dump", "file")

    def __init__(self) -> None:
        self.file = BytesIO()
        self.buffers: list[memoryview] = []
        pickler = pickle.Pickler(self.file, 5, buffer_callback=self._leave_out)
        pickler.dispatch_table = _Reducers()  # type: ignore[assignment] # all of a mapping that it uses
        self.dump, self.clear_memo = pickler.dump, pickler.clear_memo

    def _leave_out(self, buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _WORTH_IT:
            return True
        self.buffers.append(view)
        return False


_idle: list[_Serializer] = []


def dumps(obj: object) -> tuple[bytes, list[memoryview]]:
    """Its pickle, and the buffers that are not in it."""
    try:
        serializer = _idle.pop()
    except IndexError:
        serializer = _Serializer()
    file = serializer.file
    try:
        serializer.dump(obj)
        data = file.getvalue()
    finally:
        serializer.clear_memo()
        file.seek(0)
        file.truncate()
        buffers = serializer.buffers
        serializer.buffers = []
    if len(data) < _SMALL:  # its tables stay as large as they were once
        _idle.append(serializer)
    return data, buffers


def _rounded_up(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def send(sender: Sending, data: bytes, buffers: list[memoryview], timeout: float | None) -> None:
    """Send a pickled object; raises as `send` of bytes does."""
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
        ops.fill(view, at, part)
        at += _rounded_up(len(part))


def loads(data: bytes | memoryview) -> Any:
    """An object that was received, made upon the channel's memory where it has large buffers.

    That memory is free again when they are gone.
    """
    return pickle.loads(data) if isinstance(data, bytes) else _loads_in_place(data)


def _loads_in_place(view: memoryview) -> Any:
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


ops.objects_face(dumps, pickle.loads, _loads_in_place)
