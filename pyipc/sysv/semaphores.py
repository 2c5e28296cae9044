"""Semaphore sets, and the semaphore that is a set of one (semop(2))."""

from __future__ import annotations

from .. import _deadline
from .._backend import ops
from ..errors import error
from .sets import MOST, READY_WITHIN, BaseSet, valid_value, valid_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from .._backend.protocol import Prepared


class Operation:
    """One operation on one semaphore of a set, to be done together with others in `op()`.

    Attributes:
        index: Which semaphore.
        delta: What to add (waiting until the value stays at least 0); 0 waits for the value 0.
    """

    __slots__ = ("_flags", "_set", "delta", "index")

    def __init__(self, set: SemaphoreSet, index: int, delta: int, flags: int = 0) -> None:
        if not -MOST <= delta <= MOST:
            raise ValueError(f"an operation adds -{MOST}..{MOST}, not {delta}")
        self._set = set
        self._flags = flags
        self.index = index
        self.delta = delta

    @property
    def undo(self) -> Operation:
        """The same, undone by the kernel when this process ends (SEM_UNDO)."""
        return Operation(self._set, self.index, self.delta, self._flags | ops.SEM_UNDO)

    @property
    def nowait(self) -> Operation:
        """The same, but if it would have to wait, the call fails with `WouldBlockError` (IPC_NOWAIT)."""
        return Operation(self._set, self.index, self.delta, self._flags | ops.SEM_NOWAIT)

    def __repr__(self) -> str:
        what = f" {'+' if self.delta > 0 else '-'} {abs(self.delta)}" if self.delta else ".wait_zero"
        undo = ".undo" if self._flags & ops.SEM_UNDO else ""
        nowait = ".nowait" if self._flags & ops.SEM_NOWAIT else ""
        return f"[{self.index}]{what}{undo}{nowait}"


class Member:
    """One semaphore of a set: its figures, and the operations on it."""

    __slots__ = ("_index", "_set")

    def __init__(self, set: SemaphoreSet, index: int) -> None:
        self._set = set
        self._index = index

    def __add__(self, count: int) -> Operation:
        if count == 0:
            raise ValueError("adding 0 would wait for the value 0: say .wait_zero for that")
        return Operation(self._set, self._index, count)

    def __sub__(self, count: int) -> Operation:
        return self + -count

    @property
    def wait_zero(self) -> Operation:
        """Wait until the value is 0."""
        return Operation(self._set, self._index, 0)

    @property
    def value(self) -> int:
        """The value now (GETVAL). Setting it (SETVAL) wakes waiters and drops everybody's undo."""
        return self._set._get(self._index, ops.SEM_GET_VALUE, "get a value of")

    @value.setter
    def value(self, value: int) -> None:
        self._set._set_value(self._index, value)

    @property
    def pid(self) -> int:
        """Who operated on it last (GETPID)."""
        return self._set._get(self._index, ops.SEM_GET_PID, "get the last pid of")

    @property
    def waiters(self) -> int:
        """How many wait for the value to rise (GETNCNT)."""
        return self._set._get(self._index, ops.SEM_GET_WAITERS, "count the waiters of")

    @property
    def zero_waiters(self) -> int:
        """How many wait for the value 0 (GETZCNT)."""
        return self._set._get(self._index, ops.SEM_GET_ZERO_WAITERS, "count the waiters of")

    def __repr__(self) -> str:
        return f"<semaphore {self._index} of {self._set}>"


