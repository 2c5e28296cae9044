"""Conditions."""

from __future__ import annotations

from errno import EAGAIN, ENOSPC, ETIMEDOUT
from time import monotonic, monotonic_ns

from .. import _deadline
from .._backend import ops
from ..errors import IPCError, limit_error
from ._handles import Acquired, fresh
from .locks import Lock, RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

_MOST_WAITERS = 1024
_ALL = 2**31 - 1


class Condition(Acquired):
    """A lock, and a place to wait under it for what others will say.

    `notify` wakes exactly as many as it says, those who have waited longest, and passes over those who
    were killed. One that is killed when it has just been woken takes its notify along. Each handle costs a
    descriptor, and so does that of its lock; at most 1024 can wait at once.

    Args:
        lock: A `Lock` or `RLock` of this module; or it has an `RLock` of its own.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        LimitError: RLIMIT_NOFILE.
    """

    __slots__ = ("_is_its_own", "_lock")
    kind = "condition"
    _KIND = ops.CONDITION

    def __init__(self, lock: Lock | RLock | None = None) -> None:
        self._arrived_with(RLock() if lock is None else lock, lock is None)
        super().__init__(fresh(ops.CONDITION))

    def _more(self) -> tuple[Any, ...]:
        return (self._lock, self._is_its_own)

    def _arrived_with(self, *more: Any) -> None:
        self._lock: Lock | RLock
        self._is_its_own: bool
        self._lock, self._is_its_own = more

    def close(self) -> None:
        """Let go of it, and of the lock if it is its own.

        Threads of this process that wait on this handle get `ClosedError`. Closing again does nothing.
        """
        super().close()
        if self._is_its_own:
            self._lock.close()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take its lock; False if that would have to wait, or took longer than *timeout* seconds."""
        return self._lock.acquire(block, timeout)

    def release(self) -> None:
        """Give its lock back."""
        self._lock.release()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock._depth():  # not if a `wait` could not take it again: it may be another's by now
            self.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, wait to be notified, and take the lock again, as often as it was taken.

        False if there was no notify within *timeout* seconds. The lock is taken again in any case, also if a
        signal handler raises; if one raises again while it waits for the lock, it is not.

        Raises:
            AssertionError: This thread does not have the lock.
            LimitError: 1024 wait already.
            OwnerDiedError: Whoever had the lock, which is strict, has died; it is not taken.
        """
        depth = self._owned("wait")
        deadline = _deadline.by(timeout if timeout is None else max(timeout, 0))
        place = ops.new_place()
        try:
            result = self._until(deadline, "wait for", ops.condition_enlist, place)
            if result == 0:
                self._let_go(depth)
                result = self._until(deadline, "wait for", ops.condition_sleep, place, monotonic_ns())
            notified = result == 0 or self._delist(place)
        except BaseException:
            if self._delist(place):  # it is for another
                self._notify(1)
            raise
        finally:
            try:
                self._take_again(depth)
            except IPCError:
                raise
            except BaseException:  # a signal handler's
                self._take_again(depth)
                raise
        if result == -ENOSPC:
            raise limit_error(ENOSPC, f"wait for {self}", "waiters", _MOST_WAITERS, None)
        if not notified and result not in (-ETIMEDOUT, -EAGAIN):
            raise self._error(result, "wait for")
        return notified

    def _delist(self, place: Any) -> bool:
        return not self.closed and self._briefly("leave", ops.condition_delist, place) == 1

    def _let_go(self, depth: int) -> None:
        for _ in range(depth):
            self._lock.release()

    def _take_again(self, depth: int) -> None:
        while self._lock._depth() < depth:
            self._lock.acquire()

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """Wait until `predicate()` is true, which is asked under the lock: what it said last.

        That is false if *timeout* seconds have passed.
        """
        end = None if timeout is None else monotonic() + timeout
        result = predicate()
        while not result:
            left = None if end is None else end - monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
            result = predicate()
        return result

    def notify(self, n: int = 1) -> None:
        """Wake *n* of those who wait, or as many as there are.

        Raises:
            AssertionError: This thread does not have the lock.
        """
        self._owned("notify")
        if n > 0:
            self._notify(n)

    def notify_all(self) -> None:
        """Wake all who wait.

        Raises:
            AssertionError: This thread does not have the lock.
        """
        self.notify(_ALL)

    def _notify(self, most: int) -> None:
        result = self._promptly("notify", ops.condition_notify, min(most, _ALL))
        if result < 0:
            raise self._error(result, "notify")

    def _owned(self, doing: str) -> int:
        depth = self._lock._depth()
        if not depth:
            raise AssertionError(f"{doing}() on a condition whose lock this thread has not acquired")
        return depth
