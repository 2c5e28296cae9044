"""What every handle on a semaphore set can do (semget(2), semop(2), semctl(2))."""

from __future__ import annotations

import time
from errno import E2BIG, EACCES, EAGAIN, EIDRM, EINVAL, ENOENT, ENOSPC, ERANGE

from .. import _deadline, _handle
from .._backend import ops
from ..errors import HalfMadeError, NotFoundError, RemovedError, check, error, limit_error
from . import limits
from .keys import key_t, permissions, valid, valid_id, valid_mode, with_key
from .listing import semaphore_sets
from .records import SetStat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    from .._backend.protocol import Prepared
    from ..errors import IPCError

    AnySet = TypeVar("AnySet", bound="BaseSet")

MOST = 32767  # SEMVMX: the kernel's bound on a value, which nothing raises

# A set that was just made is initialised within microseconds, unless its maker is stopped or dead.
READY_WITHIN = 5.0


def valid_values(values: Sequence[int]) -> list[int]:
    """*values*, if semaphores can have them."""
    values = list(values)
    if not values:
        raise ValueError("a set has at least 1 semaphore")
    for value in values:
        valid_value(value)
    return values


def valid_value(value: int) -> int:
    """*value*, if a semaphore can have it."""
    if not isinstance(value, int):
        raise TypeError(f"a value is an int, not {type(value).__name__}")
    if not 0 <= value <= MOST:
        raise ValueError(f"a semaphore's value is 0..{MOST}, not {value}")
    return value


def _cannot_create(result: int, key: int, count: int) -> IPCError:
    doing = f"create semaphore set of {count}{with_key(key)}"
    if result == -ENOSPC:
        return limits.reached_either(result, doing, "SEMMNI", semaphore_sets(), "SEMMNS")
    if result == -EINVAL and count > limits.read("SEMMSL"):
        return limits.reached(result, doing, "SEMMSL")
    return error(-result, doing)