class SemaphoreSet(BaseSet):
    """A set of semaphores, on which several operations can be done in one indivisible step.

    `s[0]` is its first semaphore; `s[0] + 1`, `s[0] - 1` and `s[0].wait_zero` are operations for
    `op()` and `ops()`.
    """

    __slots__ = ()

    @classmethod
    def create(
        cls,
        count: int,
        *,
        key: int | None = None,
        initial: int | Sequence[int] = 0,
        mode: int = 0o600,
        persist: bool = False,
    ) -> SemaphoreSet:
        """Make a set of *count* semaphores that hold *initial*.

        Others find it by `open` only once the values are there. Nothing in the kernel ties a set
        to a process: one whose owner is killed by SIGKILL stays, private or not.

        Args:
            count: Semaphores in the set.
            key: Where other programs find it; None makes it private.
            initial: One value for all, or one for each, 0..32767.
            mode: Who may read and alter it.
            persist: Keep it until somebody removes it.

        Raises:
            AlreadyExistsError: The key is taken.
            LimitError: SEMMNI, SEMMNS or SEMMSL.
        """
        return cls._create(_initial(count, initial), key, mode, persist)

    @classmethod
    def open_or_create(
        cls,
        key: int,
        count: int,
        *,
        initial: int | Sequence[int] = 0,
        mode: int = 0o600,
        timeout: float | None = READY_WITHIN,
    ) -> SemaphoreSet:
        """Find the set that has this key; make it if there is none.

        Whoever makes it, nobody owns it: it stays until `remove()`.

        Raises:
            HalfMadeError: There is one, not initialised within *timeout* seconds.
            ValueError: There is one, and it has fewer than *count* semaphores.
        """
        found = cls._open_or_create(_initial(count, initial), key, mode, timeout)
        if len(found) < count:
            found.close()
            raise ValueError(f"{found} has {len(found)} semaphores, fewer than {count}")
        return found

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Member:
        place = index + self._count if index < 0 else index
        if not 0 <= place < self._count:
            raise IndexError(f"{self} has {self._count} semaphores, and none at {index}")
        return Member(self, place)

    def __iter__(self) -> Iterator[Member]:
        return (Member(self, index) for index in range(self._count))

    def op(self, *operations: Operation, timeout: float | None = None) -> None:
        """Do all of these operations, in order, in one indivisible semop(2), or none.

        Args:
            operations: At least one.
            timeout: How many seconds to wait until all can be done.

        Raises:
            WouldBlockError: With `timeout=0`, or an operation's `nowait`.
            TimedOutError: They could not be done in time.
            RemovedError: The set is gone.
            LimitError: SEMOPM, or a value above 32767, or too many undos.
        """
        self.ops(*operations)(timeout)

    def ops(self, *operations: Operation) -> Callable[..., None]:
        """Make operations ready for many calls: `take = s.ops(s[0] - 1)`, then `take(timeout=5)`."""
        if not operations:
            raise ValueError("semop(2) takes at least 1 operation")
        for operation in operations:
            if operation._set is not self:
                raise ValueError(f"{operation} belongs to another set")
        wanted = [(operation.index, operation.delta, operation._flags) for operation in operations]
        prepared = ops.sem_prepare(wanted)
        if isinstance(prepared, int):
            raise error(-prepared, f"do {len(wanted)} operations at once on {self}")
        return ops.sem_callable(self, _Operations(self, prepared, wanted), prepared)

    @property
    def values(self) -> list[int]:
        """All values, at one moment (GETALL). Setting them (SETALL) drops everybody's undo."""
        values = ops.now_sem_get_all(self._live, self._count)
        if isinstance(values, int):
            raise self._error(values, "get the values of")
        return values

    @values.setter
    def values(self, values: Sequence[int]) -> None:
        values = valid_values(values)
        if len(values) != self._count:
            raise ValueError(f"{len(values)} values for the {self._count} semaphores of {self}")
        result = ops.now_sem_set_all(self._live, values)
        if result < 0:
            raise self._error(result, "set the values of")


def _initial(count: int, initial: int | Sequence[int]) -> list[int]:
    if not isinstance(count, int):
        raise TypeError(f"count is an int, not {type(count).__name__}")
    if not 1 <= count <= 65535:
        raise ValueError(f"a set has 1..65535 semaphores, not {count}")
    values = valid_values([initial] * count if isinstance(initial, int) else initial)
    if len(values) != count:
        raise ValueError(f"{len(values)} initial values for {count} semaphores")
    return values


