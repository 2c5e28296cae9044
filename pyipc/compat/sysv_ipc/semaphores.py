"""Semaphores: sets of one."""

from __future__ import annotations

from errno import EEXIST, ENOENT

from ... import sysv
from ..._backend import ops
from ...errors import IPCError, error
from .arguments import IPC_CREAT, IPC_CREX, IPC_EXCL, c_int, checked, new_key
from .exceptions import SEMAPHORE, check, refuse
from .objects import Kind, Quiet, Shown, number, owner_field, stat_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

SEMAPHORE_VALUE_MAX = 32767
SEMAPHORE_TIMEOUT_SUPPORTED = True

# The default itself. (CPython has one 1 only; where there are several, the long way does as well.)
_ONE = 1


class _Set(Quiet, sysv.Semaphore):
    __slots__ = ()


@ops.accelerate("semaphore.__init__", "semaphore.remove")
class Semaphore(Kind):
    """A semaphore, made or found by its key.

    Args:
        key: Its key; None, with IPC_CREX, is one that nobody has.
        flags: 0 finds it, IPC_CREAT makes it if there is none, IPC_CREX makes it or fails.
        mode: Who may use a new one; of one that exists, what of that this process wants to do.
        initial_value: The value of a new one.
    """

    __module__ = __package__
    __slots__ = ("_block", "_quick")
    _name = "Semaphore"
    _kinds = SEMAPHORE
    _remove = staticmethod(ops.sem_remove)

    def __init__(self, key: int | None, flags: int = 0, mode: int = 0o600, initial_value: int = 0) -> None:
        """Make or find it; see the class."""
        wanted, flags, mode = checked(key, flags, mode)
        if initial_value.__class__ is not int or initial_value >> 31:
            initial_value = c_int(initial_value)
        if flags & IPC_CREAT and mode & 0o200:
            _valid_value(initial_value)
        if wanted is None:
            while True:
                wanted = new_key()
                id = ops.sem_get(wanted, mode | IPC_CREX, initial_value)
                if id != -EEXIST:
                    break
        elif flags & IPC_EXCL:
            id = ops.sem_get(wanted, mode | IPC_CREX, initial_value)
        elif flags & IPC_CREAT:
            id = _found_or_made(wanted, mode, initial_value)
        else:
            id = ops.sem_get(wanted, mode, 0)
        if id < 0:
            refuse(error(-id, f"open semaphore with key {wanted}"), SEMAPHORE)
        self._key = wanted
        self._id = self._quick = id  # the latter is -1 with undo, and the kernel refuses it
        self._block = True

    def _make_held(self) -> _Set:
        return _Set(self._id, self._key, 1, owner=False)

    def acquire(self, timeout: float | None = None, delta: int = 1) -> None:
        """Take *delta*, waiting until that many are there, or for *timeout* seconds."""
        if (
            delta is _ONE
            and (timeout is None or (timeout.__class__ is float and timeout >= 0))
            and ops.now_sem_take(self._quick) == 0
        ):
            return
        timeout, count = self._patience(timeout), _count(delta)
        try:
            self._handle().acquire(timeout, count=count, undo=self.undo)
        except IPCError as problem:
            refuse(problem, SEMAPHORE)

    def release(self, delta: int = 1) -> None:
        """Give *delta*."""
        if delta is _ONE and ops.now_sem_give(self._quick) == 0:
            return
        count = _count(delta)
        try:
            self._handle().release(count, undo=self.undo)
        except IPCError as problem:
            refuse(problem, SEMAPHORE)

    P = acquire
    V = release

    def Z(self, timeout: float | None = None) -> None:  # noqa: N802  # its name
        """Wait until the value is 0, or for *timeout* seconds."""
        timeout = self._patience(timeout)
        try:
            self._handle().wait_zero(timeout)
        except IPCError as problem:
            refuse(problem, SEMAPHORE)

    def _patience(self, timeout: Any) -> float | None:
        if timeout is not None and not (isinstance(timeout, (int, float)) and timeout >= 0):
            raise TypeError("The timeout must be None or a non-negative number")
        return timeout if self._block else 0

    def __enter__(self) -> Semaphore:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def block(self) -> bool:
        """Whether acquire() and Z() wait at all; at first they do."""
        return self._block

    @block.setter
    def block(self, value: object) -> None:
        self._block = bool(value)

    @property
    def undo(self) -> bool:
        """Whether the kernel undoes what this process did when it ends (SEM_UNDO); at first not."""
        return self._quick < 0

    @undo.setter
    def undo(self, value: object) -> None:
        self._quick = -1 if value else self._id

    @property
    def value(self) -> int:
        """The value now. Setting it wakes who waits for it."""
        return self._figure(ops.SEM_GET_VALUE)

    @value.setter
    def value(self, value: int) -> None:
        value = _valid_value(number(value, "value"))
        check(ops.now_sem_set_value(self._id, 0, value), SEMAPHORE, f"set semaphore id {self._id}")

    def _figure(self, what: int) -> int:
        return check(ops.now_sem_get(self._id, 0, what), SEMAPHORE, f"look at semaphore id {self._id}")

    last_pid = Shown(
        lambda self: self._figure(ops.SEM_GET_PID), doc="Who operated on it last, or set its value."
    )
    waiting_for_nonzero = Shown(
        lambda self: self._figure(ops.SEM_GET_WAITERS), doc="How many wait to take from it."
    )
    waiting_for_zero = Shown(
        lambda self: self._figure(ops.SEM_GET_ZERO_WAITERS), doc="How many wait until it is 0."
    )
    o_time = stat_field("op_time", "When somebody operated on it last; 0 until then.")
    mode = owner_field("mode", 0o777, "Permission bits.")
    uid = owner_field("uid", 0xFFFFFFFF, "The owner.")
    gid = owner_field("gid", 0xFFFFFFFF, "The owner's group.")
    cuid = stat_field("creator_uid", "Who made it.")
    cgid = stat_field("creator_gid", "The maker's group.")


def _found_or_made(key: int, mode: int, value: int) -> int:
    """The id. One that exists keeps its value, so whether it does has to be known."""
    while True:
        id = ops.sem_get(key, mode | IPC_CREX, value)
        if id != -EEXIST:
            return id
        id = ops.sem_get(key, mode, 0)
        if id != -ENOENT:
            return id


def _count(delta: Any) -> int:
    """How many: the sign does not matter."""
    count = c_int(delta)
    if not -(1 << 15) <= count < 1 << 15:
        raise OverflowError(f"{count} does not fit into 16 bits")
    if count == 0:
        raise ValueError("The delta must be non-zero")
    return abs(count)


def _valid_value(value: int) -> int:
    if not 0 <= value <= SEMAPHORE_VALUE_MAX:
        raise ValueError("The semaphore's value must remain between 0 and SEMVMX")
    return value


def remove_semaphore(id: int, /) -> None:
    """Remove the semaphore that has this id."""
    check(ops.sem_remove(c_int(id)), SEMAPHORE, f"remove semaphore id {id}")
