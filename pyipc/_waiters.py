"""Threads that wait on a handle, and how `close()` in another thread gets them out of it."""

from __future__ import annotations

from _thread import get_native_id
from errno import EAGAIN, EBADF, EINTR, ESRCH

from . import _deadline
from ._backend import ops
from .errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")

# How often a closing thread pushes one that waits; each push takes a millisecond. A thread that
# blocks SIGURG cannot be pushed: it is left alone after this many.
_PUSHES = 1000


def _forget(waiting: list[int], thread: int) -> None:
    """Asked and removed in one step: another thread may do it, too."""
    try:  # noqa: SIM105 (contextlib takes long to import)
        waiting.remove(thread)
    except ValueError:
        pass


class Waited:
    """A base of handles that threads wait on."""

    __slots__ = ()
    _waiting: list[int]  # kernel ids of our threads that wait on this handle

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        raise NotImplementedError

    def _wake_waiters(self) -> None:
        if not self._waiting:
            return
        me = get_native_id()
        for _ in range(_PUSHES):
            others = [thread for thread in self._waiting if thread != me]
            if not others:
                return
            for thread in others:
                if ops.interrupt(thread) == -ESRCH:
                    _forget(self._waiting, thread)  # it waits in the process that forked us

    def _wait(
        self, attempt: Callable[[int], int | Result], timeout: float | None, doing: str
    ) -> int | Result:
        """Call `attempt(deadline)` until it ends by something else than a signal."""
        return -EAGAIN if timeout == 0 else self._wait_until(attempt, _deadline.after(timeout), doing)

    def _wait_until(self, attempt: Callable[[int], int | Result], deadline: int, doing: str) -> int | Result:
        me = get_native_id()
        try:
            self._waiting.append(me)  # in here: a handler may raise as soon as it is done
            # A signal handler in Python runs between two rounds. It may raise; it may close.
            while not self.closed:
                result = attempt(deadline)
                if result != -EINTR:
                    return result
        finally:
            _forget(self._waiting, me)  # it is not there if a handler has forked, and we are the child
        raise error(EBADF, f"{doing} {self}")
