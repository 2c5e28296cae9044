"""Semaphores that have a name."""

from __future__ import annotations

import os
from errno import EBADF, EEXIST

from ... import posix
from ..._backend import ops
from ...errors import IPCError
from ...posix.semaphores import refuse_what_is_none
from .arguments import O_CREAT, O_EXCL, c_int, c_unsigned, checked, chosen_name, name_to_unlink, patience
from .exceptions import OPEN, UNLINK, USE, check, refuse, refuse_number
from .objects import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SEMAPHORE_VALUE_MAX = ops.POSIX_SEM_MOST
SEMAPHORE_TIMEOUT_SUPPORTED = True
SEMAPHORE_VALUE_SUPPORTED = True


class _Held(posix.Semaphore):
    """A handle that nobody has to close."""

    __slots__ = ()

    def __del__(self) -> None:
        pass


@ops.accelerate("posix_sem.acquire", "posix_sem.release", "posix_sem.__enter__", "posix_sem.__exit__")
class Semaphore(Kind):
    """A semaphore, made or found by its name.

    Args:
        name: What others find it by, such as "/printer"; None, with O_CREX, is one that nobody has.
        flags: 0 finds it, O_CREAT makes it if there is none, O_CREX makes it or fails.
        mode: Who may open a new one, less the umask.
        initial_value: The value of a new one.
    """

    __module__ = __package__
    __slots__ = ("_held", "_mode", "_name", "_plain", "_sem")
    _held: _Held | None
    _sem: Any  # of _held, for those that stand in

    def __init__(
        self, name: str | bytes | None, flags: int = 0, mode: int = 0o600, initial_value: int = 0
    ) -> None:
        self._held = self._sem = None
        given, plain, flags, mode = checked(name, c_int(flags), mode)
        initial_value = c_unsigned(initial_value)
        how = (ops.POSIX_CREATE if flags & O_CREAT else 0) | (ops.POSIX_EXCLUSIVE if flags & O_EXCL else 0)
        while True:
            chosen, plain = chosen_name() if given is None else (given, plain)
            sem = ops.posix_sem_open(_without_slash(plain), how, mode & 0o777, initial_value)
            if given is not None or sem != -EEXIST:
                break
        if isinstance(sem, int):
            refuse_number(-sem, OPEN, f"open semaphore {chosen}")
        if not how & ops.POSIX_EXCLUSIVE:  # else it was made just now
            try:
                refuse_what_is_none(os.fsdecode(_without_slash(plain)))
            except OSError as problem:
                refuse(problem, OPEN)
        self._name, self._mode, self._plain = chosen, mode, _without_slash(plain)
        self._held = _Held._new(chosen, sem, owner=False)
        self._sem = sem

    def _open(self, doing: str) -> _Held:
        held = self._held
        if held is None or self._sem is None:
            refuse_number(EBADF, USE, f"{doing} semaphore {self._name}")
        return held

    def acquire(self, timeout: float | None = None) -> None:
        """Take 1, waiting while there is none, or for *timeout* seconds."""
        held = self._open("acquire")
        timeout = patience(timeout)
        try:
            held.acquire(timeout)
        except IPCError as problem:
            refuse(problem, USE)

    def release(self) -> None:
        """Give 1; anybody may."""
        try:
            self._open("release").release()
        except IPCError as problem:
            refuse(problem, USE)

    @property
    def value(self) -> int:
        """How many can be taken now, without waiting."""
        return self._open("look at").value

    def close(self) -> None:
        """Let go of it; its name stays."""
        held = self._open("close")
        self._sem = None
        held.close()

    def unlink(self) -> None:
        """Take its name away; who has it open keeps it."""
        self._open("unlink")
        check(ops.posix_sem_unlink(self._plain), UNLINK, f"unlink semaphore {self._name}")

    def __enter__(self) -> Semaphore:
        self.acquire()
        return self

    def __exit__(self, *problem: object) -> None:
        self.release()


def _without_slash(name: bytes) -> bytes:
    return name[1:] if name[:1] == b"/" else name


def unlink_semaphore(name: str, /) -> None:
    """Take the name of a semaphore away."""
    plain = _without_slash(name_to_unlink(name))
    check(ops.posix_sem_unlink(plain), UNLINK, f"unlink semaphore {name}")
