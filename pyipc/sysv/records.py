"""What the kernel tells about an object: the results of `stat()` and of the listings.

Plain classes with slots: `dataclasses` alone would take longer to import than all of pyipc.
Times are whole seconds since 1970, and 0 for "never". Pids are as the kernel saw them, and may
belong to nobody, or to somebody else, by now.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._backend.protocol import Owner


class Record:
    """Fields by name, compared and printed by value."""

    __slots__ = ("creator_gid", "creator_uid", "gid", "id", "key", "mode", "uid")

    #: The kernel's id.
    id: int
    #: The key as a signed number; 0 for a private object.
    key: int
    #: Owner and group: who may change and remove it, beside the creator.
    uid: int
    gid: int
    creator_uid: int
    creator_gid: int
    #: Permission bits.
    mode: int

    def __init__(self, id: int, owner: Owner, **fields: int | None) -> None:
        self.id = id
        self.key, self.uid, self.gid, self.creator_uid, self.creator_gid, self.mode = owner
        for name, value in fields.items():
            setattr(self, name, value)

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return ("id", "key", "mode", "uid", "gid", "creator_uid", "creator_gid", *cls.__slots__)

    def as_dict(self) -> dict[str, int | None]:
        """All fields, by name."""
        return {name: getattr(self, name) for name in self._names()}

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value}" for name, value in self.as_dict().items())
        return f"{type(self).__name__}({fields})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.as_dict() == self.as_dict()

    __hash__ = None  # type: ignore[assignment]


class SegmentStat(Record):
    """A segment: shmctl(2), IPC_STAT."""

    __slots__ = (
        "attach_count",
        "attach_time",
        "change_time",
        "creator_pid",
        "detach_time",
        "last_pid",
        "resident",
        "size",
        "swapped",
    )

    #: Bytes, as asked for at its creation.
    size: int
    #: How many attachments there are now, of all processes.
    attach_count: int
    #: The last attach, detach, and change of owner or mode (or the creation).
    attach_time: int
    detach_time: int
    change_time: int
    #: Who made it, and who attached or detached last.
    creator_pid: int
    last_pid: int
    #: Bytes in memory and on the swap device; only the listing knows them.
    resident: int | None
    swapped: int | None


class SetStat(Record):
    """A semaphore set: semctl(2), IPC_STAT."""

    __slots__ = ("change_time", "count", "op_time")

    #: Semaphores in the set.
    count: int
    #: The last semop(2): 0 until the set was initialised, or for ever if nobody operates on it.
    op_time: int
    #: The last change of owner or mode, of a value by SETVAL or SETALL, or the creation.
    change_time: int


class QueueStat(Record):
    """A message queue: msgctl(2), IPC_STAT."""

    __slots__ = (
        "bytes",
        "change_time",
        "last_receive_pid",
        "last_send_pid",
        "max_bytes",
        "messages",
        "receive_time",
        "send_time",
    )

    #: Bytes and messages in the queue now.
    bytes: int
    messages: int
    #: Most bytes it takes before senders wait; the listing does not know it.
    max_bytes: int | None
    #: The last send, receive, and change of owner, mode or max_bytes (or the creation).
    send_time: int
    receive_time: int
    change_time: int
    last_send_pid: int
    last_receive_pid: int
