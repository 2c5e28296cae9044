"""Descriptors, eventfds and pidfds over the standard library; see fallback.py.

A descriptor has one owner from the moment it exists, though a signal handler may raise at any time
(csrc/descriptors.c says why). CPython runs handlers between two steps of its own loop, so each call
that gives a number to Python code can lose it: `number = os.dup(7)` is two steps, and no `try` is
early enough to help. The ways out:

- Blocking signals meanwhile costs two system calls more, and a handler that is due already runs
  all the same. Other objects that own what they make take sockets only (`socket`), or cannot give
  the number back without being raced (`FileIO`, `epoll`).
- A chain of iterators that are written in C is one step, however much it does: `dict.__setitem__`
  by `map` stores what another `map` makes, and `os.close` by `map` closes what `dict.pop` takes out.

So an owner is a dict that holds its number or nothing, and whoever makes, moves or closes one uses
such chains. They look odd; to write them out as statements breaks them. What a received message
brings is in a list before Python sees it, and the number of each is taken from one iterator, by
its owner or by `os.close`, so that neither forgets nor repeats one.

What remains: a second handler that raises while the consequences of the first are cleaned up may
leave a descriptor open; so may one that raises just as an owner is dropped that is open.
"""

from __future__ import annotations

import _signal  # `signal` brings enum
import os
import select
import sys
from _operator import attrgetter
from _warnings import warn
from _weakref import ref
from array import array
from errno import EAGAIN, EBADF, EINTR, EINVAL, ENOSYS, ENOTSUP, ENXIO, EPERM, EPIPE, ETIMEDOUT
from fcntl import F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, fcntl
from itertools import chain, repeat, starmap
from time import monotonic_ns

from .fallback_foreign import call
from .fallback_waits import until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
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

READABLE = select.POLLIN
WRITABLE = select.POLLOUT

# ---- owners ----

KEY = "number"
is_one = (-1).__lt__  # of a number


class Descriptor:
    """The owner of a descriptor, or of none: see protocol.py."""

    __slots__ = ("__weakref__", "_held", "_last")
    _held: dict[str, int]
    _last: Callable[[], None]

    def __new__(cls, *arguments: object, **named: object) -> Descriptor:
        self = object.__new__(cls)
        held: dict[str, int] = {}
        still_open: Iterator[int] = filter(is_one, map(held.get, (KEY,), (-1,)))  # looks when asked
        self._held = held
        self._last = chain(map(_dropped, (ref(self),), (held,), still_open), (None,)).__next__
        return self

    # What a signal handler raises in a destructor goes nowhere, and a destructor in Python that ran
    # for every owner would swallow one in ten. This one is a call in C, unless the owner is open still.
    __del__ = property(attrgetter("_last"))

    @property
    def _number(self) -> int:
        return self._held.get(KEY, -1)

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
        return int(call(any, map(os.close, _out_of([self]))))

    def _take(self) -> int:
        return self._held.pop(KEY, -1)


def _dropped(owner: ref[Descriptor], held: dict[str, int], number: int) -> None:
    try:
        who = owner()  # None of garbage, to which references are dead by now
        name = f"<descriptor {number}>" if who is None else repr(who)
        warn(f"{name} was dropped without close()", ResourceWarning, 2, who)
    finally:
        call(os.close, held.pop(KEY, -1))


def _out_of(owners: Iterable[Any]) -> Iterator[int]:
    """The numbers of these, each taken from its owner as it is asked for."""
    return filter(is_one, map(dict.pop, [owner._held for owner in owners], repeat(KEY), repeat(-1)))


def own(into: Any, make: Callable[..., Any], *arguments: Any) -> int:
    """Let it own what this function makes, which must have no Python in it."""
    made = map(make, *zip(arguments))
    return int(call(any, map(into._held.__setitem__, (KEY,), made)))


def close_each(numbers: Iterator[int]) -> None:
    while call(any, map(os.close, numbers)) < 0:
        pass  # that one is closed, whatever close(2) had to say of it


def now_adopt(into: Any, number: int) -> int:
    flags = call(fcntl, number, F_GETFD, invalid=EBADF)
    if flags >= 0 and not flags & FD_CLOEXEC:
        flags = call(fcntl, number, F_SETFD, flags | FD_CLOEXEC)
    if flags < 0:
        return int(flags)
    into._held[KEY] = number
    return 0


