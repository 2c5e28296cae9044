"""Message queues with types (msgget(2), msgop(2), msgctl(2))."""

from __future__ import annotations

import os
from errno import E2BIG, EACCES, EAGAIN, EINVAL, EMSGSIZE, ENOSPC, ENOSYS, EPERM, ETIMEDOUT

from .. import _deadline, _handle
from .._backend import ops
from ..errors import NotFoundError, check, error, limit_error
from . import limits
from .keys import key_t, permissions, valid, valid_id, valid_mode, with_key
from .listing import message_queues
from .records import QueueStat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..errors import IPCError

# The first buffer of a receive that names no size: MSGMAX, where nobody has raised it.
_ROOM = 8192

_ALREADY = 0  # a deadline that has passed: try, do not wait


def _as_bytes(data: Any) -> bytes:
    return data if type(data) is bytes else memoryview(data).tobytes()


class Message(tuple):  # type: ignore[type-arg]
    """A received message: the pair `(data, type)`, also by name."""

    __slots__ = ()

    @property
    def data(self) -> bytes:
        """Its bytes."""
        data: bytes = self[0]
        return data

    @property
    def type(self) -> int:
        """Its type, a number above 0 that the sender chose."""
        type: int = self[1]
        return type

    def __repr__(self) -> str:
        return f"Message(data={self.data!r}, type={self.type})"


