"""Numbers that processes count in together, without a lock."""

from __future__ import annotations

from errno import EBADF, ENOTSUP
from operator import index as to_int

from .._backend import ops
from ..errors import error
from ._block import Block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    Self = TypeVar("Self", bound="_Counting")


class _Counting:
    """What a counter and an array of them share."""

    __slots__ = ("__weakref__", "_address", "_block", "_counters")
    _block: Block | None

    def __init__(self, block: Block) -> None:
        counters = ops.counters(block.memory)
        if isinstance(counters, int):
            raise error(-counters, "count in shared memory")
        self._block = block
        self._counters = counters
        self._address = ops.address_of(counters)

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._block is None

    def close(self) -> None:
        """Let go of it; the kernel frees it with the last who has it. Closing again does nothing."""
        self._address = 0  # first, since C uses it
        self._block = None
        self._counters = None

    def _refusal(self, problem: Exception, *numbers: Any) -> Exception:
        """What a call has done wrong, from what the core made of it."""
        if self.closed:
            return error(EBADF, "use a counter")
        if isinstance(problem, OverflowError):
            return ValueError(f"a counter is -2**63 to 2**63-1, not {' or '.join(map(str, numbers))}")
        return problem

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self._block is None:
            raise error(EBADF, "pickle a counter")
        return _over, (type(self), self._block)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _over(cls: type[_Counting], block: Block) -> _Counting:
    counting = cls.__new__(cls)
    _Counting.__init__(counting, block)
    return counting


def _fresh(count: int) -> Block:
    if isinstance(ops.counters(memoryview(b"")), int):
        raise error(ENOTSUP, "count in shared memory")
    return Block(count * ops.COUNTER_STRIDE)


@ops.accelerate("counter.add")
class Counter(_Counting):
    """A number of 64 bits, -2**63 to 2**63-1, that processes count in together.

    Each call is one step for all of them, takes a fraction of a microsecond, and never waits; whoever
    is killed has done it or has not. All see all of it in one order (sequential consistency). Past its
    end the number goes on at the other end.

    It can be passed to processes that `multiprocessing` starts, and over its connections and queues; a
    forked child has it.

    Args:
        value: What it begins with.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        LimitError: RLIMIT_NOFILE: it takes a descriptor.
    """

    __slots__ = ()

    def __init__(self, value: int = 0) -> None:
        super().__init__(_fresh(1))
        if value:
            self.value = value

    def add(self, n: int = 1) -> int:
        """Add *n*, which may be negative; gives the new value."""
        try:
            return ops.now_counter_add(self._counters, 0, n)
        except (TypeError, OverflowError) as problem:
            raise self._refusal(problem, n) from None

    @property
    def value(self) -> int:
        """What it is now; can be set."""
        try:
            return ops.now_counter_get(self._counters, 0)
        except TypeError as problem:
            raise self._refusal(problem) from None

    @value.setter
    def value(self, value: int) -> None:
        self.exchange(value)

    def exchange(self, value: int) -> int:
        """Give it a new value, and return the old one."""
        try:
            return ops.now_counter_exchange(self._counters, 0, value)
        except (TypeError, OverflowError) as problem:
            raise self._refusal(problem, value) from None

    def compare_exchange(self, expected: int, value: int) -> bool:
        """Give it a new value if it has the *expected* one; whether it had."""
        try:
            return bool(ops.now_counter_compare_exchange(self._counters, 0, expected, value))
        except (TypeError, OverflowError) as problem:
            raise self._refusal(problem, expected, value) from None

    def __repr__(self) -> str:
        return f"<counter{', closed' if self.closed else f' of {self.value}'}>"


class Counters(_Counting):
    """Several counters, each as `Counter` is.

    Each has 128 bytes to itself, so that processes that count in different ones do not slow each other
    down; and all of them take one descriptor.

    Args:
        count: How many, at least 1; each is 0 at first.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        OutOfMemoryError, LimitError: There is not that much memory; RLIMIT_NOFILE.
    """

    __slots__ = ()

    def __init__(self, count: int) -> None:
        if not 1 <= to_int(count) < 1 << 40:
            raise ValueError(f"1 to 2**40-1 counters, not {count}")
        super().__init__(_fresh(count))

    def __len__(self) -> int:
        block = self._block
        if block is None:
            raise error(EBADF, "use counters")
        return len(block.memory) // ops.COUNTER_STRIDE

    def _place(self, index: int) -> int:
        last = len(self) - 1
        if not 0 <= index <= last:
            raise IndexError(f"index is 0 to {last}, not {index}")
        return index

    def add(self, index: int, n: int = 1) -> int:
        """Add *n*, which may be negative, to one of them; gives its new value."""
        place = self._place(index)
        try:
            return ops.now_counter_add(self._counters, place, n)
        except (TypeError, OverflowError) as problem:
            raise self._refusal(problem, n) from None

    def __getitem__(self, index: int) -> int:
        place = self._place(index)
        try:
            return ops.now_counter_get(self._counters, place)
        except TypeError as problem:
            raise self._refusal(problem) from None

    def __setitem__(self, index: int, value: int) -> None:
        self.exchange(index, value)

    def exchange(self, index: int, value: int) -> int:
        """Give one of them a new value, and return its old one."""
        place = self._place(index)
        try:
            return ops.now_counter_exchange(self._counters, place, value)
        except (TypeError, OverflowError) as problem:
            raise self._refusal(problem, value) from None

    def compare_exchange(self, index: int, expected: int, value: int) -> bool:
        """Give one of them a new value if it has the *expected* one; whether it had."""
        place = self._place(index)
        try:
            return bool(ops.now_counter_compare_exchange(self._counters, place, expected, value))
        except (TypeError, OverflowError) as problem:
            raise self._refusal(problem, expected, value) from None

    def __repr__(self) -> str:
        return "<counters, closed>" if self.closed else f"<{len(self)} counters>"
