"""Queues of objects, with the API of `multiprocessing`'s."""

from __future__ import annotations

from errno import ERANGE

from .. import _deadline, _pickling
from .._backend import ops
from ..errors import TimedOutError, WouldBlockError
from . import objects
from .channel import CAPACITY, Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Of a queue without a bound of its own.
_SLOTS = 4096
_SLOT_SIZE = 1008


def _timeout(block: bool, timeout: float | None) -> float | None:
    """As `multiprocessing` has it: what is negative has passed."""
    if not block:
        return 0
    return timeout if timeout is None or timeout > 0 else 0


@ops.accelerate("queue.put", "queue.get")
class Queue:
    """A queue of objects between processes; `multiprocessing.Queue`, without its thread.

    What differs: `put` pickles at once and raises at once what goes wrong; an object is there for the
    others when it returns, and outlives who has put it. A queue is always bounded, in objects and in
    bytes, and `put` waits at the bound: start who gets before you put more than fits. Large buffers of
    objects, such as numpy arrays, are not copied when they are got: they lie in the queue's memory,
    which is free again when they are gone.

    Args:
        maxsize: How many objects can wait; 0 is 4096.
        capacity: How many bytes the large ones can have together, those included that were got and are
            still in use. They take memory only as far as they are used.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        OutOfMemoryError, LimitError: As for a `Channel`.
    """

    def __init__(self, maxsize: int = 0, *, capacity: int = CAPACITY) -> None:
        slots = maxsize if maxsize > 0 else _SLOTS
        self._channel = Channel(slots, _SLOT_SIZE, capacity)

    def put(self, obj: object, block: bool = True, timeout: float | None = None) -> None:
        """Put an object in, waiting while there is no room.

        Raises:
            queue.Full: There is no room: at once unless *block*, or in time.
            ValueError: The queue is closed.
            LimitError: The object is longer than the queue's capacity.
        """
        self._put_pickled(*objects.dumps(obj), block, timeout)

    def _put_pickled(
        self, data: bytes, buffers: list[memoryview], block: bool, timeout: float | None
    ) -> None:
        try:
            objects.send(self._channel, data, buffers, _timeout(block, timeout))
        except (WouldBlockError, TimedOutError):
            from queue import Full

            raise Full from None

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the next object out, waiting for one.

        Raises:
            queue.Empty: There is none: at once unless *block*, or in time.
            ValueError: The queue is closed.
        """
        try:
            data = self._channel._recv_data(_timeout(block, timeout))
        except (WouldBlockError, TimedOutError):
            from queue import Empty

            raise Empty from None
        return objects.loads(data)

    def put_nowait(self, obj: object) -> None:
        """`put` that does not wait."""
        self.put(obj, False)

    def get_nowait(self) -> Any:
        """`get` that does not wait."""
        return self.get(False)

    def qsize(self) -> int:
        """How many objects wait."""
        return self._channel.statistics().depth

    def empty(self) -> bool:
        """Whether none does."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Whether there is no room for one more, large ones' bytes apart."""
        return self.qsize() >= self._channel.slots

    def fileno(self) -> int:
        """For select(2) and the like: readable when an object waits, at worst in vain."""
        return self._channel.fileno()

    def _is_ready(self) -> bool:
        return self._channel._is_ready()

    def close(self) -> None:
        """Let go of it: this process puts and gets no more. What was put stays, for the others."""
        self._channel.close()

    def join_thread(self) -> None:
        """Nothing: there is no thread, and nothing that was put waits here."""

    def cancel_join_thread(self) -> None:
        """Nothing: see `join_thread`."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()}{', closed' if self._channel.closed else ''}>"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        _pickling.refuse_elsewhere()
        return _arrived, (type(self), self._channel)

    def __del__(self) -> None:
        if hasattr(self, "_channel"):
            self._channel.close()


def _arrived(cls: type[Queue], channel: Channel) -> Queue:
    queue = cls.__new__(cls)
    queue._channel = channel
    return queue


class JoinableQueue(Queue):
    """A `Queue` in which each object is a task: `join` waits until all are done."""

    def task_done(self) -> None:
        """An object that was got is done.

        Raises:
            ValueError: More are done than were put.
        """
        channel = self._channel
        result = channel._call(ops.now_channel_done)
        if result == -ERANGE:
            raise ValueError("task_done() called too many times")
        if result < 0:
            raise channel._error(result, "say that a task is done of")

    def join(self, timeout: float | None = None) -> bool:
        """Wait until as many objects are done as were put; False if they were not in time."""
        channel = self._channel
        try:
            channel._in_time(_deadline.by(timeout), "wait for the tasks of", ops.channel_join)
        except (WouldBlockError, TimedOutError):
            return False
        return True
