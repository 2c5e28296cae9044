"""Every exception of pyipc, and the one table from errno to exception.

`IPCError` is the root. Each of them is also the builtin exception of the same meaning where
there is one, so code that catches `FileNotFoundError` or `TimeoutError` works as it stands.
"""

from __future__ import annotations

import errno as _errno
from os import strerror as _strerror
from os import sysconf as _sysconf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._exit import Exit

__all__ = (
    "AccessError",
    "AlreadyExistsError",
    "ClosedError",
    "DescriptorsLostError",
    "HalfMadeError",
    "IPCError",
    "InUseError",
    "LimitError",
    "NotFoundError",
    "OutOfMemoryError",
    "OwnerDiedError",
    "PeerGoneError",
    "ProcessGoneError",
    "ProgramFailedError",
    "RemovedError",
    "StatusLostError",
    "TimedOutError",
    "UnsupportedError",
    "WouldBlockError",
)


class IPCError(OSError):
    """A call on an IPC object failed: `errno` says why, the message which object and what for."""

    #: Of a send that took only a part: how many bytes went. Not there otherwise.
    characters_written: int


class AlreadyExistsError(IPCError, FileExistsError):
    """The key, name or path is taken (EEXIST)."""


class NotFoundError(IPCError, FileNotFoundError):
    """No object has this key, name or id (ENOENT)."""


class AccessError(IPCError, PermissionError):
    """The object's mode, owner or a missing capability forbids it (EACCES, EPERM)."""


class WouldBlockError(IPCError, BlockingIOError):
    """With `timeout=0`: it would have to wait (EAGAIN)."""


class TimedOutError(IPCError, TimeoutError):
    """The timeout has passed (ETIMEDOUT)."""


class RemovedError(IPCError):
    """The object was removed, before or while we waited for it (EIDRM)."""


class InUseError(IPCError):
    """Somebody still uses it in a way that forbids this (EBUSY)."""


class PeerGoneError(IPCError, BrokenPipeError, EOFError):
    """The other side has closed its end, or has ended (EPIPE, ECONNRESET, ECONNREFUSED)."""


class ProcessGoneError(IPCError, ProcessLookupError):
    """The process has ended, and its parent knows (ESRCH)."""


class StatusLostError(IPCError, ChildProcessError):
    """Somebody else has reaped this child, or SIGCHLD is ignored: nobody knows how it ended (ECHILD)."""


class ProgramFailedError(IPCError):
    """A program ended otherwise than it should have (EREMOTEIO).

    Attributes:
        exits: How each program of the pipeline ended.
    """

    exits: tuple[Exit, ...] = ()


class ClosedError(IPCError, ValueError):
    """This handle was closed (EBADF); the object itself may live on."""


class OutOfMemoryError(IPCError, MemoryError):
    """The kernel has no memory for it, or no huge pages (ENOMEM)."""


class OwnerDiedError(IPCError):
    """Whoever had the lock has died with it (EOWNERDEAD); what it protects may be half changed."""


class UnsupportedError(IPCError, NotImplementedError):
    """This kernel or this backend cannot do it (ENOTSUP); see `pyipc.capabilities()`."""


class LimitError(IPCError):
    """A limit stands in the way.

    Attributes:
        limit: The limit's name in the manual pages, such as "SHMMNI".
        value: What it is now, or None where it cannot be read.
        path: The file that raises it, or None where nothing does.
    """

    limit: str | None = None
    value: int | None = None
    path: str | None = None


class DescriptorsLostError(LimitError):
    """A message has come, but not all of its descriptors; those that came are closed (MSG_CTRUNC).

    With `limit` "RLIMIT_NOFILE" (EMFILE) this process has no room for them; without, the kernel kept
    them back for a reason that it does not tell, such as a security module (EACCES).

    Attributes:
        data: The message's bytes, which are lost to nobody.
        arrived: How many descriptors came, of a number that only the sender knows.
    """

    data: bytes = b""
    arrived: int = 0


class HalfMadeError(IPCError):
    """A semaphore set exists, but its maker has not initialised it (EAGAIN).

    The maker may have died, or be a program that never will (`open(..., ready=False)` takes the
    set as it is).

    Attributes:
        id: The kernel's id of the object, for `attach` or `pyipc rm`.
    """

    id: int | None = None


_BY_ERRNO: dict[int, type[IPCError]] = {
    _errno.EEXIST: AlreadyExistsError,
    _errno.ENOENT: NotFoundError,
    _errno.EACCES: AccessError,
    _errno.EPERM: AccessError,
    _errno.EAGAIN: WouldBlockError,
    _errno.ETIMEDOUT: TimedOutError,
    _errno.EIDRM: RemovedError,
    _errno.EBADF: ClosedError,
    _errno.EBUSY: InUseError,
    _errno.EPIPE: PeerGoneError,
    _errno.ECONNRESET: PeerGoneError,
    _errno.ECONNREFUSED: PeerGoneError,
    _errno.ESRCH: ProcessGoneError,
    _errno.ENOMEM: OutOfMemoryError,
    _errno.EOWNERDEAD: OwnerDiedError,
    _errno.ENOSYS: UnsupportedError,
    _errno.ENOTSUP: UnsupportedError,
    _errno.ENOSPC: LimitError,
    _errno.EMFILE: LimitError,
    _errno.ENFILE: LimitError,
}

# strerror() speaks of connections and descriptors here.
_BETTER_TEXT = {
    _errno.ETIMEDOUT: "Timed out",
    _errno.EAGAIN: "Would have to wait",
    _errno.EBADF: "The handle is closed",
    _errno.EBUSY: "In use",
    _errno.EPIPE: "The other side is closed",
}


def error(number: int, doing: str) -> IPCError:
    """The exception for errno *number*; *doing* says what failed, and on which object."""
    if number == _errno.EMFILE:
        return limit_error(number, doing, "RLIMIT_NOFILE", most_open(), None)
    if number == _errno.ENFILE:
        return limit_error(number, doing, "file-max", None, "/proc/sys/fs/file-max")
    text = _BETTER_TEXT.get(number) or _strerror(number)
    return _BY_ERRNO.get(number, IPCError)(number, f"{text}: {doing}")


def limit_error(number: int, doing: str, limit: str, value: int | None, path: str | None) -> LimitError:
    """A `LimitError` for errno *number* that names the limit in its way."""
    now = "" if value is None else f" is {value}"
    where = f", raised in {path}" if path else ""
    problem = LimitError(number, f"{_strerror(number)}: {doing} (the limit {limit}{now}{where})")
    problem.limit, problem.value, problem.path = limit, value, path
    return problem


def most_open() -> int:
    """RLIMIT_NOFILE: how many descriptors this process may have; -1 if any number."""
    # Not by the module `resource`: to import it takes a descriptor, and just now there may be none.
    return _sysconf("SC_OPEN_MAX")


def check(result: int, doing: str) -> int:
    """Give back *result* of a backend call, or raise what its `-errno` stands for."""
    if result < 0:
        raise error(-result, doing)
    return result
