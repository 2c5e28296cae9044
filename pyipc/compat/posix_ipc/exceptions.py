"""The exceptions, and which of them stands for which errno in which call."""

from __future__ import annotations

from errno import (
    EACCES,
    EAGAIN,
    EBADF,
    EBUSY,
    EEXIST,
    EFBIG,
    EINVAL,
    EISDIR,
    EMSGSIZE,
    ENAMETOOLONG,
    ENOENT,
    EPERM,
    EROFS,
    ETIMEDOUT,
)

from ...errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    Kinds = dict[int, type[Exception]]


class Error(Exception):
    """Whatever fails here, but for what the builtin exceptions say better."""


class SignalError(Error):
    """Never raised, since a wait goes on after a signal (PEP 475); there for programs that name it."""


class PermissionsError(Error):
    """The object's mode or owner forbids it, or it was not opened for that."""


class ExistentialError(Error):
    """There is no such object, or there is one already, or it was closed."""


class BusyError(Error):
    """It would have to wait, or has waited for as long as it was told to."""


for _class in Error, SignalError, PermissionsError, ExistentialError, BusyError:
    _class.__module__ = __package__  # where people find them

# What the errno of each family of calls is here. What is not listed stays as it is: an OSError (or
# MemoryError) in theirs as well.
OPEN: Kinds = {
    EACCES: PermissionsError,
    EEXIST: ExistentialError,
    ENOENT: ExistentialError,
    EINVAL: ValueError,
    ENAMETOOLONG: ValueError,
    EFBIG: ValueError,
    EISDIR: ValueError,
    EROFS: PermissionsError,
}
UNLINK: Kinds = {
    EACCES: PermissionsError,
    EPERM: PermissionsError,
    ENOENT: ExistentialError,
    EINVAL: ExistentialError,
    ENAMETOOLONG: ValueError,
}
UNLINK_MEMORY: Kinds = {**UNLINK, ENAMETOOLONG: ExistentialError}  # shm_unlink(3) does not tell
CLOSE_DESCRIPTOR: Kinds = {EBADF: ValueError}
USE: Kinds = {
    EACCES: PermissionsError,
    EBADF: ExistentialError,
    EINVAL: ExistentialError,
    EAGAIN: BusyError,
    ETIMEDOUT: BusyError,
    EMSGSIZE: ValueError,
}
NOTIFY: Kinds = {EBUSY: BusyError}


def refuse(problem: OSError, kinds: Kinds) -> NoReturn:
    """Raise what a caller of these expects for *problem*, and *problem* itself where that is an OSError."""
    kind = kinds.get(problem.errno or 0)
    try:
        if kind is None:
            raise problem
        raise kind(problem.strerror) from problem
    finally:
        del problem  # whose traceback has this frame: a cycle, that would keep all our callers have


def refuse_number(number: int, kinds: Kinds, doing: str) -> NoReturn:
    """The same for an errno; *doing* says what failed."""
    refuse(error(number, doing), kinds)


def check(result: int, kinds: Kinds, doing: str) -> int:
    """Give back *result* of a backend call, or raise what its `-errno` stands for."""
    if result < 0:
        refuse_number(-result, kinds, doing)
    return result
