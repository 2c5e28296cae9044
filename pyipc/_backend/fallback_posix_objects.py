"""POSIX semaphores and message queues over `posix_ipc`; see fallback.py."""

from __future__ import annotations

import os
import select
import sys
from _functools import partial
from _operator import attrgetter
from _weakref import ref
from errno import (
    EACCES,
    EAGAIN,
    EBADF,
    EBUSY,
    EEXIST,
    EINTR,
    EINVAL,
    EMFILE,
    EMSGSIZE,
    ENAMETOOLONG,
    ENFILE,
    ENOENT,
    ENOMEM,
    ENOSPC,
    ENOTSUP,
    EPERM,
)
from fcntl import F_GETFL, fcntl

from .fallback_descriptors import KEY, Descriptor
from .fallback_foreign import call
from .fallback_waits import until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .protocol import PosixQueueFields

__all__ = (
    "NOTIFY_BY_SIGNAL",
    "NOTIFY_NOBODY",
    "POSIX_CREATE",
    "POSIX_EXCLUSIVE",
    "POSIX_READ",
    "POSIX_SEM_MOST",
    "POSIX_SEM_SIZE",
    "POSIX_WRITE",
    "now_posix_mq_notify",
    "now_posix_mq_receive",
    "now_posix_mq_send",
    "now_posix_mq_stat",
    "now_posix_sem_init",
    "now_posix_sem_post",
    "now_posix_sem_try",
    "now_posix_sem_value",
    "posix_mq_news",
    "posix_mq_open",
    "posix_mq_unlink",
    "posix_sem_in",
    "posix_sem_open",
    "posix_sem_unlink",
    "posix_sem_wait",
)

# Imported here alone, and by a reference of our own: the name in sys.modules may come to mean
# pyipc's imitation of it (pyipc.compat), before or after this.
_imitation = sys.modules.get("posix_ipc")
if _imitation is not None and _imitation.__name__ != "posix_ipc":
    del sys.modules["posix_ipc"]
else:
    _imitation = None
posix: Any
try:
    import posix_ipc
except ImportError:
    posix = None
else:
    posix = posix_ipc
finally:
    if _imitation is not None:
        sys.modules["posix_ipc"] = _imitation

POSIX_CREATE, POSIX_EXCLUSIVE, POSIX_READ, POSIX_WRITE = 1, 2, 4, 8
POSIX_SEM_SIZE = 32
POSIX_SEM_MOST = (1 << 31) - 1
NOTIFY_NOBODY, NOTIFY_BY_SIGNAL = range(2)

# What it says in words alone.
_SAID = {
    "The name is too long": ENAMETOOLONG,
    "This process already has the maximum number of files open": EMFILE,
    "The system limit on the total number of open files has been reached": ENFILE,
    "Insufficient space for a new queue": ENOSPC,
    "The queue is already delivering notifications elsewhere": EBUSY,
}


def _call(
    function: Callable[..., Any],
    *args: Any,
    missing: int = EINVAL,
    denied: int = EACCES,
    invalid: int = EINVAL,
) -> Any:
    """As `fallback_foreign.call`, of `posix_ipc`."""
    try:
        result = function(*args)
    except Exception as problem:  # of any class of theirs, or a builtin one
        number = _errno(problem, missing, denied, invalid)
        if number is None or getattr(problem.__traceback__, "tb_next", None) is not None:
            raise  # it has frames of its own: a signal handler's
        return -number
    return 0 if result is None else result


def _errno(problem: Exception, missing: int, denied: int, invalid: int) -> int | None:
    number = _SAID.get(str(problem))
    if number is not None:
        return number
    if isinstance(problem, posix.ExistentialError):
        return missing
    if isinstance(problem, posix.PermissionsError):
        return denied
    if isinstance(problem, posix.BusyError):
        return EAGAIN
    if isinstance(problem, ValueError):
        return invalid
    if isinstance(problem, MemoryError):
        return ENOMEM
    if isinstance(problem, OSError):
        return problem.errno
    if isinstance(problem, posix.SignalError):
        return EINTR
    return None


