"""Channels over the compiled core; see native.py."""

from __future__ import annotations

from _thread import RLock
from errno import EBADMSG

from .native_core import HOT, core, ffi, lib

try:
    from _functools import partial
except ImportError:  # PyPy
    from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


__all__ = (
    "channel_commit",
    "channel_face",
    "channel_format",
    "channel_join",
    "channel_memory",
    "channel_open",
    "channel_receive",
    "channel_receive_into",
    "channel_reserve",
    "channel_send",
    "channel_send_long",
    "channel_take",
    "channel_unplug",
    "channel_until",
    "channel_watch",
    "loan",
    "loans_face",
    "now_channel_counts",
    "now_channel_done",
    "now_channel_figures",
    "now_channel_receive",
    "now_channel_send",
    "objects_face",
)

channel_memory = lib.pyipc_channel_memory

_uncleared: Any = ffi.new_allocator(should_clear_after_alloc=False)


def channel_format(memory: Any, size: int, slots: int, slot_size: int, space_write: int) -> int:
    return lib.pyipc_channel_format(ffi.from_buffer(memory), size, slots, slot_size, space_write)


def channel_open(memory: Any, size: int, life: int, pipes: Sequence[int], spins: int) -> Any:
    c = ffi.new("struct pyipc_channel *")
    c.me.spins = spins
    c.data_read, c.data_write, c.space_read, c.space_write = pipes
    result = lib.pyipc_channel_open(c, ffi.from_buffer(memory), size, life)
    return result if result < 0 else c


def channel_unplug(state: Any) -> None:
    state.data_read = state.data_write = state.space_read = state.space_write = -1


def channel_face(member: Any, pipes: Any, state: Any) -> Any:
    return core.channel_face(member, pipes, _address(state)) if HOT else None


def _address(state: Any) -> int:
    return int(ffi.cast("intptr_t", state))


# ---- copies ----


def _sizes(messages: Sequence[bytes]) -> Any:
    return ffi.new("uint32_t[]", [len(message) for message in messages])


def now_channel_send(state: Any, messages: Sequence[bytes]) -> int:
    return lib.pyipc_now_channel_send(state, b"".join(messages), _sizes(messages), len(messages))


def channel_send(state: Any, messages: Sequence[bytes], deadline: int) -> int:
    return lib.pyipc_channel_send(state, b"".join(messages), _sizes(messages), len(messages), deadline)


def channel_send_long(state: Any, data: Any, deadline: int) -> int:
    return lib.pyipc_channel_send_long(state, ffi.from_buffer(data), len(data), deadline)


def now_channel_receive(state: Any, room: int, most: int) -> int | list[bytes]:
    data, sizes = _uncleared("char[]", room), _uncleared("uint32_t[]", most)
    return _came(data, sizes, lib.pyipc_now_channel_receive(state, data, room, sizes, most))


def channel_receive(state: Any, room: int, most: int, deadline: int) -> int | list[bytes]:
    data, sizes = _uncleared("char[]", room), _uncleared("uint32_t[]", most)
    return _came(data, sizes, lib.pyipc_channel_receive(state, data, room, sizes, most, deadline))


def channel_receive_into(state: Any, buffer: Any, deadline: int) -> int:
    size = ffi.new("uint32_t *")
    result = lib.pyipc_channel_receive(state, ffi.from_buffer(buffer), len(buffer), size, 1, deadline)
    return result if result < 0 else size[0]


def _came(data: Any, sizes: Any, count: int) -> int | list[bytes]:
    if count < 0:
        return count
    messages, at = [], 0
    for i in range(count):
        messages.append(ffi.buffer(data + at, sizes[i])[:])
        at += sizes[i]
    return messages


# ---- the arena ----


def channel_reserve(state: Any, size: int, loan: Any, deadline: int) -> int:
    return lib.pyipc_channel_reserve(state, size, deadline, _what(loan))


def channel_commit(state: Any, loan: Any, size: int, deadline: int) -> int:
    return lib.pyipc_channel_commit(state, _what(loan), size, deadline)


def channel_take(state: Any, kept: bool, loan: Any, deadline: int) -> int:
    return lib.pyipc_channel_take(state, kept, deadline, _what(loan))


class _Loan:
    """What python_loans.c does, where it cannot."""

    __slots__ = ("_lock", "_memory", "_state", "what")

    def __init__(self, keeps: Any, state: Any) -> None:
        self.what = what = ffi.new("struct pyipc_loan *")
        what.extent = lib.PYIPC_CHANNEL_EXTENTS
        self._state = state
        # What was given back may be ours again, as another message: so that is one step.
        self._lock = RLock()
        # No Python, where a signal handler may raise, gives the memory back. (It holds what it needs.)
        drop: Any = partial(lib.pyipc_now_channel_drop_loan, state, what)
        drop.keeps = keeps
        memory = ffi.gc(state.memory, drop)
        if keeps.enter():
            memory = ffi.gc(memory, lambda _: keeps.leave())
        self._memory = memory

    @property
    def redelivered(self) -> bool:
        return bool(self.what.redelivered)

    def view(self) -> memoryview:
        end = self.what.at + self.what.size
        return memoryview(ffi.buffer(self._memory, end))[self.what.at : end]

    def acknowledge(self) -> int:
        with self._lock:
            if self.what.extent == lib.PYIPC_CHANNEL_EXTENTS:  # another thread has given it back
                return -EBADMSG
            return lib.pyipc_now_channel_acknowledge(self._state, self.what.extent)

    def forget(self) -> None:
        self.what.extent = lib.PYIPC_CHANNEL_EXTENTS

    def give_back(self) -> None:
        with self._lock:
            extent = self.what.extent
            self.forget()
        if lib.pyipc_channel_return(self._state, extent) < 0:
            lib.pyipc_now_channel_drop(self._state, extent)


def loan(keeps: Any, state: Any) -> Any:
    return core.Loan(keeps, _address(state)) if HOT else _Loan(keeps, state)


def loans_face(message: type, reservation: type) -> None:
    if HOT:
        core.loans_face(message, reservation)


def objects_face(dumps: Any, loads: Any, loads_in_place: Any) -> None:
    if HOT:
        core.objects_face(dumps, loads, loads_in_place)


def _what(loan: Any) -> Any:
    return ffi.cast("struct pyipc_loan *", loan._address) if HOT else loan.what


# ---- waiting, and figures ----

channel_join = lib.pyipc_channel_join
channel_watch = lib.pyipc_channel_watch
now_channel_done = lib.pyipc_now_channel_done


def channel_until(state: Any, for_data: bool, deadline: int) -> int:
    return lib.pyipc_channel_until(state, for_data, deadline)


def now_channel_counts(state: Any) -> tuple[int, int, int]:
    return (
        lib.pyipc_now_channel_depth(state),
        lib.pyipc_now_channel_count(state, 0),
        lib.pyipc_now_channel_count(state, 1),
    )


def now_channel_figures(state: Any) -> tuple[int, int, int, int, int, int]:
    c = state
    return c.slots, c.slot_size, c.arena_size, c.spins, c.sleeps, c.recoveries
