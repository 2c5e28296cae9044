"""Message queues with priorities."""

from __future__ import annotations

import os
from errno import EEXIST, EINVAL

from ... import _named, posix
from ..._backend import ops
from ...errors import error
from ...posix import limits
from ...posix.queues import _cannot_make
from .arguments import (
    O_CREAT,
    O_EXCL,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
    c_int,
    c_long,
    c_unsigned,
    data_of,
    name_of,
    name_to_unlink,
    patience,
)
from .errors import NOTIFY, OPEN, UNLINK, USE, check, refuse, refuse_number
from .objects import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

QUEUE_PRIORITY_MAX = limits.PRIORITIES - 1

# What the kernel would take now where nobody says anything.
QUEUE_MESSAGES_MAX_DEFAULT = limits.default("msg_default", "msg_max", 10)
QUEUE_MESSAGE_SIZE_MAX_DEFAULT = limits.default("msgsize_default", "msgsize_max", 8192)

_NO_DATA = (1 << 31) - 1


class _Held(posix.MessageQueue):
    """A handle that nobody has to close: its descriptor stays open when it is dropped."""

    __slots__ = ()

    def _until(self, attempt: Callable[[], Any], events: int, timeout: float | None, doing: str) -> Any:
        if timeout != 0 and not self._may_block():
            timeout = 0
        return super()._until(attempt, events, timeout, doing)

    def _may_block(self) -> bool:
        try:
            return os.get_blocking(self._number)
        except OSError:
            return True  # another thread has closed it, which the wait will notice

    def __del__(self) -> None:
        self._take()