class BaseSet(_handle.Handle):
    """What `SemaphoreSet` and `Semaphore` share: making, finding, stat and set."""

    __slots__ = ("_count",)
    kind = "semaphore set"

    def __init__(self, id: int, key: int | None, count: int, *, owner: bool) -> None:
        self._count = count
        super().__init__(id, key, owner=owner)

    @classmethod
    def _create(cls: type[AnySet], values: list[int], key: int | None, mode: int, persist: bool) -> AnySet:
        kernel_key = key_t(key)
        id = ops.sem_create(kernel_key, values, valid_mode(mode))
        if id < 0:
            raise _cannot_create(id, kernel_key, len(values))
        return cls(id, kernel_key or None, len(values), owner=not persist)

    @classmethod
    def _open_or_create(
        cls: type[AnySet], values: list[int], key: int, mode: int, timeout: float | None
    ) -> AnySet:
        while True:
            try:
                try:
                    return cls._create(values, key, mode, True)
                except FileExistsError:
                    return cls.open(key, timeout=timeout)
            except (NotFoundError, RemovedError):
                pass  # somebody removed it between two of the calls: begin again

    @classmethod
    def open(
        cls: type[AnySet], key: int, *, timeout: float | None = READY_WITHIN, ready: bool = True
    ) -> AnySet:
        """Find the set that has this key, once its maker has initialised it.

        A set is born without values; it is initialised when somebody operates on it for the first
        time, which `create` does at once. Programs that are not pyipc may not: find their sets
        with `ready=False`, and agree with them on when the values are good.

        Args:
            key: Its key.
            timeout: How many seconds its maker has to initialise it.
            ready: Whether to wait for that.

        Raises:
            NotFoundError: There is none.
            HalfMadeError: It was not initialised in time.
        """
        key = valid(key)
        _deadline.valid(timeout)
        id = check(ops.now_sem_find(key, 0), f"open semaphore set{with_key(key)}")
        if ready:
            _wait_until_ready(id, key, timeout)
        return cls.attach(id)

    @classmethod
    def attach(cls: type[AnySet], id: int) -> AnySet:
        """Find the set that has this id, initialised or not.

        Raises:
            RemovedError: There is none.
        """
        fields = ops.now_sem_stat(valid_id(id))
        if fields == -EACCES:  # the listing tells everybody
            for row in semaphore_sets():
                if row.id == id:
                    return cls(id, row.key or None, row.count, owner=False)
        if isinstance(fields, int):
            raise error(-fields, f"attach semaphore set id {id}")
        return cls(id, fields[0][0] or None, fields[1], owner=False)

    def stat(self) -> SetStat:
        """What the kernel knows about it.

        Raises:
            AccessError: Its mode forbids reading.
        """
        fields = ops.now_sem_stat(self._live)
        if isinstance(fields, int):
            raise self._error(fields, "stat")
        owner, count, op_time, change_time = fields
        return SetStat(self.id, owner, count=count, op_time=op_time, change_time=change_time)

    def set(self, *, mode: int | None = None, uid: int | None = None, gid: int | None = None) -> None:
        """Change its mode, owner or group (IPC_SET).

        Raises:
            AccessError: Neither its owner nor its creator, nor privileged.
        """
        result = ops.now_sem_set(self._live, *permissions(uid, gid, mode))
        if result < 0:
            raise self._error(result, "set")

    def _get(self, index: int, what: int, doing: str) -> int:
        result = ops.now_sem_get(self._live, index, what)
        if result < 0:
            raise self._error(result, doing)
        return result

    def _set_value(self, index: int, value: int) -> None:
        result = ops.now_sem_set_value(self._live, index, valid_value(value))
        if result < 0:
            raise self._error(result, "set a value of")

    def _operate(
        self, prepared: Prepared, wanted: Sequence[tuple[int, int, int]], timeout: float | None
    ) -> None:
        count = len(wanted)
        result = ops.now_sem_op(self._live, prepared, count)
        if result == -EAGAIN:
            result = self._wait(
                lambda end: ops.sem_op(self._live, prepared, count, end), timeout, "operate on"
            )
        if result < 0:
            raise self._op_error(result, wanted)

    def _op_error(self, result: int, operations: Sequence[tuple[int, int, int]]) -> IPCError:
        doing = f"operate on {self}"
        if self.closed:
            return self._error(result, "operate on")
        if result == -E2BIG:
            return limits.reached(result, f"{doing}: {len(operations)} operations at once", "SEMOPM")
        if result == -ERANGE and self._rises_too_high(operations):
            return limit_error(-result, f"{doing}: a value would rise above", "SEMVMX", MOST, None)
        if result == -ERANGE:
            return limit_error(-result, f"{doing}: more to undo than", "SEMAEM", MOST, None)
        if result == -ENOSPC:
            return limit_error(-result, f"{doing} with undo", "SEMMNU", None, None)
        return self._error(result, "operate on")

    def _rises_too_high(self, operations: Sequence[tuple[int, int, int]]) -> bool:
        """Whether ERANGE was about a value; what is left is the sum that undo would give back."""
        if not any(flags & ops.SEM_UNDO for _, _, flags in operations):
            return True
        rises = [index for index, delta, _ in operations if delta > 0]
        return any(
            ops.now_sem_get(self._live, index, ops.SEM_GET_VALUE)
            + sum(delta for at, delta, _ in operations if at == index)
            > MOST
            for index in rises
        )

    def _remove(self, id: int) -> int:
        return ops.sem_remove(id)


def _wait_until_ready(id: int, key: int, timeout: float | None) -> None:
    deadline = _deadline.after(timeout)
    nap = 0.00005
    while True:
        fields = ops.now_sem_stat(id)
        if fields == -EACCES:
            return  # we may not look; whoever gave us a set that we cannot read knows what it is
        if isinstance(fields, int):
            raise error(-fields if fields != -EIDRM else ENOENT, f"open semaphore set{with_key(key)}")
        if fields[2]:
            return
        if time.monotonic_ns() >= deadline:
            problem = HalfMadeError(
                EAGAIN, f"semaphore set{with_key(key)} (id {id}) was not initialised within {timeout} s"
            )
            problem.id = id
            raise problem
        time.sleep(nap)  # the kernel announces no first semop; there is nothing to wait on
        nap = min(nap * 2, 0.01)
