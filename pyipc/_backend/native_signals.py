"""Signals over the compiled core; see native.py."""

from __future__ import annotations

from .native_core import HOT, core, ffi, lib
from .native_descriptors import cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .protocol import Class, Disposition, Exit, SignalFields

__all__ = (
    "BLOCK",
    "UNBLOCK",
    "now_child_status",
    "now_pidfd_queue",
    "now_signal_get",
    "now_signal_mask",
    "now_signal_queue",
    "now_signal_send",
    "now_signal_set",
    "now_signalfd",
    "now_signalfd_read",
    "sure_exit",
)

BLOCK = lib.PYIPC_BLOCK
UNBLOCK = lib.PYIPC_UNBLOCK


def now_signal_get(number: int) -> int | Disposition:
    d = ffi.new("struct pyipc_disposition *")
    result = lib.pyipc_now_signal_get(number, d)
    return result if result < 0 else (d.handler, d.flags, d.restorer, d.mask)


def now_signal_set(number: int, disposition: Disposition) -> int:
    return lib.pyipc_now_signal_set(number, ffi.new("struct pyipc_disposition *", disposition))


def now_signal_mask(how: int, signals: int) -> int:
    before = ffi.new("uint64_t *")
    result = lib.pyipc_now_signal_mask(how, signals, before)
    return result if result < 0 else before[0]


now_signal_send = lib.pyipc_now_signal_send
now_signal_queue = lib.pyipc_now_signal_queue


def now_pidfd_queue(pidfd: Any, number: int, value: int) -> int:
    return lib.pyipc_now_pidfd_queue(cell(pidfd), number, value)


def now_signalfd(into: Any, signals: int) -> int:
    return lib.pyipc_now_signalfd(signals, cell(into))


def now_signalfd_read(signalfd: Any) -> int | SignalFields:
    s = ffi.new("struct pyipc_signal *")
    result = lib.pyipc_now_signalfd_read(cell(signalfd), s)
    return result if result < 0 else (s.number, s.code, s.pid, s.uid, s.value, s.status)


def now_child_status(pid: int, reap: bool) -> int | Exit:
    e = ffi.new("struct pyipc_exit *")
    result = lib.pyipc_now_child_status(pid, reap, e)
    return result if result < 0 else (e.pid, e.code, e.signal, bool(e.dumped))


_SURE = HOT and lib.pyipc_now_add_scopes() == 0


def sure_exit(cls: Class) -> Class:
    if _SURE:
        core.sure_exit(cls)
    return cls
