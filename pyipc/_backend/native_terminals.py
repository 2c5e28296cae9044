"""Pseudo-terminals over the compiled core; see native.py."""

from __future__ import annotations

from .native_core import HOT, core, ffi, lib
from .native_descriptors import cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("now_pty_read", "now_pty_write", "pty_look", "pty_open", "pty_peer")

# The kernel gives 4095 bytes at once, and up to five times that of a program that writes meanwhile.
_MOST_READ = 32768
_room = ffi.new_allocator(should_clear_after_alloc=False)


def pty_open(into: Any) -> int:
    return lib.pyipc_pty_open(cell(into))


def pty_peer(into: Any, master: Any) -> int:
    return lib.pyipc_pty_peer(cell(master), cell(into))


pty_look = lib.pyipc_pty_look


def _pty_read(master: Any) -> int | bytes:
    room = _room("char[]", _MOST_READ)
    got = lib.pyipc_now_pty_read(cell(master), room, _MOST_READ)
    return got if got < 0 else ffi.buffer(room, got)[:]


def _pty_write(master: Any, data: bytes) -> int:
    return lib.pyipc_now_pty_write(cell(master), data, len(data))


now_pty_read = core.pty_read if HOT else _pty_read
now_pty_write = core.pty_write if HOT else _pty_write
