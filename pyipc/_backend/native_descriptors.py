"""Descriptors, eventfds and pidfds over the compiled core; see native.py."""

from __future__ import annotations

from _warnings import warn

from .native_core import HOT, core, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .protocol import Exit

__all__ = (
    "READABLE",
    "WRITABLE",
    "Descriptor",
    "close_all",
    "fd_open",
    "fd_wait",
    "fifo_open",
    "fifo_watch",
    "now_adopt",
    "now_duplicate",
    "now_eventfd",
    "now_eventfd_read",
    "now_eventfd_write",
    "now_fifo_is_unread",
    "now_fifo_read",
    "now_fifo_write",
    "now_move",
    "now_pidfd_getfd",
    "now_pidfd_open",
    "now_pidfd_send",
    "now_pidfd_status",
    "now_pipe",
    "now_twin",
)

READABLE = lib.PYIPC_READABLE
WRITABLE = lib.PYIPC_WRITABLE

_MOST_AT_ONCE = 65536  # of what fifo.c reads
_room = ffi.new_allocator(should_clear_after_alloc=False)

# ---- owners ----


class _Cell:
    """What python_descriptors.c does, where it cannot: an int in C memory, closed by a C destructor.

    The second int counts the calls that are at it (csrc/descriptors.c).
    """

    __slots__ = ("_cell",)
    _cell: Any

    def __new__(cls, *arguments: object, **options: object) -> _Cell:
        self = object.__new__(cls)
        self._cell = ffi.gc(ffi.new("int32_t[2]", (-1, 0)), lib.pyipc_fd_close)
        return self

    @property
    def _number(self) -> int:
        number: int = self._cell[0]
        return number

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
        return lib.pyipc_fd_close(self._cell)

    def _take(self) -> int:
        return lib.pyipc_now_fd_take(self._cell)

    def __del__(self, warn: Any = warn) -> None:  # the module may have lost it, when Python ends
        if hasattr(self, "_cell") and self._number >= 0:
            warn(f"{self} was dropped without close()", ResourceWarning, 2, self)


Descriptor: Any = core.Descriptor if HOT else _Cell


_cast, _POINTER = ffi.cast, ffi.typeof("int32_t *")


def cell(descriptor: Any) -> Any:
    """The int that owns its number; to be used while somebody has the descriptor."""
    return _cast(_POINTER, descriptor._address) if HOT else descriptor._cell


def now_adopt(into: Any, number: int) -> int:
    return lib.pyipc_now_fd_adopt(number, cell(into))


def now_duplicate(into: Any, number: int) -> int:
    return lib.pyipc_now_fd_duplicate(number, cell(into))


def now_twin(into: Any, owner: Any) -> int:
    return lib.pyipc_now_fd_twin(cell(owner), cell(into))


def fd_open(into: Any, path: bytes, flags: int) -> int:
    return lib.pyipc_fd_open(path, flags, cell(into))


def now_move(source: Any, into: Any) -> int:
    result = lib.pyipc_now_fd_move(cell(source), cell(into))
    if not HOT:
        lib.pyipc_now_fd_take(cell(source))  # which waits for those who are in a call on the old owner
    return result


def close_all(handles: list[Any]) -> None:
    if HOT:
        core.close_all(handles)
    else:
        for handle in handles:
            handle._close()


fd_wait = lib.pyipc_fd_wait


def now_pipe(waits: bool, read: Any, write: Any) -> int:
    return lib.pyipc_now_pipe(waits, cell(read), cell(write))


# ---- named pipes ----


def fifo_open(into: Any, path: bytes, writing: bool, deadline: int) -> int:
    return lib.pyipc_fifo_open(path, writing, deadline, cell(into))


def _fifo_read(fifo: Any, into: list[bytes], size: int) -> int:
    size = min(size, _MOST_AT_ONCE)
    room = _room("char[]", size)
    result = lib.pyipc_now_fifo_read(cell(fifo), room, size)
    if result > 0:
        into.append(ffi.buffer(room, result)[:])
    return result


def _fifo_write(fifo: Any, data: Any) -> int:
    text = data if type(data) is bytes else ffi.from_buffer("char[]", data)
    return lib.pyipc_now_fifo_write(cell(fifo), text, len(data))


now_fifo_read = core.fifo_read if HOT else _fifo_read


def now_fifo_write(fifo: Any, data: Any) -> int:
    return core.fifo_write(fifo, data) if HOT and type(data) is bytes else _fifo_write(fifo, data)


def now_fifo_is_unread(fifo: Any) -> int:
    return lib.pyipc_now_fifo_is_unread(cell(fifo))


def fifo_watch(into: Any, path: bytes) -> int:
    return lib.pyipc_fifo_watch(path, cell(into))


# ---- eventfds and pidfds ----


def now_eventfd(into: Any, initial: int, semaphore: bool) -> int:
    return lib.pyipc_now_eventfd(initial, semaphore, cell(into))


def now_eventfd_read(eventfd: Any) -> int:
    value = ffi.new("uint64_t *")
    result = lib.pyipc_now_eventfd_read(cell(eventfd), value)
    return result if result < 0 else value[0]


def now_eventfd_write(eventfd: Any, value: int) -> int:
    return lib.pyipc_now_eventfd_write(cell(eventfd), value)


def now_pidfd_open(into: Any, pid: int) -> int:
    return lib.pyipc_now_pidfd_open(pid, cell(into))


def now_pidfd_send(pidfd: Any, signal: int) -> int:
    return lib.pyipc_now_pidfd_send(cell(pidfd), signal)


def now_pidfd_status(pidfd: Any, reap: bool) -> int | Exit:
    e = ffi.new("struct pyipc_exit *")
    result = lib.pyipc_now_pidfd_status(cell(pidfd), reap, e)
    return result if result < 0 else (e.pid, e.code, e.signal, bool(e.dumped))


def now_pidfd_getfd(into: Any, pidfd: Any, theirs: int) -> int:
    return lib.pyipc_now_pidfd_getfd(cell(pidfd), theirs, cell(into))