def _open_flags(flags: int) -> int:
    return (os.O_CREAT if flags & POSIX_CREATE else 0) | (os.O_EXCL if flags & POSIX_EXCLUSIVE else 0)


def _missing(flags: int) -> int:
    """Its ExistentialError is that there is one, or none."""
    return EEXIST if flags & POSIX_EXCLUSIVE else ENOENT


def _text(name: bytes) -> str | None:
    """A name as its functions take it; None of one that only its objects can have."""
    try:
        return f"/{name.decode()}"
    except UnicodeDecodeError:
        return None


# ---- semaphores ----


class _Semaphore:
    """What keeps one open, which a foreign object does for ever."""

    __slots__ = ("_last", "held")

    def __init__(self) -> None:
        self.held: list[Any] = []
        self._last = partial(any, map(posix.Semaphore.close, self.held))  # looks when called

    # A call in C, for the reason that fallback_descriptors.Descriptor gives.
    __del__ = property(attrgetter("_last"))


def posix_sem_open(name: bytes, flags: int, mode: int, value: int) -> int | Any:
    if posix is None:
        return -ENOTSUP
    if not 0 <= value <= POSIX_SEM_MOST:
        return -EINVAL
    sem = _Semaphore()
    made = map(posix.Semaphore, *zip((b"/" + name, _open_flags(flags), mode & 0o777, value)))
    # One step of the interpreter's: no signal handler comes between the making and the keeping.
    result = _call(any, map(sem.held.append, made), missing=_missing(flags))
    return sem if result >= 0 else result


def posix_sem_unlink(name: bytes) -> int:
    if posix is None:
        return -ENOTSUP
    text = _text(name)
    if text is not None:
        result = int(_call(posix.unlink_semaphore, text, missing=ENOENT))
    else:
        sem = posix_sem_open(name, 0, 0, 0)
        result = sem if isinstance(sem, int) else int(_call(sem.held[0].unlink, missing=ENOENT))
    return -EACCES if result == -EPERM else result  # csrc/posix_sem.c


def posix_sem_in(memory: memoryview) -> Any:
    return -ENOTSUP


def now_posix_sem_init(sem: Any, value: int) -> int:
    return -ENOTSUP


def now_posix_sem_try(sem: Any) -> int:
    return int(_call(sem.held[0].acquire, 0))


def posix_sem_wait(sem: Any, deadline: int) -> int:
    return int(until(partial(now_posix_sem_try, sem), deadline))


def now_posix_sem_post(sem: Any) -> int:
    return int(_call(sem.held[0].release))


def now_posix_sem_value(sem: Any) -> int:
    return int(_call(getattr, sem.held[0], "value"))


# ---- message queues ----

_QUEUE = "queue"
_ENDS = 32768  # MQ_PRIO_MAX


def posix_mq_open(into: Any, name: bytes, flags: int, mode: int, max_messages: int, max_size: int) -> int:
    if posix is None:
        return -ENOTSUP
    read = bool(flags & POSIX_READ)
    write = bool(flags & POSIX_WRITE) or not read
    # So that a try is one: those of the foreign object wait for a point of the wall clock, which may be set,
    # and what a signal handler raises meanwhile is lost.
    how = _open_flags(flags) | os.O_NONBLOCK
    held = into._held
    held.pop(_QUEUE, None)
    arguments = (b"/" + name, how, mode & 0o777, max_messages, max_size, read, write)
    kept = map(held.setdefault, (_QUEUE,), map(posix.MessageQueue, *zip(arguments)))
    # One step, as `own` in fallback_descriptors.
    stored = map(held.__setitem__, (KEY,), map(attrgetter("mqd"), kept))
    return int(_call(any, stored, missing=_missing(flags)))


def posix_mq_unlink(name: bytes) -> int:
    if posix is None:
        return -ENOTSUP
    text = _text(name)
    if text is not None:
        return int(_call(posix.unlink_message_queue, text, missing=ENOENT))
    queue: Any = Descriptor()
    try:
        result = posix_mq_open(queue, name, POSIX_READ, 0, 0, 0)
        return int(_call(queue._held[_QUEUE].unlink, missing=ENOENT)) if result >= 0 else result
    finally:
        queue._close()


