"""What there is, whoever made it: /dev/shm and /dev/mqueue (shm_overview(7), mq_overview(7))."""

from __future__ import annotations

import os
from errno import ENOTSUP
from stat import S_ISREG

from ..errors import error
from .queues import handle_of_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SHM, _MQUEUE = "/dev/shm", "/dev/mqueue"
_SEMAPHORE = "sem."  # of glibc; in musl's files nothing tells a semaphore from other memory


class Record:
    """What has a name, compared and printed by value.

    Attributes:
        name: With its slash.
        mode: Permission bits.
        uid, gid: Whose it is.
        change_time: Seconds since 1970.
    """

    __slots__ = ("change_time", "gid", "mode", "name", "uid")

    def __init__(self, name: str, facts: os.stat_result) -> None:
        self.name = name
        self.mode, self.uid, self.gid = facts.st_mode & 0o777, facts.st_uid, facts.st_gid
        self.change_time = int(facts.st_ctime)

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return ("name", "mode", "uid", "gid", "change_time", *(cls.__slots__ if cls is not Record else ()))

    def as_dict(self) -> dict[str, int | str | None]:
        """All fields, by name."""
        return {name: getattr(self, name) for name in self._names()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.as_dict().items())})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.as_dict() == other.as_dict()

    __hash__ = None  # type: ignore[assignment]  # as Python sets it beside __eq__


class SharedMemoryRecord(Record):
    """Shared memory.

    Attributes:
        size: Bytes.
        present: How many of them take memory.
    """

    __slots__ = ("present", "size")

    def __init__(self, name: str, facts: os.stat_result) -> None:
        super().__init__(name, facts)
        self.size, self.present = facts.st_size, 512 * facts.st_blocks


class SemaphoreRecord(Record):
    """A named semaphore."""

    __slots__ = ()


class MessageQueueRecord(Record):
    """A message queue.

    Attributes:
        bytes: How many wait, of all messages together; None if its mode forbids to look.
        notified_pid: Who is notified, or 0; None too.
    """

    __slots__ = ("bytes", "notified_pid")

    def __init__(self, name: str, facts: os.stat_result) -> None:
        super().__init__(name, facts)
        self.bytes: int | None = None
        self.notified_pid: int | None = None
        try:
            text = _account_of(name, facts)
        except OSError:
            return
        fields = dict(field.split(":") for field in text.split())
        self.bytes, self.notified_pid = int(fields["QSIZE"]), int(fields["NOTIFY_PID"])


def _account_of(name: str, facts: os.stat_result) -> str:
    """What the kernel tells of a queue to who reads its file.

    A process that closes one is not notified of that queue any more: so where this one is, by a handle of
    ours, the handle is read.
    """
    queue = handle_of_request(name, facts)
    if queue is not None:
        return os.pread(queue.fileno(), 256, 0).decode()
    with open(f"{_MQUEUE}{name}") as file:
        return file.read()


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                facts = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # removed meanwhile
                continue
            if S_ISREG(facts.st_mode):
                yield entry.name, facts


def shared_memory_objects() -> list[SharedMemoryRecord]:
    """All POSIX shared memory."""
    return [
        SharedMemoryRecord(f"/{name}", facts)
        for name, facts in _files(_SHM)
        if not name.startswith(_SEMAPHORE)
    ]


def named_semaphores() -> list[SemaphoreRecord]:
    """Every named semaphore of glibc's."""
    return [
        SemaphoreRecord(f"/{name[len(_SEMAPHORE) :]}", facts)
        for name, facts in _files(_SHM)
        if name.startswith(_SEMAPHORE)
    ]


def message_queues() -> list[MessageQueueRecord]:
    """Every POSIX message queue of the namespace whose file system is mounted at /dev/mqueue.

    Raises:
        UnsupportedError: None is: `mount -t mqueue none /dev/mqueue`.
    """
    if not os.path.ismount(_MQUEUE):
        raise error(ENOTSUP, "list message queues, where no mqueue file system is mounted at /dev/mqueue")
    return [MessageQueueRecord(f"/{name}", facts) for name, facts in _files(_MQUEUE)]