def now_duplicate(into: Any, number: int) -> int:
    return own(into, os.dup, number)  # which is F_DUPFD_CLOEXEC, for all its name


def now_twin(into: Any, owner: Any) -> int:
    return now_duplicate(into, owner._number)  # as sure as it can be here, where dup(2) is without the GIL


def fd_open(into: Any, path: bytes, flags: int) -> int:
    if flags & os.O_CREAT or flags & os.O_TMPFILE == os.O_TMPFILE:
        return -EINVAL
    return own(into, os.open, path, flags)  # close-on-exec, as all that Python opens


def now_move(source: Any, into: Any) -> int:
    return min(next(map(into._held.setdefault, (KEY,), _out_of([source])), -EBADF), 0)


def close_all(handles: list[Any]) -> None:
    close_each(_out_of(handles))


# select.poll takes a wait up again itself after a signal, and nothing of the standard library gets
# another thread out of it: so close() in another thread waits for this net, and it is a fine one.
_NET_NS = 100_000_000


def fd_wait(number: int, events: int, deadline: int) -> int:
    if number < 0:
        return -EBADF
    poll = select.poll()
    poll.register(number, events & (READABLE | WRITABLE))
    left = max(deadline - monotonic_ns(), 0)
    found = call(poll.poll, min(left, _NET_NS) / 1e6)
    if isinstance(found, int):
        return found
    if not found:
        return -ETIMEDOUT if left < _NET_NS else -EINTR
    return -EBADF if found[0][1] & select.POLLNVAL else 0


def now_pipe(waits: bool, read: Any, write: Any) -> int:
    flags = os.O_CLOEXEC | (0 if waits else os.O_NONBLOCK)
    ends = chain.from_iterable(starmap(os.pipe2, ((flags,),)))
    return int(call(any, map(dict.__setitem__, (read._held, write._held), repeat(KEY), ends)))


# ---- named pipes ----

_MOST_AT_ONCE = 65536


def fifo_open(into: Any, path: bytes, writing: bool, deadline: int) -> int:
    if writing:
        return int(until(lambda: _try_to_write(into, path), deadline))
    # It stays open when a signal comes: who has come to write meanwhile shall not find it closed.
    result = 0 if into._number >= 0 else own(into, os.open, path, os.O_RDONLY | os.O_NONBLOCK)
    if result == 0:
        # There is no telling that somebody has come, but by what he writes, or that he has gone again.
        result = fd_wait(into._number, READABLE, deadline)
    if result not in (0, -EINTR):
        close_all([into])
    return result


def _try_to_write(into: Any, path: bytes) -> int:
    result = own(into, os.open, path, os.O_WRONLY | os.O_NONBLOCK)
    return -EAGAIN if result == -ENXIO else result


def _do_not_wait(number: int) -> int:
    flags = int(call(fcntl, number, F_GETFL, invalid=EBADF))
    if flags < 0 or flags & os.O_NONBLOCK:
        return min(flags, 0)
    return int(call(fcntl, number, F_SETFL, flags | os.O_NONBLOCK))


def now_fifo_read(fifo: Any, into: list[bytes], size: int) -> int:
    number, had = fifo._number, len(into)
    came = filter(None, map(os.read, (number,), (min(size, _MOST_AT_ONCE),)))
    result = _do_not_wait(number) or int(call(into.extend, came))  # one step, as above
    return len(into[-1]) if result == 0 and len(into) > had else result


def now_fifo_write(fifo: Any, data: Any) -> int:
    number = fifo._number
    part = memoryview(data)[:_MOST_AT_ONCE]
    result = _do_not_wait(number)
    if result or _ignores_sigpipe():
        return result or int(call(os.write, number, part))
    return _write_and_block_sigpipe(number, part)


def _ignores_sigpipe() -> bool:
    """As the kernel has it: `signals.default` changes that alone, and Python's table goes on to say so."""
    from .fallback_signals import now_signal_get

    kernel = now_signal_get(_signal.SIGPIPE)
    handler = _signal.getsignal(_signal.SIGPIPE) if isinstance(kernel, int) else kernel[0]
    return bool(handler == _signal.SIG_IGN)


def _write_and_block_sigpipe(number: int, data: memoryview) -> int:
    broken = (_signal.SIGPIPE,)
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())  # to look: a handler may raise as it returns
    try:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, broken)
        was_pending = _signal.SIGPIPE in before and _signal.SIGPIPE in _signal.sigpending()
        result = int(call(os.write, number, data))
        if result == -EPIPE and not was_pending:
            _signal.sigtimedwait(broken, 0)
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
    return result


