"""Barriers."""

from __future__ import annotations

from errno import ECANCELED, ETIMEDOUT
from time import monotonic_ns

from .. import _deadline
from .._backend import ops
from ._handles import SyncHandle, fresh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Barrier(SyncHandle):
    """Where *parties* threads, of whatever processes, wait for each other, again and again.

    One that is killed while it waits is not counted any more. Each handle costs a descriptor.

    Args:
        parties: How many, 1..2**20.
        action: Called by one of them when all have come, before any goes on. If it raises, or its process is
            killed at it, the barrier is broken.
        timeout: Of `wait`, in seconds, where it is not given.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        LimitError: RLIMIT_NOFILE.
    """

    __slots__ = ("_action", "_parties", "_timeout")
    kind = "barrier"
    _KIND = ops.BARRIER

    def __init__(
        self, parties: int, action: Callable[[], Any] | None = None, timeout: float | None = None
    ) -> None:
        if not 1 <= parties <= ops.MOST_PARTIES:
            raise ValueError(f"parties is 1..{ops.MOST_PARTIES}, not {parties}")
        self._arrived_with(parties, action, timeout)
        super().__init__(fresh(ops.BARRIER, 0, parties))

    def _arrived_with(self, *more: Any) -> None:
        self._parties, self._action, self._timeout = more

    def _more(self) -> tuple[Any, ...]:
        return (self._parties, self._action, self._timeout)

    @property
    def parties(self) -> int:
        """How many have to come."""
        return int(self._parties)

    @property
    def n_waiting(self) -> int:
        """How many wait now."""
        return self._said(self._promptly("read", ops.barrier_waiting), "read")

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return bool(self._call(ops.now_barrier_broken))

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all have come; gives each of them another number, 0..parties-1.

        Raises:
            threading.BrokenBarrierError: It is broken, or was while we waited; or we have waited *timeout*
                seconds, and it is broken now.
        """
        timeout = self._timeout if timeout is None else timeout
        deadline = _deadline.after(timeout if timeout is None else max(timeout, 0))
        arrival = ops.new_arrival()
        try:
            result = self._come(arrival, deadline)
        except BaseException:  # the action's, and a signal handler's
            if not self.closed:
                self._leave(arrival)
            raise
        if result in (-ECANCELED, -ETIMEDOUT):
            from threading import BrokenBarrierError

            raise BrokenBarrierError
        self._said(result, "wait at")
        return int(arrival.place)

    def _come(self, arrival: Any, deadline: int) -> int:
        acts, since = self._action is not None, monotonic_ns()
        result = self._by(deadline, ops.barrier_arrive, acts, arrival, since)
        if result == -ETIMEDOUT:
            self._briefly("break", ops.barrier_abort)
        if result < 0 or arrival.passed:
            return result
        if arrival.acts:
            self._action()
            return self._promptly("end", ops.barrier_acted, arrival.generation, True)
        result = self._by(deadline, ops.barrier_wait, arrival.generation, since)
        if result == -ETIMEDOUT:
            result = self._briefly("break", ops.barrier_acted, arrival.generation, False)
        return result

    def _by(self, deadline: int, call: Any, *arguments: Any) -> int:
        result: int = self._wait_until(lambda until: self._call(call, *arguments, until), deadline, "wait at")
        return result

    def _leave(self, arrival: Any) -> None:
        if arrival.acts:
            self._briefly("break", ops.barrier_acted, arrival.generation, False)
        elif arrival.place >= 0 and not arrival.passed:
            self._briefly("leave", ops.barrier_leave, arrival)

    def reset(self) -> None:
        """Make it as new; those who wait get `threading.BrokenBarrierError`."""
        self._said(self._promptly("reset", ops.barrier_reset), "reset")

    def abort(self) -> None:
        """Break it: whoever waits, or comes, gets `threading.BrokenBarrierError`, until a `reset`."""
        self._said(self._promptly("break", ops.barrier_abort), "break")

    def _said(self, result: int, doing: str) -> int:
        if result < 0:
            raise self._error(result, doing)
        return result
