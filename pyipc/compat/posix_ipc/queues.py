"""Message queues with priorities."""

from __future__ import annotations

import os
from errno import EACCES, EAGAIN, EBADF, EEXIST, EINVAL

from ... import posix
from ..._backend import ops
from ..._descriptor import WEAKLY
from ..._waiters import Waited
from ...errors import IPCError, error
from ...posix import limits
from ...posix.queues import _cannot_make, note_request
from .arguments import (
    O_CREAT,
    O_EXCL,
    O_NONBLOCK,
    c_int,
    c_long,
    checked,
    chosen_name,
    data_of,
    name_to_unlink,
    patience,
)
from .exceptions import NOTIFY, OPEN, UNLINK, USE, check, refuse, refuse_number
from .objects import Kind

try:
    from _functools import partial
except ImportError:  # PyPy
    from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..._backend.protocol import Descriptor, PosixQueueFields
    from ...posix.notices import Notices
else:
    Descriptor = ops.Descriptor

QUEUE_PRIORITY_MAX = limits.PRIORITIES - 1

# What the kernel would take now where nobody says anything.
QUEUE_MESSAGES_MAX_DEFAULT = limits.default("msg_default", "msg_max", 10)
QUEUE_MESSAGE_SIZE_MAX_DEFAULT = limits.default("msgsize_default", "msgsize_max", 8192)

# O_NONBLOCK is the kernel's, and of all who share the open queue; but the fallback has set it always.
_KERNEL_KNOWS = ops.NAME == "native"