def now_fifo_is_unread(fifo: Any) -> int:
    if fifo._number < 0:
        return -EBADF
    poll = select.poll()
    poll.register(fifo._number, 0)
    return int(any(event & select.POLLERR for _, event in poll.poll(0)))


_IN_CLOSE_NOWRITE = 0x10


def fifo_watch(into: Any, path: bytes) -> int:
    import ctypes  # which takes long; and inotify(7) has no other way

    libc = ctypes.CDLL(None, use_errno=True)
    result = own(into, libc.inotify_init1, os.O_CLOEXEC | os.O_NONBLOCK)
    if result == 0 and into._number < 0:
        into._held.pop(KEY, None)
        return -ctypes.get_errno()
    if libc.inotify_add_watch(into._number, path, _IN_CLOSE_NOWRITE) < 0:
        result = -ctypes.get_errno()
        close_all([into])
    return result


# ---- eventfds and pidfds ----

_EVENTFD_BYTES = 8
_MOST_COUNTED = (1 << 64) - 2


def now_eventfd(into: Any, initial: int, semaphore: bool) -> int:
    if sys.version_info < (3, 10):
        return -ENOTSUP
    flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK | (os.EFD_SEMAPHORE if semaphore else 0)
    return own(into, os.eventfd, initial, flags)


def _counter_of(number: int) -> int:
    try:
        with open(f"/proc/self/fdinfo/{number}") as lines:
            label = "eventfd-count:"
            return next((int(line.split()[1], 16) for line in lines if line.startswith(label)), -EINVAL)
    except OSError as problem:
        if problem.filename is None:  # a signal handler's
            raise
        return -(problem.errno or EBADF)


def _will_not_wait(number: int, needed: int) -> int:
    """0, or -EAGAIN if it would: to read (needed is 0), or to add so much. See csrc/descriptors.c."""
    flags = int(call(fcntl, number, F_GETFL, invalid=EBADF))
    if flags < 0 or flags & os.O_NONBLOCK:
        return min(flags, 0)
    value = _counter_of(number)
    if value < 0:
        return value
    return 0 if (value <= _MOST_COUNTED - needed if needed else value > 0) else -EAGAIN


# os.eventfd_read() tells a read of fewer bytes by an errno of long ago.
def now_eventfd_read(eventfd: Any) -> int:
    number = eventfd._number
    result: int | bytes = _will_not_wait(number, 0) or call(os.read, number, _EVENTFD_BYTES)
    if isinstance(result, int):
        return result
    return int.from_bytes(result, sys.byteorder) if len(result) == _EVENTFD_BYTES else -EINVAL


def now_eventfd_write(eventfd: Any, value: int) -> int:
    if value > _MOST_COUNTED:
        return -EINVAL
    number = eventfd._number
    data = array("Q", (value,))
    result = _will_not_wait(number, value) if value else 0
    return min(result or int(call(os.write, number, data)), 0)


def now_pidfd_open(into: Any, pid: int) -> int:
    if not hasattr(os, "pidfd_open"):  # a Python that was built where Linux was older than 5.3
        return -ENOTSUP
    result = own(into, os.pidfd_open, pid)
    return -ENOSYS if result == -EPERM else result  # which only a sandbox says


def now_pidfd_send(pidfd: Any, signal: int) -> int:
    if not hasattr(_signal, "pidfd_send_signal"):
        return -ENOTSUP
    return int(call(_signal.pidfd_send_signal, pidfd._number, signal))


_BY_PIDFD = 3  # os.P_PIDFD, where Python knows that


def now_pidfd_status(pidfd: Any, reap: bool) -> int | Exit:
    number = pidfd._number
    if number < 0:
        return -EBADF
    ended = call(os.waitid, _BY_PIDFD, number, os.WEXITED | os.WNOHANG | (0 if reap else os.WNOWAIT))
    if isinstance(ended, int):
        return ended or -EAGAIN
    status, exited = ended.si_status, ended.si_code == os.CLD_EXITED
    return ended.si_pid, status if exited else -1, 0 if exited else status, ended.si_code == os.CLD_DUMPED


def now_pidfd_getfd(into: Any, pidfd: Any, theirs: int) -> int:
    return -ENOTSUP