def _foreign(queue: Any) -> int | Any:
    """What sends and receives by the descriptor that this handle owns."""
    number = queue._number
    if number < 0:
        return -EBADF
    foreign = queue._held.get(_QUEUE)
    return foreign if foreign is not None and foreign.mqd == number else -ENOTSUP


def now_posix_mq_send(queue: Any, data: bytes, priority: int) -> int:
    if priority >= _ENDS:
        return -EINVAL
    foreign = _foreign(queue)
    if isinstance(foreign, int):
        return foreign
    return int(_call(foreign.send, data, 0, priority, missing=EBADF, denied=EBADF, invalid=EMSGSIZE))


def now_posix_mq_receive(queue: Any, room: int) -> int | tuple[bytes, int]:
    foreign = _foreign(queue)
    if isinstance(foreign, int):
        return foreign
    if room < foreign.max_message_size:
        flags = int(_call(fcntl, foreign.mqd, F_GETFL))
        return -EBADF if flags < 0 or flags & os.O_ACCMODE == os.O_WRONLY else -EMSGSIZE
    result = _call(foreign.receive, 0, missing=EBADF, denied=EBADF)
    if isinstance(result, int):
        return result
    # It has memory for the longest, whatever it says: a copy has not.
    return bytes(memoryview(result[0])), result[1]


def now_posix_mq_stat(queue: Any) -> int | PosixQueueFields:
    foreign = _foreign(queue)
    if isinstance(foreign, int):
        return foreign
    messages = _call(getattr, foreign, "current_messages", missing=EBADF)
    facts = _call(os.fstat, foreign.mqd)
    if isinstance(facts, int) or messages < 0:
        return facts if isinstance(facts, int) else int(messages)
    mode = facts.st_mode & 0o777
    return foreign.max_messages, foreign.max_message_size, messages, facts.st_uid, facts.st_gid, mode


def now_posix_mq_notify(queue: Any, kind: int, what: int, value: int) -> int:
    foreign = _foreign(queue)
    if isinstance(foreign, int):
        return foreign
    if kind == NOTIFY_NOBODY:
        return int(_call(foreign.request_notification, None))
    if value:
        return -ENOTSUP
    if _notified(foreign.mqd) == os.getpid():
        return -EBUSY  # the foreign object would take that request back
    return int(_call(foreign.request_notification, what))


def _notified(number: int) -> int:
    """Which process is notified of this queue: its pid, 0, or -errno. Only who may receive can see it."""
    text: int | bytes = call(os.pread, number, 128, 0)
    if isinstance(text, int):
        return text
    return next((int(field[11:]) for field in text.split() if field.startswith(b"NOTIFY_PID:")), -EINVAL)


# A message that has come and gone at once wakes nobody, nor does the end of a handle.
_NET = 0.25


class _News:
    """Whether a message came, by the kernel's own account of who is to be notified of it.

    `posix_ipc` would have a thread of the C library's call a function; but it crashes if one request is
    taken back while another comes true. A request for no signal at all can be had too: it is the only
    one, and it is gone as soon as a message comes.
    """

    __slots__ = ("_ended", "_poll", "_queue")

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._queue: Callable[[], Any] = _none
        self._ended = False

    def ask(self, queue: Any) -> int:
        if self._queue is _none:
            number = queue._number
            seen = _notified(number)
            if seen < 0:
                return -ENOTSUP if seen == -EBADF and number >= 0 else seen
            # Once for each message: while one waits, it stays readable.
            self._poll.register(number, select.EPOLLIN | select.EPOLLET)
            self._queue = ref(queue)
        return now_posix_mq_notify(queue, NOTIFY_BY_SIGNAL, 0, 0)

    def came(self) -> bool:
        me = os.getpid()
        while True:
            self._poll.poll(_NET)
            seen = -EBADF if self._ended else self._look()
            if seen != me:
                return seen >= 0

    def _look(self) -> int:
        queue = self._queue()
        return -EBADF if queue is None else _notified(queue._number)

    def end(self) -> None:
        self._ended = True

    def close(self) -> None:
        self._poll.close()


def _none() -> None:
    return None


def posix_mq_news() -> Any:
    return -ENOTSUP if posix is None else _News()
