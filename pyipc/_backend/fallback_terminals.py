"""Pseudo-terminals over the standard library; see fallback.py."""

from __future__ import annotations

import os
import select
from errno import EBADF, EIO, EPIPE
from fcntl import ioctl
from struct import pack, unpack

from .fallback_descriptors import own
from .fallback_foreign import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("now_pty_read", "now_pty_write", "pty_look", "pty_open", "pty_peer")

# asm-generic/ioctls.h; Python's termios does not have them all.
_TIOCSPTLCK, _TIOCGPTN, _TIOCGPTPEER, _TIOCGSID = 0x40045431, 0x80045430, 0x5441, 0x5429
_MOST_READ = 32768


def pty_open(into: Any) -> int:
    result = own(into, os.open, "/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    if result < 0:
        return result
    unlocked = call(ioctl, into._number, _TIOCSPTLCK, pack("i", 0))
    result = unlocked if isinstance(unlocked, int) else 0
    if result < 0:
        into._close()
    return result


def pty_peer(into: Any, master: Any) -> int:
    number, flags = master._number, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    if number < 0:
        return -EBADF
    result = own(into, ioctl, number, _TIOCGPTPEER, flags)
    if result >= 0:
        return result
    which = call(ioctl, number, _TIOCGPTN, pack("I", 0))
    if isinstance(which, int):
        return result
    return own(into, os.open, f"/dev/pts/{unpack('I', which)[0]}", flags)


def pty_look(number: int, deadline: int) -> int:
    return 0  # a loop in Python would keep others from running


def now_pty_read(master: Any) -> int | bytes:
    got: int | bytes = call(os.read, master._number, _MOST_READ)
    if isinstance(got, int):
        return b"" if got == -EIO else got
    return got


def now_pty_write(master: Any, data: bytes) -> int:
    number = master._number
    if number < 0:
        return -EBADF
    if _is_left(number):
        return -EPIPE
    put = int(call(os.write, number, data))
    return -EPIPE if put == -EIO else put


def _is_left(number: int) -> bool:
    """As in csrc/terminal.c."""
    if isinstance(call(ioctl, number, _TIOCGSID, bytes(4)), bytes):
        return False
    poll = select.poll()
    poll.register(number, 0)
    seen = call(poll.poll, 0)
    return bool(seen) and not isinstance(seen, int) and bool(seen[0][1] & select.POLLHUP)
