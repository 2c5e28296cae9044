"""Processes that are not mistaken for others: a pid, and when it was given out (proc(5))."""

from __future__ import annotations

from errno import ENOENT, ESRCH
from os import listdir

from .._pidfd import Pidfd
from ..errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union

    Target = Union[int, Pidfd, "Identity"]

_STATE, _GROUP, _THREADS, _STARTED = 0, 2, 17, 19  # of the fields that follow the name


class Status:
    """What /proc/PID/stat says."""

    __slots__ = ("ended", "group", "started")

    def __init__(self, fields: list[bytes]) -> None:
        self.group = int(fields[_GROUP])
        self.started = int(fields[_STARTED])
        # A leader that has ended looks like a zombie while other threads of its process live.
        self.ended = fields[_STATE] in (b"Z", b"X", b"x") and int(fields[_THREADS]) <= 1


def status_of(pid: int) -> Status | None:
    """Of that process; None if there is none, or none that we may see."""
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:
            text = file.read()
    except OSError as problem:
        if problem.filename is None and problem.errno != ESRCH:  # a signal handler's
            raise
        if problem.errno in (ENOENT, ESRCH):
            return None
        raise error(problem.errno or ESRCH, f"look at process {pid}") from problem
    return Status(text.rpartition(b")")[2].split()) if text else None


def numbers_in(folder: str, doing: str) -> list[int]:
    """The processes or threads that a folder of /proc lists."""
    try:
        return [int(entry) for entry in listdir(folder) if entry.isdigit()]
    except OSError as problem:
        if problem.filename is None:  # a signal handler's
            raise
        raise error(problem.errno or ESRCH, doing) from problem


def checked(pid: int) -> int:
    """A pid that means one process."""
    if not isinstance(pid, int):
        raise TypeError(f"a pid is an int, not {pid!r}")
    if not 0 < pid < 1 << 31:
        raise ValueError(f"a pid is 1..2**31-1, not {pid}")
    return pid


class Identity:
    """A process by its pid and its start, which the next one with that pid has not in common.

    It keeps nothing open, and can be written down: `Identity(pid, started)` is the same again, until the
    machine starts anew. A `Pidfd` costs a descriptor and is as sure.

    Attributes:
        pid: The process's pid.
        started: When it was started: clock ticks since the machine was.
    """

    __slots__ = ("pid", "started")

    def __init__(self, pid: int, started: int) -> None:
        self.pid = checked(pid)
        self.started = started

    @classmethod
    def of(cls, pid: int) -> Identity:
        """Whoever has this pid now. That it is the one you mean, only its parent can know.

        Raises:
            ProcessGoneError: There is none.
        """
        status = status_of(checked(pid))
        if status is None:
            raise error(ESRCH, f"identify process {pid}")
        return cls(pid, status.started)

    def _matches(self, status: Status | None) -> bool:
        """Whether that is what is known of it."""
        return status is not None and status.started == self.started

    def pidfd(self) -> Pidfd:
        """A descriptor of it.

        Raises:
            ProcessGoneError: It has ended, and was reaped.
            UnsupportedError: Before Linux 5.3, or where a sandbox forbids it.
        """
        pidfd = Pidfd.open(self.pid)
        try:
            if not self._matches(status_of(self.pid)):  # if it has the pid now, it had it before
                raise error(ESRCH, f"open a pidfd of {self!r}")
        except BaseException:  # a signal handler's too
            pidfd.close()
            raise
        return pidfd

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, Identity):
            return NotImplemented
        return (self.pid, self.started) == (other.pid, other.started)

    def __hash__(self) -> int:
        return hash((self.pid, self.started))

    def __repr__(self) -> str:
        return f"<process {self.pid} of tick {self.started}>"