class MessageQueue(Kind):
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
    __slots__ = ("_access", "_held", "_max_message_size", "_max_messages", "_receive", "_send")
    _held: _Held

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
        flags, mode = c_unsigned(flags), c_int(mode)
        most, longest = c_long(max_messages), c_long(max_message_size)
        given, plain = name_of(name, flags)
        how = (ops.POSIX_READ if read else 0) | (ops.POSIX_WRITE if write else 0)
        if not how:
            raise ValueError("a queue is opened to read, to write, or both")
        self._access = how
        access = (O_RDWR if write else O_RDONLY) if read else O_WRONLY
        if (flags | access) & os.O_ACCMODE == os.O_ACCMODE:
            raise ValueError("flags and read and write say different things")
        if flags & O_CREAT:
            how |= ops.POSIX_CREATE
        if flags & O_EXCL:
            how |= ops.POSIX_EXCLUSIVE
        while True:
            chosen = _named.any_name() if given is None else given
            held = _Held._empty()
            result = _open(held, plain or chosen.encode(), how, mode & 0o777, most, longest)
            if given is not None or result != -EEXIST:
                break
        if result < 0:
            refuse(_cannot_make(result, f"open message queue {chosen}", most, longest), OPEN)
        held._begin(chosen, owner=False)
        if flags & O_NONBLOCK:
            os.set_blocking(held._number, False)
        fields = ops.now_posix_mq_stat(held)
        if isinstance(fields, int):
            refuse_number(-fields, USE, f"look at message queue {chosen}")
        held.max_messages, held.max_size = self._max_messages, self._max_message_size = fields[:2]
        self._name, self._mode, self._held = chosen, mode & 0xFFFFFFFF, held
        self._send, self._receive = held.send, held.receive

    def send(self, message: Any, timeout: float | None = None, priority: int = 0) -> None:
        """Put *message*, bytes or a str, into the queue, waiting for room, or for *timeout* seconds.

        A *priority* is 0..QUEUE_PRIORITY_MAX; messages of a higher one are received first.
        """
        if message.__class__ is not bytes:
            message = data_of(message)
        if timeout is not None:
            timeout = patience(timeout)
        if priority.__class__ is not int:
            priority = c_long(priority)
        try:
            self._send(message, priority, timeout)
        except OSError as problem:
            self._refuse(problem)

    def receive(self, timeout: float | None = None) -> tuple[bytes, int]:
        """Take the first message of the highest priority, waiting for one, or for *timeout* seconds.

        Gives its bytes and its priority.
        """
        if timeout is not None:
            timeout = patience(timeout)
        try:
            data, priority = self._receive(timeout)
        except OSError as problem:
            self._refuse(problem)
        return data, priority

    def _refuse(self, problem: OSError) -> None:
        refuse(problem, USE)

    def request_notification(self, notification: Any = None) -> None:
        """Ask to be told, once, when a message comes to the empty queue; or take that back.

        Args:
            notification: None takes a request of this process back. A number is the signal to send; a
                pair `(function, parameter)` is what to call, in a thread of its own.
        """
        if notification is not None and not isinstance(notification, int):
            if not (isinstance(notification, tuple) and len(notification) == 2 and callable(notification[0])):
                raise ValueError(f"None, a signal or (function, parameter), not {notification!r:.50}")
        held = self._held
        if not held.closed:
            held.notify_nobody()
        elif notification is None:
            return  # it went with the descriptor
        try:
            if isinstance(notification, int):
                self._request_signal(c_int(notification))
            elif notification is not None:
                function, parameter = notification
                held.notify_by_call(lambda: function(parameter))
        except OSError as problem:
            refuse(problem, NOTIFY)

    def _request_signal(self, signal: int) -> None:
        """Of any number: which are signals, the kernel knows."""
        result = ops.now_posix_mq_notify(self._held, ops.NOTIFY_BY_SIGNAL, signal, 0)
        if result < 0:
            raise error(-result, f"be notified of {self._held} by signal {signal}")

    @property
    def mqd(self) -> int:
        """Its descriptor, which stays open until somebody closes it; or -1."""
        return self._held._number

    def fileno(self) -> int:
        """The same as `mqd`."""
        return self._held._number

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
        fields = ops.now_posix_mq_stat(self._held)
        if isinstance(fields, int):
            refuse_number(-fields, USE, f"look at {self._held}")
        return fields[2]

    @property
    def block(self) -> bool:
        """Whether send() and receive() wait at all; of all who have inherited its descriptor."""
        try:
            return os.get_blocking(self._held._number)
        except OSError as problem:
            refuse_number(problem.errno or 0, USE, f"look at {self._held}")

    @block.setter
    def block(self, value: object) -> None:
        try:
            os.set_blocking(self._held._number, bool(value))
        except OSError as problem:
            refuse_number(problem.errno or 0, USE, f"change {self._held}")

    def close(self) -> None:
        """Close its descriptor; its name stays."""
        held = self._held
        if held.closed:
            refuse_number(EINVAL, USE, f"close {held}")
        try:
            held.close()
        except OSError as problem:
            refuse(problem, USE)

    def unlink(self) -> None:
        """Take its name away; who has it open keeps it."""
        _unlink(self._name.encode(errors="surrogateescape"), self._name)

    def __repr__(self) -> str:
        start = super().__repr__()[:-1]
        read, write = bool(self._access & ops.POSIX_READ), bool(self._access & ops.POSIX_WRITE)
        limits = f"max_message_size={self._max_message_size}, max_messages={self._max_messages}"
        return f"{start}, {limits}, read={read}, write={write})"


def _open(into: _Held, name: bytes, how: int, mode: int, most: int, longest: int) -> int:
    if name[:1] != b"/":  # mq_open(3)
        return -EINVAL
    return ops.posix_mq_open(into, name[1:], how, mode, most, longest)


def _unlink(name: bytes, shown: str) -> None:
    result = ops.posix_mq_unlink(name[1:]) if name[:1] == b"/" else -EINVAL
    check(result, UNLINK, f"unlink message queue {shown}")


def unlink_message_queue(name: str, /) -> None:
    """Take the name of a message queue away."""
    _unlink(name_to_unlink(name), name)
