"""File locks over the standard library; counters and cells need the compiled core. See fallback.py."""

from __future__ import annotations

import fcntl
import os
from errno import (
    EACCES,
    EAGAIN,
    EBADF,
    EEXIST,
    EINTR,
    EINVAL,
    EISDIR,
    ENOENT,
    ENOSYS,
    ENOTSUP,
    ENXIO,
    ETIMEDOUT,
)
from stat import S_ISREG
from time import monotonic_ns, sleep

from .fallback_descriptors import own
from .fallback_foreign import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = (
    "CELL_MOST",
    "COUNTER_STRIDE",
    "address_of",
    "cell_begin",
    "cell_format",
    "cell_get",
    "cell_memory",
    "cell_set",
    "cell_wait",
    "counters",
    "lock_file",
    "lock_file_open",
    "now_cell_set",
    "now_cell_version",
    "now_counter_add",
    "now_counter_compare_exchange",
    "now_counter_exchange",
    "now_counter_get",
    "now_lock_file",
    "now_unlock_file",
    "unlock_file",
)

# ---- files that are there to be locked: the reasons stand in csrc/file_lock.c ----

_SETLK = getattr(fcntl, "F_OFD_SETLK", 37)
_CAREFULLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_FIRST_NAP_NS = 20_000
_LONGEST_NAP_NS = 100_000_000
_ROUND_NS = 250_000_000


def lock_file_open(into: Any, path: str | bytes, mode: int, shared: bool) -> int:
    for _ in range(100):
        result = own(into, os.open, path, (os.O_RDONLY if shared else os.O_RDWR) | _CAREFULLY)
        if result != -ENOENT:
            break
        result = _create(into, path, mode)
        if result != -EEXIST:
            break
    if result == -EISDIR:
        return -ENXIO
    if result >= 0 and not S_ISREG(os.fstat(into._number).st_mode):
        into._close()
        return -ENXIO
    return result


def _create(into: Any, path: str | bytes, mode: int) -> int:
    result = own(into, os.open, path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _CAREFULLY, mode)
    if result >= 0:
        result = call(os.fchmod, into._number, mode)
        if result < 0:
            into._close()
    return result


def _set(number: int, kind: int) -> int:
    # struct flock: the kind, and zeros: of the whole file.
    result = call(fcntl.fcntl, number, _SETLK, kind.to_bytes(2, "little") + bytes(30), invalid=EBADF)
    if isinstance(result, bytes):
        return 0
    if result in (-EINVAL, -ENOSYS):
        return -ENOTSUP
    return -EAGAIN if result == -EACCES else int(result)


def lock_file(number: int, shared: bool, since: int, deadline: int) -> int:
    round_began = monotonic_ns()
    while True:
        result = now_lock_file(number, shared)
        if result != -EAGAIN:
            return result
        now = monotonic_ns()
        if now >= deadline:
            return -ETIMEDOUT
        if now - round_began >= _ROUND_NS:
            return -EINTR
        nap = min(max((now - since) // 10, _FIRST_NAP_NS), _LONGEST_NAP_NS)
        sleep(min(nap, deadline - now) / 1e9)


def unlock_file(number: int) -> int:
    return _set(number, fcntl.F_UNLCK)


def now_lock_file(number: int, shared: bool) -> int:
    return _set(number, fcntl.F_RDLCK if shared else fcntl.F_WRLCK)


now_unlock_file = unlock_file


# ---- what nobody can do without atomic instructions ----

CELL_MOST = 1 << 26
COUNTER_STRIDE = 128


def address_of(state: Any) -> int:
    return 0


def counters(memory: Any) -> Any:
    return -ENOTSUP


def now_counter_add(counters: Any, index: int, n: int) -> int:
    return -ENOTSUP


def now_counter_get(counters: Any, index: int) -> int:
    return -ENOTSUP


def now_counter_exchange(counters: Any, index: int, value: int) -> int:
    return -ENOTSUP


def now_counter_compare_exchange(counters: Any, index: int, expected: int, value: int) -> int:
    return -ENOTSUP


def cell_memory(most: int) -> int:
    return -ENOTSUP


def cell_format(memory: Any, most: int) -> int:
    return -ENOTSUP


def cell_begin(memory: Any, size: int, life: int) -> Any:
    return -ENOTSUP


def now_cell_version(state: Any) -> int:
    return -ENOTSUP


def now_cell_set(state: Any, data: Any, size: int) -> int:
    return -ENOTSUP


def cell_set(state: Any, data: Any, size: int, deadline: int) -> int:
    return -ENOTSUP


def cell_get(state: Any) -> int | tuple[bytes, int]:
    return -ENOTSUP


def cell_wait(state: Any, version: int, since: int, deadline: int) -> int:
    return -ENOTSUP
