"""Message queues with priorities (mq_overview(7))."""

from __future__ import annotations

import os
from _weakref import ref
from errno import (
    EACCES,
    EAGAIN,
    EBADF,
    EBUSY,
    EEXIST,
    EINTR,
    EINVAL,
    EMFILE,
    EMSGSIZE,
    ENOENT,
    ENOSPC,
    ETIMEDOUT,
)
from time import monotonic_ns

from .. import _deadline, _named
from .._backend import ops
from .._descriptor import WEAKLY, WaitedHandle
from .._linux import O_PATH
from ..errors import NotFoundError, error, limit_error
from . import limits

try:
    from _functools import partial
except ImportError:  # PyPy
    from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ..errors import IPCError
    from .notices import Notices

    Self = TypeVar("Self", bound="MessageQueue")

#: By which handles this process was last to be notified, by name: to open and close such a queue once more
#: would take that back.
requests: dict[str, ref[Any]] = {}


def note_request(queue: Any) -> None:
    """Remember it, for as long as there is this handle."""
    name = queue.name

    def forget(dead: ref[Any]) -> None:
        if requests.get(name) is dead:
            del requests[name]

    if name is not None:
        requests[name] = ref(queue, forget)


def handle_of_request(name: str, facts: os.stat_result) -> Any:
    """An open handle of ours on the queue that has this name and is this file; or None."""
    request = requests.get(name)
    queue = None if request is None else request()
    if queue is None or queue.closed:
        return None
    mine = os.fstat(queue.fileno())
    return queue if (mine.st_dev, mine.st_ino) == (facts.st_dev, facts.st_ino) else None


class Message(tuple):  # type: ignore[type-arg]  # of what, its properties say
    """A received message: the pair `(data, priority)`, also by name."""

    __slots__ = ()

    @property
    def data(self) -> bytes:
        """Its bytes."""
        data: bytes = self[0]
        return data

    @property
    def priority(self) -> int:
        """Its priority, which the sender chose."""
        priority: int = self[1]
        return priority

    def __repr__(self) -> str:
        return f"Message(data={self.data!r}, priority={self.priority})"


class QueueStat:
    """What the kernel knows about a queue.

    Attributes:
        max_messages: How many it holds before senders wait.
        max_size: How many bytes a message can have.
        messages: How many wait now.
        uid, gid: Whose it is.
        mode: Who may receive (read) and send (write).
    """

    __slots__ = ("gid", "max_messages", "max_size", "messages", "mode", "uid")

    def __init__(
        self, max_messages: int, max_size: int, messages: int, uid: int, gid: int, mode: int
    ) -> None:
        self.max_messages, self.max_size, self.messages = max_messages, max_size, messages
        self.uid, self.gid, self.mode = uid, gid, mode

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)}" for name in sorted(self.__slots__))
        return f"QueueStat({fields})"