class _Operations:
    """Operations that `SemaphoreSet.ops` made ready."""

    __slots__ = ("_prepared", "_set", "_wanted")

    def __init__(self, set: SemaphoreSet, prepared: Prepared, wanted: Sequence[tuple[int, int, int]]) -> None:
        self._set = set
        self._prepared = prepared
        self._wanted = wanted

    def run(self, timeout: float | None = None) -> None:
        """Do them all in one step, within *timeout* seconds; raises as `SemaphoreSet.op` does."""
        _deadline.valid(timeout)
        self._set._operate(self._prepared, self._wanted, timeout)


@ops.accelerate("acquire", "release")
class Semaphore(BaseSet):
    """A counting semaphore: a set of one.

    `with sem:` takes 1 and gives it back, and the kernel gives it back if the process dies in
    between (SEM_UNDO). Closing is by `close()`, or `contextlib.closing(sem)`.
    """

    __slots__ = ()
    kind = "semaphore"

    @classmethod
    def create(
        cls, initial: int = 1, *, key: int | None = None, mode: int = 0o600, persist: bool = False
    ) -> Semaphore:
        """Make a semaphore that holds *initial*, as `SemaphoreSet.create` does."""
        return cls._create([valid_value(initial)], key, mode, persist)

    @classmethod
    def open_or_create(
        cls, key: int, initial: int = 1, *, mode: int = 0o600, timeout: float | None = READY_WITHIN
    ) -> Semaphore:
        """Find the semaphore that has this key, or make it, as `SemaphoreSet.open_or_create` does."""
        return cls._open_or_create([valid_value(initial)], key, mode, timeout)

    def acquire(self, timeout: float | None = None, *, count: int = 1, undo: bool = False) -> None:
        """Take *count*, waiting until that many are there.

        Args:
            timeout: How many seconds to wait.
            count: How many, in one step.
            undo: Let the kernel give them back when this process ends.

        Raises:
            WouldBlockError: With `timeout=0`: not that many are there.
            TimedOutError: Not that many were there in time.
            RemovedError: The semaphore is gone.
        """
        _deadline.valid(timeout)
        if count == 1 and not undo:
            result = ops.now_sem_take(self._live)
            if result == 0:
                return
        self._add(-_valid_count(count), undo, timeout)

    def release(self, count: int = 1, *, undo: bool = False) -> None:
        """Give *count*, and wake who waits for them.

        Raises:
            LimitError: The value would rise above 32767.
            RemovedError: The semaphore is gone.
        """
        if count == 1 and not undo:
            result = ops.now_sem_give(self._live)
            if result == 0:
                return
        self._add(_valid_count(count), undo, None)

    def wait_zero(self, timeout: float | None = None) -> None:
        """Wait until the value is 0; raises as `acquire` does."""
        _deadline.valid(timeout)
        self._add(0, False, timeout)

    def _add(self, delta: int, undo: bool, timeout: float | None) -> None:
        wanted = [(0, delta, ops.SEM_UNDO if undo else 0)]
        self._operate(ops.sem_prepare(wanted), wanted, timeout)

    @property
    def value(self) -> int:
        """The value now (GETVAL). Setting it (SETVAL) wakes waiters and drops everybody's undo."""
        return self._get(0, ops.SEM_GET_VALUE, "get the value of")

    @value.setter
    def value(self, value: int) -> None:
        self._set_value(0, value)

    @property
    def waiters(self) -> int:
        """How many wait for the value to rise (GETNCNT)."""
        return self._get(0, ops.SEM_GET_WAITERS, "count the waiters of")

    def __enter__(self) -> Semaphore:
        self.acquire(undo=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release(undo=True)


def _valid_count(count: int) -> int:
    if not isinstance(count, int):
        raise TypeError(f"count is an int, not {type(count).__name__}")
    if not 1 <= count <= MOST:
        raise ValueError(f"count is 1..{MOST}, not {count}")
    return count