@ops.accelerate("compat_mq.send", "compat_mq.receive")
class MessageQueue(Kind, Waited, Descriptor):
    """A queue of messages, made or found by its name.

    Args:
        name: What others find it by, such as "/jobs"; None, with O_CREX, is one that nobody has.
        flags: 0 finds it, O_CREAT makes it if there is none, O_CREX makes it or fails.
        mode: Who may open a new one, less the umask.
        max_messages: How many messages a new one holds before senders wait.
        max_message_size: How many bytes a message of a new one can have.
        read: Whether this object receives.
        write: Whether this object sends.
    """

    __module__ = __package__
    __slots__ = (
        *WEAKLY,
        *("_access", "_blocks", "_max_message_size", "_max_messages"),
        *("_mode", "_name", "_notices", "_plain", "_waiting"),
    )
    _notices: Notices | None

    def __init__(
        self,
        name: str | bytes | None,
        flags: int = 0,
        mode: int = 0o600,
        max_messages: int = QUEUE_MESSAGES_MAX_DEFAULT,
        max_message_size: int = QUEUE_MESSAGE_SIZE_MAX_DEFAULT,
        read: object = True,
        write: object = True,
    ) -> None:
        given, plain, flags, mode = checked(name, flags, mode)
        most = max_messages if max_messages.__class__ is int else c_long(max_messages)
        longest = max_message_size if max_message_size.__class__ is int else c_long(max_message_size)
        how = (ops.POSIX_READ if read else 0) | (ops.POSIX_WRITE if write else 0)
        if not how:
            raise ValueError("a queue is opened to read, to write, or both")
        self._access = how
        if flags & O_CREAT:
            how |= ops.POSIX_CREATE
        if flags & O_EXCL:
            how |= ops.POSIX_EXCLUSIVE
        while True:
            chosen, plain = chosen_name() if given is None else (given, plain)
            if plain[:1] != b"/":  # mq_open(3)
                refuse_number(EINVAL, OPEN, f"open message queue {chosen}: its name begins with no slash")
            plain = plain[1:]
            result = ops.posix_mq_open(self, plain, how, mode, most, longest)
            if given is not None or result != -EEXIST:
                break
        if result < 0:
            refuse(_cannot_make(result, f"open message queue {chosen}", most, longest), OPEN)
        self._name, self._mode, self._plain = chosen, mode, plain
        self._blocks, self._notices, self._waiting = True, None, []
        if flags & O_NONBLOCK:
            self.block = False
        if not flags & O_EXCL:  # else it is as was asked for
            most, longest = self._stat()[:2]
        self._max_messages, self._max_message_size = most, longest

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._number < 0

    def send(self, message: Any, timeout: float | None = None, priority: int = 0) -> None:
        """Put *message*, bytes or a str, into the queue, waiting for room, or for *timeout* seconds.

        A *priority* is 0..QUEUE_PRIORITY_MAX; messages of a higher one are received first.
        """
        data = message if message.__class__ is bytes else data_of(message)
        timeout, priority = patience(timeout), c_long(priority)
        if not self._access & ops.POSIX_WRITE:
            refuse_number(EACCES, USE, f"send to {self!r}")
        if not 0 <= priority <= QUEUE_PRIORITY_MAX:
            raise ValueError(f"a priority is 0..{QUEUE_PRIORITY_MAX}, not {priority}")
        send = partial(ops.now_posix_mq_send, self, data, priority)
        self._finally(send, ops.WRITABLE, timeout, "send to")

    def receive(self, timeout: float | None = None) -> tuple[bytes, int]:
        """Take the first message of the highest priority, waiting for one, or for *timeout* seconds.

        Gives its bytes and its priority.
        """
        timeout = patience(timeout)
        if not self._access & ops.POSIX_READ:
            refuse_number(EACCES, USE, f"receive from {self!r}")
        take = partial(ops.now_posix_mq_receive, self, self._max_message_size)
        message: tuple[bytes, int] = self._finally(take, ops.READABLE, timeout, "receive from")
        return message

    def _finally(self, attempt: Callable[[], Any], events: int, timeout: float | None, doing: str) -> Any:
        """Do it as soon as it can be done."""
        result = attempt()
        if result == -EAGAIN and self._may_block():
            this: Any = self
            try:
                result = posix.MessageQueue._until(this, attempt, events, timeout, doing)
            except IPCError as problem:  # another thread has closed it
                refuse(problem, USE)
        if isinstance(result, int) and result < 0:
            refuse_number(-result, USE, f"{doing} {self!r}")
        return result

    def _may_block(self) -> bool:
        if not _KERNEL_KNOWS:
            return self._blocks
        try:
            return os.get_blocking(self._number)
        except OSError:
            return True  # another thread has closed it, which the wait will notice

    def request_notification(self, notification: Any = None) -> None:
        """Ask to be told, once, when a message comes to the empty queue; or take that back.

        Args:
            notification: None takes a request of this process back. A number is the signal to send; a
                pair `(function, parameter)` is what to call, in a thread of its own.
        """
        pair = isinstance(notification, tuple) and len(notification) == 2 and callable(notification[0])
        if not (notification is None or pair or isinstance(notification, int)):
            raise ValueError(f"None, a signal or (function, parameter), not {notification!r:.50}")
        self._end_notices()
        ops.now_posix_mq_notify(self, ops.NOTIFY_NOBODY, 0, 0)
        try:
            if pair:
                from ...posix.notices import by_call

                function, parameter = notification
                this: Any = self
                self._notices = by_call(this, lambda: function(parameter), False)
            elif notification is not None:
                signal = c_int(notification)  # which numbers are signals, the kernel knows
                result = ops.now_posix_mq_notify(self, ops.NOTIFY_BY_SIGNAL, signal, 0)
                if result < 0:
                    raise error(-result, f"be notified of {self!r}")
            if notification is not None:
                note_request(self)
        except OSError as problem:
            refuse(problem, NOTIFY)

    def _end_notices(self) -> None:
        notices, self._notices = self._notices, None
        if notices is not None:
            notices.end()

    def _error(self, result: int, doing: str) -> IPCError:
        return error(-result, f"{doing} {self!r}")

    @property
    def mqd(self) -> int:
        """Its descriptor, which stays open until somebody closes it; or -1."""
        return self._number

    def fileno(self) -> int:
        """The same as `mqd`."""
        return self._number

    @property
    def max_messages(self) -> int:
        """How many messages it holds before senders wait."""
        return self._max_messages

    @property
    def max_message_size(self) -> int:
        """How many bytes a message can have."""
        return self._max_message_size

    @property
    def current_messages(self) -> int:
        """How many messages wait in it now."""
        return self._stat()[2]

    def _stat(self) -> PosixQueueFields:
        fields = ops.now_posix_mq_stat(self)
        if isinstance(fields, int):
            refuse_number(-fields, USE, f"look at message queue {self._name}")
        return fields

    @property
    def block(self) -> bool:
        """Whether send() and receive() wait at all; of all who have inherited its descriptor."""
        self._stat()  # whether it is there
        return self._may_block()

    @block.setter
    def block(self, value: object) -> None:
        blocks = bool(value)
        self._stat()
        if _KERNEL_KNOWS:
            os.set_blocking(self._number, blocks)
        self._blocks = blocks

    def close(self) -> None:
        """Close its descriptor; its name stays. Threads that wait on it get an `ExistentialError`."""
        if self._number < 0:
            refuse_number(EBADF, USE, f"close message queue {self._name}")
        self._end_notices()
        result = self._close()
        if self._waiting:
            self._wake_waiters()
        if result < 0:
            refuse_number(-result, USE, f"close message queue {self._name}")

    def unlink(self) -> None:
        """Take its name away; who has it open keeps it."""
        result = ops.posix_mq_unlink(self._plain)
        if result < 0:
            refuse_number(-result, UNLINK, f"unlink message queue {self._name}")

    def __del__(self) -> None:
        self._take()  # it stays open

    def __repr__(self) -> str:
        start = super().__repr__()[:-1]
        read, write = bool(self._access & ops.POSIX_READ), bool(self._access & ops.POSIX_WRITE)
        room = f"max_message_size={self._max_message_size}, max_messages={self._max_messages}"
        return f"{start}, {room}, read={read}, write={write})"


def unlink_message_queue(name: str, /) -> None:
    """Take the name of a message queue away."""
    plain = name_to_unlink(name)
    result = ops.posix_mq_unlink(plain[1:]) if plain[:1] == b"/" else -EINVAL
    check(result, UNLINK, f"unlink message queue {name}")