@ops.accelerate("posix_mq.send", "posix_mq.receive", result=Message)
class MessageQueue(_named.Named, WaitedHandle):
    """A queue of messages; of those that wait, the ones of the highest priority come first.

    It is readable, for select(2) and the like, while a message waits, and writable while there is room.

    Attributes:
        name: With its slash.
        max_messages: How many it holds before senders wait.
        max_size: How many bytes a message can have.
    """

    __slots__ = (*WEAKLY, "_notices", "_owner_pid", "max_messages", "max_size", "name")
    kind = "message queue"
    max_messages: int
    max_size: int
    _notices: Notices | None

    def __init__(self) -> None:
        raise TypeError("a message queue is what create(), open() and open_or_create() give")

    @classmethod
    def _empty(cls: type[Self]) -> Self:
        queue = super()._empty()
        queue._notices, queue.name, queue._owner_pid = None, None, 0
        queue.max_messages = queue.max_size = 0
        return queue

    @classmethod
    def create(
        cls: type[Self],
        name: str | None,
        *,
        max_messages: int | None = None,
        max_size: int | None = None,
        mode: int = 0o600,
        persist: bool = False,
    ) -> Self:
        """Make one.

        Args:
            name: What others find it by, such as "/jobs"; None is one that nobody has.
            max_messages: How many it holds before senders wait; None is the kernel's msg_default.
            max_size: How many bytes a message can have; None is the kernel's msgsize_default.
            mode: Who may receive (read) and send (write), less the umask.
            persist: Keep its name after `close()`.

        Raises:
            AlreadyExistsError: The name is taken.
            LimitError: msg_max, msgsize_max, queues_max, RLIMIT_MSGQUEUE or RLIMIT_NOFILE.
            UnsupportedError: Not on this kernel or backend.
        """
        flags = ops.POSIX_CREATE | ops.POSIX_EXCLUSIVE
        given = None if name is None else _named.file_name(name)
        while True:
            name = _named.any_name() if name is None else name
            queue = cls._empty()
            try:
                # Whatever ends this now takes the name away, if it is this queue that has it.
                queue._begin(name, owner=True)
                result = queue._make(given or os.fsencode(name[1:]), flags, max_messages, max_size, mode)
            except BaseException:  # a signal handler's too
                queue.close()
                raise
            if result >= 0:
                return queue._ready(name, owner=not persist)
            queue._owner_pid = 0
            if result != -EEXIST or given is not None:
                doing = f"create message queue {_named.with_slash(name)}"
                raise _cannot_make(result, doing, max_messages, max_size)
            name = None

    def _make(
        self, plain: bytes, flags: int, max_messages: int | None, max_size: int | None, mode: int
    ) -> int:
        for what, value in ("max_messages", max_messages), ("max_size", max_size):
            if value is not None and not 1 <= value < 1 << 31:
                raise ValueError(f"{what} is 1..2**31-1, not {value}")
        if not 0 <= mode <= 0o777:
            raise ValueError(f"mode is 0..0o777, not {mode:#o}")
        if max_messages is None:
            max_messages = limits.default("msg_default", "msg_max", 10)
        if max_size is None:
            max_size = limits.default("msgsize_default", "msgsize_max", 8192)
        both = ops.POSIX_READ | ops.POSIX_WRITE
        return ops.posix_mq_open(self, plain, flags | both, mode, max_messages, max_size)

    def _ready(self: Self, name: str, *, owner: bool) -> Self:
        """Nobody has seen it yet."""
        try:
            stat = self.stat()
            self._begin(name, owner=owner)
        except BaseException:  # a signal handler's too
            self.close()
            raise
        self.max_messages, self.max_size = stat.max_messages, stat.max_size
        return self

    @classmethod
    def open(cls: type[Self], name: str, *, read: bool = True, write: bool = True) -> Self:
        """Find the one that has this name.

        Args:
            name: With or without its slash.
            read: To receive.
            write: To send.

        Raises:
            NotFoundError: There is none.
            AccessError: Its mode forbids it.
        """
        flags = (ops.POSIX_READ if read else 0) | (ops.POSIX_WRITE if write else 0)
        if not flags:
            raise ValueError("a queue is opened to read, to write, or both")
        queue = cls._empty()
        result = ops.posix_mq_open(queue, _named.file_name(name), flags, 0, 0, 0)
        if result < 0:
            raise error(-result, f"open message queue {_named.with_slash(name)}")
        return queue._ready(name, owner=False)

    @classmethod
    def open_or_create(
        cls: type[Self],
        name: str,
        *,
        max_messages: int | None = None,
        max_size: int | None = None,
        mode: int = 0o600,
    ) -> Self:
        """Find the one that has this name; if there is none, make it.

        Whoever makes it, nobody owns it: it stays until `remove()`. What is found has its own limits.
        """
        plain = _named.file_name(name)
        while True:
            try:
                return cls.open(name)
            except NotFoundError:
                queue = cls._empty()
            flags = ops.POSIX_CREATE | ops.POSIX_EXCLUSIVE
            result = queue._make(plain, flags, max_messages, max_size, mode)
            if result >= 0:
                return queue._ready(name, owner=False)
            if result != -EEXIST:  # else somebody made it between the two calls: begin again
                doing = f"create message queue {_named.with_slash(name)}"
                raise _cannot_make(result, doing, max_messages, max_size)

    def send(self, data: Any, priority: int = 0, timeout: float | None = None) -> None:
        """Put a message into the queue, behind those of its priority, waiting while the queue is full.

        Args:
            data: Any bytes-like object, also an empty one.
            priority: 0..32767; messages of a higher one are received first.
            timeout: How many seconds to wait for room; steps of the wall clock do not matter.

        Raises:
            WouldBlockError: With `timeout=0`: the queue is full.
            TimedOutError: There was no room in time.
            LimitError: The message is longer than `max_size`.
            AccessError: It was not opened to write.
        """
        _deadline.valid(timeout)
        if not 0 <= priority < limits.PRIORITIES:
            raise ValueError(f"priority is 0..{limits.PRIORITIES - 1}, not {priority}")
        data = data if type(data) is bytes else memoryview(data).tobytes()
        result = ops.now_posix_mq_send(self, data, priority)
        if result == -EAGAIN:
            send = partial(ops.now_posix_mq_send, self, data, priority)
            result = self._until(send, ops.WRITABLE, timeout, "send to")
        if result == -EMSGSIZE:
            raise limit_error(EMSGSIZE, f"send {len(data)} bytes to {self}", "max_size", self.max_size, None)
        if result < 0:
            raise self._error(result, "send to")

    def receive(self, timeout: float | None = None) -> Message:
        """Take the first message of the highest priority, waiting until there is one.

        A wait is poll(2): who sleeps in mq_receive(3) itself, as programs in C do, is served first.

        Args:
            timeout: How many seconds to wait; steps of the wall clock do not matter.

        Raises:
            WouldBlockError: With `timeout=0`: there is none.
            TimedOutError: There was none in time.
            AccessError: It was not opened to read.
        """
        _deadline.valid(timeout)
        result = ops.now_posix_mq_receive(self, self.max_size)
        if result == -EAGAIN:
            take = partial(ops.now_posix_mq_receive, self, self.max_size)
            result = self._until(take, ops.READABLE, timeout, "receive from")
        if isinstance(result, int):
            raise self._error(result, "receive from")
        return Message(result)

    def _until(self, attempt: Callable[[], Any], events: int, timeout: float | None, doing: str) -> Any:
        def once(deadline: int) -> Any:
            result = ops.fd_wait(self._number, events, deadline)
            if result == 0:
                result = attempt()
            if result != -EAGAIN:
                return result
            return -ETIMEDOUT if monotonic_ns() >= deadline else -EINTR  # others were faster

        return self._wait(once, timeout, doing)

    def stat(self) -> QueueStat:
        """What the kernel knows about it."""
        fields = ops.now_posix_mq_stat(self)
        if isinstance(fields, int):
            raise self._error(fields, "stat")
        return QueueStat(*fields)

    # ---- notification ----

    def notify_by_call(self, function: Callable[[], Any], *, rearm: bool = False) -> None:
        """Call *function*, in a thread of its own, when a message comes to the empty queue.

        But not if somebody sleeps in mq_receive(3) itself, as programs in C do: that is who gets it.
        `receive` waits otherwise, and what it gets is told, too. One process is notified of a queue.

        Args:
            function: What to call; what it raises goes to `threading.excepthook`. One that has the queue
                in it keeps the queue alive: only `close()` ends that.
            rearm: Each time that happens, not only the first; a queue that is never emptied never
                becomes not empty again.

        Raises:
            InUseError: Another process is notified, or this one.
        """
        from .notices import by_call

        self._refuse_a_second_request()
        self._notices = by_call(self, function, rearm)
        note_request(self)

    def notify_by_signal(self, signal: int, *, value: int = 0, rearm: bool = False) -> None:
        """Send this process a signal when a message comes to the empty queue.

        Args:
            signal: Its number.
            value: Goes along (`si_value`), to whoever can see it; not with *rearm*.
            rearm: As of `notify_by_call`; the signal is then sent by a thread.

        Raises:
            InUseError: Another process is notified, or this one.
        """
        from .notices import by_signal

        self._refuse_a_second_request()
        self._notices = by_signal(self, signal, value, rearm)
        note_request(self)

    def notify_nobody(self) -> None:
        """Take a request of this process back; without one, do nothing."""
        self._no_more_notices()  # first, or a thread might ask again
        result = ops.now_posix_mq_notify(self, ops.NOTIFY_NOBODY, 0, 0)
        if result < 0:
            raise self._error(result, "notify nobody of")

    def _refuse_a_second_request(self) -> None:
        if self._notices is not None and self._notices.stands:
            from .notices import refused

            raise refused(self, -EBUSY)

    def _no_more_notices(self) -> None:
        notices, self._notices = self._notices, None
        if notices is not None:
            notices.end()

    # ---- its end ----

    def close(self) -> None:
        """Let go of it, and take its name away if this handle owns it.

        Threads of this process that wait on it get `ClosedError`, and it is not notified any more.
        """
        problem = None if self.closed and not self.owner else self._remove_if_owner()
        super().close()
        self._no_more_notices()
        if problem is not None:
            raise problem

    def detach(self) -> int:
        """Give its descriptor up, which from now on is the caller's to close; its name stays.

        Raises:
            ClosedError: It is closed.
        """
        number = super().detach()
        self._owner_pid = 0
        return number

    def dup(self: Self) -> Self:
        """Another handle on the same queue, by a descriptor of its own, which owns no name.

        To close either ends a notification of this process.

        Raises:
            LimitError: RLIMIT_NOFILE.
            UnsupportedError: Not on this backend.
        """
        twin = super().dup()
        try:
            twin.stat()
        except BaseException:  # a signal handler's too
            twin.close()
            raise
        twin.max_messages, twin.max_size = self.max_messages, self.max_size
        twin._begin(self.name, owner=False)
        return twin

    def _unlink(self) -> int:
        return -ENOENT if self.name is None else ops.posix_mq_unlink(_named.file_name(self.name))

    def _is_still_so_named(self) -> bool:
        """By opening what has the name now: /dev/mqueue may not be mounted, or be another namespace's."""
        if self.name is None or self.closed:
            return False
        request = requests.get(self.name)
        asked = None if request is None else request()
        if asked is not None and asked is not self and not asked.closed:
            return os.path.sameopenfile(asked.fileno(), self.fileno())
        found = ops.Descriptor()
        try:
            for flag in ops.POSIX_READ, ops.POSIX_WRITE:
                result = ops.posix_mq_open(found, _named.file_name(self.name), flag, 0, 0, 0)
                if result >= 0:
                    there, mine = os.fstat(found.fileno()), os.fstat(self.fileno())
                    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)
                if result == -ENOENT:
                    return False
            return True  # as far as one can see
        finally:
            found._close()

    def _error(self, result: int, doing: str) -> IPCError:
        if result == -EBADF and not self.closed:
            return error(EACCES, f"{doing} {self}, which was not opened for that")
        return super()._error(result, doing)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self.closed:
            self._refuse()
        if self.name is None:
            raise TypeError(f"{self} has no name to be found by")
        return type(self).open, (self.name,)

    def __repr__(self) -> str:
        return f"<message queue {self.name}{' closed' if self.closed else ''}>"


def _cannot_make(result: int, doing: str, max_messages: int | None, max_size: int | None) -> IPCError:
    if result == -EINVAL:
        asked = [("msg_max", max_messages), ("msgsize_max", max_size)]
        # Who has CAP_SYS_RESOURCE is stopped by the first kind alone; root in a container has it not.
        for name, wanted in asked:
            if wanted is not None and wanted > limits.HARD[name]:
                return limit_error(EINVAL, doing, name, limits.HARD[name], None)
        for name, wanted in asked:
            most = limits.read(name)
            if wanted is not None and most is not None and wanted > most:
                return limits.reached(EINVAL, doing, name)
    if result == -ENOSPC:
        return limits.reached(ENOSPC, doing, "queues_max")
    if result == -EMFILE and _has_a_free_descriptor():
        return limits.bytes_reached(EMFILE, doing)
    return error(-result, doing)


def _has_a_free_descriptor() -> bool:
    probe = ops.Descriptor()
    found: bool = ops.fd_open(probe, b"/", O_PATH) >= 0
    probe._close()
    return found
