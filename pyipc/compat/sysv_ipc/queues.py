"""Message queues."""

from __future__ import annotations

from errno import EEXIST

from ... import sysv
from ..._backend import ops
from ...errors import IPCError, error
from .arguments import IPC_CREX, c_int, c_unsigned, checked, data_of, new_key
from .exceptions import CONTROL, GET, MESSAGE, check, refuse
from .objects import Kind, Quiet, number, owner_field, stat_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST = (1 << 63) - 1
_NO_LIMIT = (1 << 31) - 1  # of a message, for all that the kernel can have


class _Queue(Quiet, sysv.MessageQueue):
    __slots__ = ()


@ops.accelerate("compat.send", "compat.receive", "queue.__init__", "queue.remove")
class MessageQueue(Kind):
    """A queue of messages, made or found by its key.

    Args:
        key: Its key; None, with IPC_CREX, is one that nobody has.
        flags: 0 finds it, IPC_CREAT makes it if there is none, IPC_CREX makes it or fails.
        mode: Who may use a new one; of one that exists, what of that this process wants to do.
        max_message_size: The longest message that this object sends and receives.
    """

    __module__ = __package__
    __slots__ = ("_longest",)
    _name = "MessageQueue"
    _kinds = CONTROL
    _remove = staticmethod(ops.msg_remove)

    def __init__(
        self, key: int | None, flags: int = 0, mode: int = 0o600, max_message_size: int = 2048
    ) -> None:
        """Make or find it; see the class."""
        wanted, flags, mode = checked(key, flags, mode)
        if max_message_size >> 31:
            max_message_size = _longest(max_message_size)
        flags = flags & IPC_CREX | mode
        if wanted is None:
            while True:
                wanted = new_key()
                id = ops.msg_get(wanted, flags)
                if id != -EEXIST:
                    break
        else:
            id = ops.msg_get(wanted, flags)
        if id < 0:
            refuse(error(-id, f"open message queue with key {wanted}"), GET)
        self._key = wanted
        self._id = id
        self._longest = max_message_size

    def _make_held(self) -> _Queue:
        return _Queue(self._id, self._key, owner=False)

    def send(self, message: Any, block: object = True, type: int = 1) -> None:
        """Put *message*, bytes or a str, into the queue, waiting for room if *block* is true."""
        if message.__class__ is not bytes:
            message = data_of(message)
            if message.__class__ is not bytes:
                message = memoryview(message).tobytes()
        type = c_int(type)
        if type <= 0:
            raise ValueError("The type must be > 0")
        if len(message) > self._longest:
            raise ValueError(f"{len(message)} bytes are more than max_message_size, {self._longest}")
        if ops.now_msg_send(self._id, type, message) == 0:
            return
        try:
            self._handle().send(message, type, None if block else 0)
        except IPCError as problem:
            refuse(problem, MESSAGE)

    def receive(self, block: object = True, type: int = 0) -> tuple[bytes, int]:
        """Take a message, waiting for one if *block* is true; gives its bytes and its type.

        *type* 0 takes the first message; above 0, the first of that type; below 0, the first of the
        lowest type that is at most `-type`.
        """
        type = c_int(type)
        taken = ops.now_msg_receive(self._id, self._longest, type, 0)
        if not isinstance(taken, int):
            return taken
        try:
            data, type = self._handle().receive(type, None if block else 0, max_size=self._longest)
        except IPCError as problem:
            refuse(problem, MESSAGE)
        return data, type

    @property
    def max_size(self) -> int:
        """How many bytes the queue holds; more than MSGMNB takes a privilege."""
        return int(self._stat().max_bytes)

    @max_size.setter
    def max_size(self, value: int) -> None:
        self._set("max_bytes", number(value, "max_size") & (1 << 64) - 1)

    last_send_time = stat_field("send_time", "When somebody sent last.")
    last_receive_time = stat_field("receive_time", "When somebody received last.")
    last_change_time = stat_field("change_time", "When owner, mode or max_size was changed, or it was made.")
    last_send_pid = stat_field("last_send_pid", "Who sent last.")
    last_receive_pid = stat_field("last_receive_pid", "Who received last.")
    current_messages = stat_field("messages", "How many messages wait in it.")
    mode = owner_field("mode", 0o777, "Permission bits.")
    uid = owner_field("uid", 0xFFFFFFFF, "The owner.")
    gid = owner_field("gid", 0xFFFFFFFF, "The owner's group.")
    cuid = stat_field("creator_uid", "Who made it.")
    cgid = stat_field("creator_gid", "The maker's group.")


def _longest(given: Any) -> int:
    size = c_unsigned(given)
    if size > _MOST:
        raise ValueError(f"max_message_size is at most {_MOST}, not {size}")
    return min(size, _NO_LIMIT)


def remove_message_queue(id: int, /) -> None:
    """Remove the queue that has this id."""
    check(ops.msg_remove(c_int(id)), CONTROL, f"remove message queue id {id}")
