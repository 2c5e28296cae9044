"""Counters that can be waited for (eventfd(2))."""

from __future__ import annotations

from errno import EAGAIN, EINTR, ETIMEDOUT
from time import monotonic_ns

from .. import _deadline
from .._backend import ops
from .._descriptor import WaitedHandle
from ..errors import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Self = TypeVar("Self", bound="Eventfd")

_MOST = 2**64 - 2


class Eventfd(WaitedHandle):
    """A counter in the kernel: `write` adds, `read` waits until it is above 0 and takes.

    It is readable, for select(2) and the like, while it is above 0.

    Args:
        descriptor: An eventfd's number that nobody else will close; or a handle, such as one that was
            received, which gives its own up.
    """

    __slots__ = ()
    kind = "eventfd"

    @classmethod
    def create(cls: type[Self], initial: int = 0, *, semaphore: bool = False) -> Self:
        """Make one.

        Args:
            initial: Its value.
            semaphore: Let each `read` take 1, not all.

        Raises:
            LimitError: RLIMIT_NOFILE, or the system's limit on open files.
            UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        """
        if not 0 <= initial < 1 << 32:
            raise ValueError(f"initial is 0..2**32-1, not {initial}")
        eventfd = cls._empty()
        check(ops.now_eventfd(eventfd, initial, semaphore), "create an eventfd")
        return eventfd

    def read(self, timeout: float | None = None) -> int:
        """Wait until the counter is above 0; take all of it, or 1 of a semaphore.

        Raises:
            WouldBlockError: With `timeout=0`: it is 0.
            TimedOutError: It was not above 0 in time.
        """
        _deadline.valid(timeout)
        result = ops.now_eventfd_read(self)
        if result == -EAGAIN:
            result = self._until(lambda: ops.now_eventfd_read(self), ops.READABLE, timeout, "read")
        if result < 0:
            raise self._error(result, "read")
        return result

    def write(self, value: int = 1, timeout: float | None = None) -> None:
        """Add to the counter, waiting while that would take it above 2**64-2.

        Raises:
            WouldBlockError: With `timeout=0`: it would.
            TimedOutError: It would, all the time.
        """
        _deadline.valid(timeout)
        if not 0 <= value <= _MOST:
            raise ValueError(f"value is 0..2**64-2, not {value}")
        result = ops.now_eventfd_write(self, value)
        if result == -EAGAIN:
            add = lambda: ops.now_eventfd_write(self, value)  # noqa: E731
            result = self._until(add, ops.WRITABLE, timeout, "write to")
        if result < 0:
            raise self._error(result, "write to")

    def _until(self, attempt: Callable[[], int], events: int, timeout: float | None, doing: str) -> int:
        # A write of more than 1 may still not fit when poll(2) says that something does: so, naps.
        length = 0.0

        def once(deadline: int) -> int:
            nonlocal length
            result = ops.fd_wait(self._number, events, deadline)
            if result == 0:
                result = attempt()
            if result != -EAGAIN:
                return result
            if monotonic_ns() >= deadline:  # poll(2) did not look at it
                return -ETIMEDOUT
            length = _deadline.nap(length, deadline)
            return -EINTR

        result: int = self._wait(once, timeout, doing)
        return result