@ops.accelerate("send", "receive", result=Message)
class MessageQueue(_handle.Handle):
    """A queue of messages, each with a type; receivers choose by type."""

    __slots__ = ()
    kind = "message queue"

    @classmethod
    def create(
        cls,
        *,
        key: int | None = None,
        mode: int = 0o600,
        max_bytes: int | None = None,
        persist: bool = False,
    ) -> MessageQueue:
        """Make a queue.

        Nothing in the kernel ties a queue to a process: one whose owner is killed by SIGKILL
        stays, private or not.

        Args:
            key: Where other programs find it; None makes it private.
            mode: Who may receive (read) and send (write).
            max_bytes: How many bytes it holds before senders wait; None is the kernel's MSGMNB.
            persist: Keep it until somebody removes it.

        Raises:
            AlreadyExistsError: The key is taken.
            LimitError: MSGMNI; or *max_bytes* above MSGMNB, without the privilege for it.
        """
        kernel_key = key_t(key)
        id = ops.msg_create(kernel_key, valid_mode(mode))
        if id < 0:
            doing = f"create message queue{with_key(kernel_key)}"
            raise limits.reached(id, doing, "MSGMNI") if id == -ENOSPC else error(-id, doing)
        queue = cls(id, kernel_key or None, owner=not persist)
        if max_bytes is not None:
            try:
                queue.set(max_bytes=max_bytes)
            except BaseException:  # a signal handler's too: nobody knows of the queue yet
                ops.msg_remove(id)
                queue.close()
                raise
        return queue

    @classmethod
    def open(cls, key: int) -> MessageQueue:
        """Find the queue that has this key.

        Raises:
            NotFoundError: There is none.
        """
        key = valid(key)
        return cls(check(ops.now_msg_find(key), f"open message queue{with_key(key)}"), key, owner=False)

    @classmethod
    def attach(cls, id: int) -> MessageQueue:
        """Find the queue that has this id.

        Raises:
            RemovedError: There is none.
        """
        fields = ops.now_msg_stat(valid_id(id))
        if fields == -EACCES:  # the listing tells everybody
            for row in message_queues():
                if row.id == id:
                    return cls(id, row.key or None, owner=False)
        if isinstance(fields, int):
            raise error(-fields, f"attach message queue id {id}")
        return cls(id, fields[0][0] or None, owner=False)

    @classmethod
    def open_or_create(cls, key: int, *, mode: int = 0o600) -> MessageQueue:
        """Find the queue that has this key; make it if there is none.

        Whoever makes it, nobody owns it: it stays until `remove()`.
        """
        while True:
            try:
                try:
                    return cls.create(key=key, mode=mode, persist=True)
                except FileExistsError:
                    return cls.open(key)
            except NotFoundError:
                pass  # somebody removed it between the two calls: begin again

    def send(self, data: Any, type: int = 1, timeout: float | None = None) -> None:
        """Put a message at the end of the queue, waiting while the queue is full.

        With a timeout, a sender looks for room every 20 us at first and every 10 ms at last,
        since msgsnd(2) knows none; one that waits without a timeout sleeps in the kernel, and is
        served first.

        Args:
            data: Any bytes-like object, also an empty one.
            type: Above 0.
            timeout: How many seconds to wait for room.

        Raises:
            WouldBlockError: With `timeout=0`: the queue is full.
            TimedOutError: There was no room in time.
            LimitError: The message is longer than MSGMAX, or than the queue will ever hold.
            RemovedError: The queue is gone.
        """
        _deadline.valid(timeout)
        if not 1 <= type < 1 << 63:
            raise ValueError(f"a message's type is 1..2**63-1, not {type}")
        data = _as_bytes(data)
        result = ops.now_msg_send(self._live, type, data)
        if result == -EMSGSIZE:
            result = ops.msg_send(self._live, type, data, _ALREADY)
            result = -EAGAIN if result == -ETIMEDOUT else result
        if result == -EAGAIN:
            self._refuse_what_never_fits(data)
            result = self._wait(lambda end: ops.msg_send(self._live, type, data, end), timeout, "send to")
        if result < 0:
            raise self._send_error(result, data)

    def _refuse_what_never_fits(self, data: bytes) -> None:
        """A message longer than the whole queue would wait for ever; the kernel lets it."""
        fields = ops.now_msg_stat(self._live)
        if not isinstance(fields, int) and len(data) > fields[3]:
            raise limit_error(EAGAIN, f"send {len(data)} bytes to {self}", "max_bytes", fields[3], None)

    def _send_error(self, result: int, data: bytes) -> IPCError:
        if result == -EINVAL and len(data) > limits.read("MSGMAX"):
            return limits.reached(result, f"send {len(data)} bytes to {self}", "MSGMAX")
        return self._error(result, "send to")

    def receive(
        self,
        type: int = 0,
        timeout: float | None = None,
        *,
        max_size: int | None = None,
        truncate: bool = False,
        except_type: int | None = None,
        copy: int | None = None,
    ) -> Message:
        """Take a message out of the queue, waiting until there is one.

        With a timeout, a receiver looks every 20 us at first and every 10 ms at last, since
        msgrcv(2) knows none; one that waits without a timeout sleeps in the kernel, and is served
        first.

        Args:
            type: 0: the first message; above 0: the first of this type; below 0: the first of
                the lowest type that is at most `-type`.
            timeout: How many seconds to wait.
            max_size: Refuse a longer message (it stays in the queue); None takes any.
            truncate: Do not refuse it: take its first *max_size* bytes, drop the rest.
            except_type: The first message that is *not* of this type.
            copy: Leave the queue as it is and copy the message at this place, 0 for the first.
                Never waits.

        Raises:
            WouldBlockError: With `timeout=0`, or *copy*: there is none.
            TimedOutError: There was none in time.
            LimitError: The message is longer than *max_size*.
            RemovedError: The queue is gone.
            UnsupportedError: *copy*, and the kernel was built without it.
        """
        _deadline.valid(timeout)
        if max_size is not None and not 0 <= max_size < 1 << 31:
            raise ValueError(f"max_size is 0..2**31-1, not {max_size}")
        if copy is not None:
            if type or except_type is not None:
                raise ValueError("copy chooses by place, so it goes with neither type nor except_type")
            return self._copy(copy, max_size, truncate)
        flags = ops.MSG_TRUNCATE if truncate and max_size is not None else 0
        if except_type is not None:
            if type or not 1 <= except_type < 1 << 63:
                raise ValueError("except_type is a type of 1..2**63-1, and goes without type")
            flags, type = flags | ops.MSG_EXCEPT, except_type
        elif not -(1 << 63) < type < 1 << 63:
            raise ValueError(f"type is -2**63+1..2**63-1, not {type}")
        size = _ROOM if max_size is None else max_size
        while True:
            result = ops.now_msg_receive(self._live, size, type, flags)
            if result == -EAGAIN:
                result = self._wait_receive(size, type, flags, timeout)
            if not isinstance(result, int):
                return Message(result)
            if result != -E2BIG or max_size is not None:
                raise self._receive_error(result, max_size)
            size *= 8  # somebody has raised MSGMAX; the message is still in the queue

    def _wait_receive(
        self, size: int, type: int, flags: int, timeout: float | None
    ) -> int | tuple[bytes, int]:
        return self._wait(
            lambda end: ops.msg_receive(self._live, size, type, flags, end), timeout, "receive from"
        )

    def _copy(self, place: int, max_size: int | None, truncate: bool) -> Message:
        if not 0 <= place < 1 << 31:
            raise ValueError(f"copy is a place in the queue, 0..2**31-1, not {place}")
        # The kernel copies whole messages or none, whatever else is asked.
        size = max(limits.read("MSGMAX"), _ROOM)
        result = ops.now_msg_receive(self._live, size, place, ops.MSG_COPY)
        if isinstance(result, int):
            if result == -ENOSYS:
                raise error(
                    ENOSYS, f"copy a message of {self}, by a kernel without CONFIG_CHECKPOINT_RESTORE"
                )
            raise self._error(result, f"copy message {place} of")
        data, type = result
        if max_size is not None and len(data) > max_size:
            if not truncate:
                raise self._receive_error(-E2BIG, max_size)
            data = data[:max_size]
        return Message((data, type))

    def _receive_error(self, result: int, max_size: int | None) -> IPCError:
        if result == -E2BIG and not self.closed:
            doing = f"receive a longer message from {self}; it is still there"
            return limit_error(E2BIG, doing, "max_size", max_size, None)
        return self._error(result, "receive from")

    def stat(self) -> QueueStat:
        """What the kernel knows about it.

        Raises:
            AccessError: Its mode forbids reading.
        """
        fields = ops.now_msg_stat(self._live)
        if isinstance(fields, int):
            raise self._error(fields, "stat")
        owner, size, messages, max_bytes, send_time, receive_time, change_time, sender, receiver = fields
        return QueueStat(
            self.id,
            owner,
            bytes=size,
            messages=messages,
            max_bytes=max_bytes,
            send_time=send_time,
            receive_time=receive_time,
            change_time=change_time,
            last_send_pid=sender,
            last_receive_pid=receiver,
        )

    def set(
        self,
        *,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        max_bytes: int | None = None,
    ) -> None:
        """Change its mode, owner, group, or how many bytes it holds (IPC_SET).

        Raises:
            AccessError: Neither its owner nor its creator, nor privileged.
            LimitError: *max_bytes* above MSGMNB, without CAP_SYS_RESOURCE.
        """
        if max_bytes is not None and not 0 <= max_bytes < 1 << 31:  # the kernel drops higher bits
            raise ValueError(f"max_bytes is 0..2**31-1, not {max_bytes}")
        most = -1 if max_bytes is None else max_bytes
        result = ops.now_msg_set(self._live, *permissions(uid, gid, mode), most)
        if result == -EPERM and most > limits.read("MSGMNB") and not self._is_anothers():
            raise limits.reached(result, f"set max_bytes={max_bytes} of {self}", "MSGMNB")
        if result < 0:
            raise self._error(result, "set")

    def _is_anothers(self) -> bool:
        """Whether EPERM is about whose it is; of one that is gone by now, it was not."""
        me = os.geteuid()
        return any(row.id == self._live and me not in (row.uid, row.creator_uid) for row in message_queues())

    def _remove(self, id: int) -> int:
        return ops.msg_remove(id)
