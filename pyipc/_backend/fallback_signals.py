"""Signals over the standard library, and ctypes for what it lacks; see fallback.py.

The standard library shows and sets what Python does at a signal, not what the kernel does; it has no
signalfd, and sends no value. A system call by number can all that, where ctypes is there and the numbers are
known.
"""

from __future__ import annotations

import _signal
import os
import sys
from errno import EAGAIN, EBADF, EINVAL, ENOTSUP
from select import POLLIN, poll
from struct import Struct

from .fallback_descriptors import own
from .fallback_foreign import call

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

BLOCK = _signal.SIG_BLOCK
UNBLOCK = _signal.SIG_UNBLOCK

# rt_sigaction, rt_sigqueueinfo, signalfd4, pidfd_send_signal
_NUMBERS = {"x86_64": (13, 129, 289, 424), "aarch64": (134, 138, 74, 424)}.get(os.uname().machine)
_SIGACTION, _SIGQUEUEINFO, _SIGNALFD4, _PIDFD_SEND_SIGNAL = _NUMBERS or (-1,) * 4

_SET = Struct("=Q")
_ACTION = Struct("=4Q")
# si_signo, si_errno, si_code, si_pid, si_uid, si_value
_QUEUED = Struct("=iiixxxxiIi100x")
# ssi_signo, ssi_code, ssi_pid, ssi_uid, ssi_status, ssi_int
_SIGNALFD = Struct("=i4xiiI20xii80x")


def _system_call() -> Any:
    """syscall(2), and the way to its errno; None where there is none."""
    if _NUMBERS is None or sys.maxsize < 1 << 32:
        return None
    try:
        import ctypes  # which takes long, and may be missing; nothing else restores what C has set
    except ImportError:  # a Python without it
        return None
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    return function, ctypes


HAS_SYSTEM_CALLS = _system_call() is not None


def _words(ctypes: Any, arguments: tuple[Any, ...]) -> list[Any]:
    return [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]


def _call(*arguments: Any) -> int:
    found = _system_call()
    if found is None:
        return -ENOTSUP
    function, ctypes = found
    result: int = function(*_words(ctypes, arguments))
    return -ctypes.get_errno() if result == -1 else result


# ---- what a signal does, and who blocks it ----


def now_signal_get(number: int) -> int | Disposition:
    into = bytearray(_ACTION.size)
    result = _call(_SIGACTION, number, None, _in_c(into), _SET.size)
    if result < 0:
        return result
    handler, flags, restorer, mask = _ACTION.unpack(into)
    return handler, flags, restorer, mask


def _in_c(memory: bytearray) -> Any:
    found = _system_call()
    return None if found is None else (found[1].c_char * len(memory)).from_buffer(memory)


def now_signal_set(number: int, disposition: Disposition) -> int:
    return _call(_SIGACTION, number, _ACTION.pack(*disposition), None, _SET.size)


def now_signal_mask(how: int, signals: int) -> int:
    numbers = [number for number in range(1, 65) if signals >> (number - 1) & 1]
    before = call(_signal.pthread_sigmask, how, numbers)
    return before if isinstance(before, int) else sum(1 << (number - 1) for number in before)


# ---- sending ----


def now_signal_send(pid: int, number: int) -> int:
    return int(call(os.kill, pid, number))


def _queued(number: int, value: int) -> bytes:
    return _QUEUED.pack(number, 0, -1, os.getpid(), os.getuid(), value)


def now_signal_queue(pid: int, number: int, value: int) -> int:
    return _call(_SIGQUEUEINFO, pid, number, _queued(number, value))


def now_pidfd_queue(pidfd: Any, number: int, value: int) -> int:
    return _call(_PIDFD_SEND_SIGNAL, pidfd._number, number, _queued(number, value), 0)


# ---- signals as data ----


def now_signalfd(into: Any, signals: int) -> int:
    found = _system_call()
    if found is None:
        return -ENOTSUP
    function, ctypes = found
    flags = os.O_CLOEXEC | os.O_NONBLOCK
    words = _words(ctypes, (_SIGNALFD4, -1, _SET.pack(signals), _SET.size, flags))
    own(into, function, *words)
    if into._number < 0:
        into._take()  # the -1 of a failure
        return -int(ctypes.get_errno())
    return 0


def now_signalfd_read(signalfd: Any) -> int | SignalFields:
    number = signalfd._number
    if number < 0:
        return -EBADF
    ready = poll()
    ready.register(number, POLLIN)
    if not call(ready.poll, 0):
        return -EAGAIN  # a forked child, which has the same open file, may have cleared O_NONBLOCK
    data = call(os.read, number, _SIGNALFD.size)
    if isinstance(data, int):
        return data
    if len(data) != _SIGNALFD.size:
        return -EINVAL
    signal, code, pid, uid, status, value = _SIGNALFD.unpack(data)
    return signal, code, pid, uid, value, status


# ---- children ----


def now_child_status(pid: int, reap: bool) -> int | Exit:
    if pid <= 0:
        return -EINVAL
    ended = call(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOHANG | (0 if reap else os.WNOWAIT))
    if isinstance(ended, int):
        return ended or -EAGAIN
    status, exited = ended.si_status, ended.si_code == os.CLD_EXITED
    return ended.si_pid, status if exited else -1, 0 if exited else status, ended.si_code == os.CLD_DUMPED


def sure_exit(cls: Class) -> Class:
    return cls
