"""The exceptions, and which of them stands for which errno in which call."""

from __future__ import annotations

from errno import EACCES, EAGAIN, EBADF, EEXIST, EIDRM, EINVAL, ENOENT, EPERM, ERANGE, ETIMEDOUT

from ...errors import IPCError, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    Kinds = dict[int, type[Exception]]


class Error(Exception):
    """Whatever fails here, but for what the builtin exceptions say better."""


class InternalError(Error):
    """Never raised; there for programs that name it."""


class PermissionsError(Error):
    """The object's mode or owner forbids it."""


class ExistentialError(Error):
    """There is no such object, or there is one already."""


class BusyError(Error):
    """It would have to wait, or has waited for as long as it was told to."""


class NotAttachedError(Error):
    """The segment is not attached to this process."""


for _class in Error, InternalError, PermissionsError, ExistentialError, BusyError, NotAttachedError:
    _class.__module__ = __package__  # where people find them

# What the errno of each family of calls is here. What is not listed stays as it is: an OSError (or
# MemoryError) in theirs as well.
GET: Kinds = {EACCES: PermissionsError, EEXIST: ExistentialError, ENOENT: ExistentialError}
SEMAPHORE: Kinds = {
    **GET,
    EINVAL: ExistentialError,
    EIDRM: ExistentialError,
    ERANGE: ValueError,
    EAGAIN: BusyError,
    ETIMEDOUT: BusyError,
}
GET_SEGMENT: Kinds = {**GET, EINVAL: ValueError}
ATTACH: Kinds = {EACCES: PermissionsError, EINVAL: ValueError, EIDRM: ValueError}
USE_SEGMENT: Kinds = {EBADF: NotAttachedError, EIDRM: ExistentialError}
CONTROL: Kinds = {
    EACCES: PermissionsError,
    EPERM: PermissionsError,
    EINVAL: ExistentialError,
    EIDRM: ExistentialError,
}
MESSAGE: Kinds = {
    EACCES: PermissionsError,
    EAGAIN: BusyError,
    EIDRM: ExistentialError,
}

_TEXTS = {ERANGE: "The semaphore's value must remain between 0 and SEMVMX"}


def refuse(problem: IPCError, kinds: Kinds) -> NoReturn:
    """Raise what a caller of these expects for *problem*, and *problem* itself where that is an OSError."""
    number = problem.errno or 0
    kind = kinds.get(number)
    try:
        if kind is None:
            raise problem
        raise kind(_TEXTS.get(number) or problem.strerror) from problem
    finally:
        del problem  # its traceback has this frame: a cycle, which would keep memory mapped


def check(result: int, kinds: Kinds, doing: str) -> int:
    """Give back *result* of a backend call, or raise what its `-errno` stands for."""
    if result < 0:
        refuse(error(-result, doing), kinds)
    return result
