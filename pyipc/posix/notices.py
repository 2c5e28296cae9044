"""Who is told when a message comes to an empty queue (mq_notify(3)).

The kernel can send a signal, or a few bytes to a socket of netlink(7); the C library makes its threads of
the latter. Here the thread is Python's.
"""

from __future__ import annotations

import os
import sys
import threading
from _weakref import ref
from errno import EBUSY, ENOTSUP

from .._backend import ops
from ..errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .queues import MessageQueue


class Notices:
    """One request, and the thread that waits for what it brings."""

    def __init__(self, queue: MessageQueue, function: Callable[[], Any], rearm: bool) -> None:
        self._queue = ref(queue)  # who drops the queue closes it, and that ends the request
        self._function = function
        self._rearm = rearm
        self._ended = False
        try:
            self._news = ops.posix_mq_news()
        except OSError as problem:  # no descriptor, or no such sockets
            raise error(problem.errno or ENOTSUP, f"be notified of {queue}") from problem
        if isinstance(self._news, int):
            raise error(ENOTSUP, f"be notified of {queue}")
        self._thread = thread = threading.Thread(
            target=self._run, name=f"notices of {queue.name}", daemon=True
        )
        asked = False
        try:
            self._request(queue)
            asked = True
            thread.start()
        except BaseException:  # there are too many threads; or a signal handler's
            self.end()
            if asked:
                ops.now_posix_mq_notify(queue, ops.NOTIFY_NOBODY, 0, 0)
            if thread.ident is None:  # else it closes it, as soon as it hears that there is nothing to come
                self._news.close()
            raise

    def _request(self, queue: MessageQueue) -> None:
        result = self._news.ask(queue)
        if result < 0:
            raise refused(queue, result)

    def _run(self) -> None:
        try:
            while self._news.came() and not self._ended:
                # Before the call: it empties the queue, and what comes then is news.
                problem = self._ask_again() if self._rearm else None
                _guarded(self._function)
                if problem is not None:
                    _guarded(problem)
                if not self._rearm or problem is not None or self._ended:
                    break
        finally:
            self._news.close()

    def _ask_again(self) -> Callable[[], None] | None:
        """What complains, if somebody else was faster to ask."""
        queue = self._queue()
        if queue is None or queue.closed or self._ended:
            return None  # it ends by itself
        result = self._news.ask(queue)
        if self._ended:  # meanwhile
            ops.now_posix_mq_notify(queue, ops.NOTIFY_NOBODY, 0, 0)
            return None
        return None if result >= 0 or queue.closed else lambda: _refuse(queue, result)

    @property
    def stands(self) -> bool:
        """Whether it asks again and again: the kernel knows of no request between a message and the next."""
        return self._rearm and self._thread.is_alive()  # of a child of fork(2), no thread is

    def end(self) -> None:
        """Nobody is notified any more, or the queue is closed."""
        self._ended = True
        self._news.end()


def _guarded(function: Callable[[], Any]) -> None:
    """What it raises ends nothing."""
    try:
        function()
    except BaseException:  # also SystemExit, which would end the thread
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))


def _refuse(queue: MessageQueue, result: int) -> None:
    raise refused(queue, result)


def refused(queue: MessageQueue, result: int) -> Exception:
    """Why nobody can be notified now."""
    if result == -EBUSY:
        return error(EBUSY, f"be notified of {queue}: somebody is already")
    return queue._error(result, "be notified of")


def by_call(queue: MessageQueue, function: Callable[[], Any], rearm: bool) -> Notices:
    """Call it."""
    if not callable(function):
        raise TypeError(f"a function, not {function!r:.50}")
    return Notices(queue, function, rearm)


def by_signal(queue: MessageQueue, signal: int, value: int, rearm: bool) -> Notices | None:
    """Send it."""
    if not 1 <= signal <= 64:
        raise ValueError(f"a signal is 1..64, not {signal}")
    if rearm:
        if value:
            raise ValueError("a signal that comes again and again has no value")
        return Notices(queue, lambda: os.kill(os.getpid(), signal), rearm)
    if not -(1 << 31) <= value < 1 << 31:
        raise ValueError(f"value is -2**31..2**31-1, not {value}")
    result = ops.now_posix_mq_notify(queue, ops.NOTIFY_BY_SIGNAL, signal, value)
    if result < 0:
        raise refused(queue, result)
    return None
