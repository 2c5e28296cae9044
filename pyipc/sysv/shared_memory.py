"""Segments of shared memory (shmget(2), shmop(2), shmctl(2))."""

from __future__ import annotations

from errno import EBADF, EIDRM, EINVAL, ENOMEM, ENOSPC, EPERM

from .. import _handle, _mapping
from .._backend import ops
from ..errors import NotFoundError, RemovedError, check, error, limit_error
from . import limits
from .keys import PRIVATE, key_t, permissions, valid, valid_id, valid_mode, with_key
from .listing import segments
from .records import SegmentStat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..errors import IPCError

_HUGE_GROUP = "/proc/sys/vm/hugetlb_shm_group"

_HUGE = {
    None: (0, ""),
    "2M": (ops.SHM_HUGE_2M, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"),
    "1G": (ops.SHM_HUGE_1G, "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"),
}


def _cannot_create(result: int, key: int, size: int, huge_pages: str | None) -> IPCError:
    doing = f"create segment of {size} bytes{with_key(key)}"
    if result == -ENOSPC:
        return limits.reached_either(result, doing, "SHMMNI", segments(), "SHMALL")
    if result == -EINVAL and size > limits.read("SHMMAX"):
        return limits.reached(result, doing, "SHMMAX")
    if huge_pages and result == -EPERM:
        return error(EPERM, f"{doing}: huge pages are for root, and the group in {_HUGE_GROUP}")
    if huge_pages and result in (-ENOMEM, -EINVAL):
        return limit_error(-result, doing, f"{huge_pages} huge pages", None, _HUGE[huge_pages][1])
    return error(-result, doing)


@ops.accelerate("read", "write", "reattach", "detach")
class SharedMemory(_mapping.Mapped, _handle.Handle):
    """A segment, attached to this process.

    Attributes:
        size: Bytes, as asked for at its creation.
        read_only: Attached so that it can only be read.
    """

    __slots__ = ("_attachment", "_memory", "read_only", "size")
    kind = "segment"

    def __init__(
        self, id: int, key: int | None, size: int, attachment: Any, *, read_only: bool, owner: bool
    ) -> None:
        # What holds is set first: the base may be interrupted, and then this must be let go of.
        self._attachment = attachment
        self._memory = ops.shm_memory(attachment, size, read_only)
        self.size = size
        self.read_only = read_only
        super().__init__(id, key, owner=owner)

    @classmethod
    def create(
        cls,
        size: int,
        *,
        key: int | None = None,
        mode: int = 0o600,
        persist: bool = False,
        populate: bool = False,
        huge_pages: str | None = None,
        reserve: bool = True,
    ) -> SharedMemory:
        """Make a segment of *size* bytes, all zero.

        A private one (no key) cannot leak, not even under SIGKILL: it is marked for removal at
        once, stays for as long as any process has it attached, and can be attached by its id
        meanwhile.

        Args:
            size: Bytes, at least 1.
            key: Where other programs find it; None makes it private.
            mode: Who may read and write it.
            persist: Keep it, also after this process, until somebody removes it.
            populate: Make every page present now (1 ms a MiB), so that a lack of memory is an
                error here, not a SIGBUS at some later touch.
            huge_pages: "2M" or "1G": make it of pages of that size.
            reserve: Whether the kernel accounts for all of it now (SHM_NORESERVE if not). Huge
                pages are always reserved: to touch one that is not there would be SIGBUS.

        Raises:
            AlreadyExistsError: The key is taken.
            LimitError: SHMMNI, SHMALL, SHMMAX, or too few huge pages.
            AccessError: Huge pages, which this user may not have.
            OutOfMemoryError: There is not that much memory.
        """
        if not isinstance(size, int):
            raise TypeError(f"size is an int, not {type(size).__name__}")
        if not 1 <= size < 1 << 63:
            raise ValueError(f"a segment has 1 to 2**63-1 bytes, not {size}")
        if huge_pages not in _HUGE:
            raise ValueError(f"huge_pages is None, '2M' or '1G', not {huge_pages!r}")
        if huge_pages and not reserve:
            raise ValueError("huge pages that are not reserved may not be there when they are touched")
        flags = _HUGE[huge_pages][0] | (0 if reserve else ops.SHM_NO_RESERVE)
        segment = cls._create(size, key_t(key), valid_mode(mode), persist, flags, huge_pages)
        if populate:
            result = ops.shm_populate(segment._memory)
            if result < 0:
                ops.shm_remove(segment.id)
                segment.close()
                raise error(-result, f"populate {segment}")
        return segment

    @classmethod
    def _create(
        cls, size: int, key: int, mode: int, persist: bool, flags: int, huge_pages: str | None
    ) -> SharedMemory:
        if key == PRIVATE and not persist:
            made = ops.shm_create_private(size, flags, mode)
            if isinstance(made, int):
                raise _cannot_create(made, key, size, huge_pages)
            return cls(made[0], None, size, made[1], read_only=False, owner=False)
        working_mode = mode | 0o600  # to attach it takes permission that the caller may not want to keep
        id = ops.shm_create(key, size, flags, working_mode)
        if id < 0:
            raise _cannot_create(id, key, size, huge_pages)
        attachment = ops.shm_attach(id, 0, 0)
        result = attachment if isinstance(attachment, int) else 0
        if result == 0 and mode != working_mode:
            result = ops.now_shm_set(id, -1, -1, mode)
        if result < 0:
            ops.shm_remove(id)
            raise error(-result, f"attach the new segment, id {id}")
        return cls(id, key or None, size, attachment, read_only=False, owner=not persist)

    @classmethod
    def open(cls, key: int, *, read_only: bool = False, address: int | None = None) -> SharedMemory:
        """Attach the segment that has this key.

        Whether it is filled yet is for the programs to say: it is visible from its creation on.

        Args:
            key: Its key.
            read_only: Attach it for reading alone (SHM_RDONLY).
            address: Map it there (a multiple of the page size), and nowhere else.

        Raises:
            NotFoundError: There is none.
            AccessError: Its mode forbids it.
        """
        key = valid(key)
        id = check(ops.now_shm_find(key, 0), f"open segment{with_key(key)}")
        return cls._attach(id, read_only, address)

    @classmethod
    def attach(cls, id: int, *, read_only: bool = False, address: int | None = None) -> SharedMemory:
        """Attach the segment that has this id, as `open` does.

        Raises:
            RemovedError: There is none.
            AccessError: Its mode forbids it.
        """
        return cls._attach(valid_id(id), read_only, address)

    @classmethod
    def open_or_create(cls, key: int, size: int, *, mode: int = 0o600) -> SharedMemory:
        """Attach the segment that has this key; make it, of *size* bytes, if there is none.

        Whoever makes it, nobody owns it: it stays until `remove()`.

        Raises:
            IPCError: EINVAL: there is one, and it is smaller than *size*.
            AccessError: There is one, and its mode forbids it.
        """
        key = valid(key)
        doing = f"open segment{with_key(key)}"
        while True:
            try:
                try:
                    return cls.create(size, key=key, mode=mode, persist=True)
                except FileExistsError:
                    id = ops.now_shm_find(key, size)
                if id == -EINVAL:
                    raise error(EINVAL, f"{doing}: it has less than {size} bytes")
                return cls._attach(check(id, doing), False, None)
            except (NotFoundError, RemovedError):
                pass  # somebody removed it between two of the calls: begin again

    @classmethod
    def _attach(cls, id: int, read_only: bool, address: int | None) -> SharedMemory:
        doing = f"attach segment id {id}"
        attachment = cls._attachment_of(id, read_only, address, doing)
        # Asked after attaching: from then on the id cannot come to mean another segment.
        fields = ops.now_shm_stat(id)
        if isinstance(fields, int):
            raise error(-fields, doing)
        return cls(id, fields[0][0] or None, fields[1], attachment, read_only=read_only, owner=False)

    @staticmethod
    def _attachment_of(id: int, read_only: bool, address: int | None, doing: str) -> Any:
        if address is not None and not 0 < address < 1 << 63:
            raise ValueError(f"an address is above 0 and below 2**63, not {address}")
        attachment = ops.shm_attach(id, address or 0, ops.SHM_READ_ONLY if read_only else 0)
        if not isinstance(attachment, int):
            return attachment
        if attachment == -EINVAL and address is not None:
            raise error(EINVAL, f"{doing} at {address:#x}: not a free range that begins on a page")
        raise error(-attachment, doing)

    def detach(self) -> None:
        """Give up the mapping (it goes with its last view) but keep the handle.

        A private segment that nobody else has attached goes with it.
        """
        self._let_go()

    def reattach(self, *, read_only: bool = False, address: int | None = None) -> None:
        """Attach again, perhaps elsewhere or in another mode; views of before stay as they are.

        Raises:
            RemovedError: The segment has gone meanwhile.
        """
        if self.closed:
            raise self._error(-EBADF, "reattach")
        attachment = self._attachment_of(self.id, read_only, address, f"reattach {self}")
        self._let_go()
        self._attachment = attachment
        self.read_only = read_only
        if self.closed:  # by another thread, meanwhile
            self._let_go()
            raise self._error(-EBADF, "reattach")

    def _let_go(self) -> None:
        self._attachment = None  # first, for _map() looks at it last
        self._memory = None
        self.read_only = False

    def _map(self) -> Any:
        """The memory, on first use after `reattach`."""
        attachment = self._attachment
        if attachment is None:
            raise error(EBADF, f"use {self}{'' if self.closed else ', which is detached'}")
        # While detached, the id may have come to mean a smaller segment; now it cannot.
        size = ops.now_shm_size(self.id)
        if size < 0:
            raise error(-size, f"use {self}")
        if size != self.size:
            raise error(EIDRM, f"{self} was removed while it was detached")
        self._memory = memory = ops.shm_memory(attachment, self.size, self.read_only)
        if self._attachment is not attachment:  # another thread has closed or detached it just now
            self._memory = None
            raise error(EBADF, f"use {self}")
        return memory

    @property
    def address(self) -> int:
        """Where it is mapped in this process."""
        if self._attachment is None:
            raise self._error(-EBADF, "find the address of")
        return ops.shm_address(self._attachment)

    def stat(self) -> SegmentStat:
        """What the kernel knows about it.

        Raises:
            AccessError: Its mode forbids reading.
        """
        fields = ops.now_shm_stat(self._live)
        if isinstance(fields, int):
            raise self._error(fields, "stat")
        owner, size, count, attach_time, detach_time, change_time, creator_pid, last_pid = fields
        return SegmentStat(
            self.id,
            owner,
            size=size,
            attach_count=count,
            attach_time=attach_time,
            detach_time=detach_time,
            change_time=change_time,
            creator_pid=creator_pid,
            last_pid=last_pid,
            resident=None,
            swapped=None,
        )

    def set(self, *, mode: int | None = None, uid: int | None = None, gid: int | None = None) -> None:
        """Change its mode, owner or group (IPC_SET).

        Raises:
            AccessError: Neither its owner nor its creator, nor privileged.
        """
        result = ops.now_shm_set(self._live, *permissions(uid, gid, mode))
        if result < 0:
            raise self._error(result, "set")

    def lock(self) -> None:
        """Keep it from being swapped out (SHM_LOCK); pages come in as they are touched.

        Raises:
            LimitError: More than RLIMIT_MEMLOCK lets this user lock.
        """
        result = ops.shm_lock(self._live, 1)
        if result in (-ENOMEM, -EPERM) and not self.closed:
            raise limit_error(-result, f"lock {self}", "RLIMIT_MEMLOCK", None, "/etc/security/limits.conf")
        if result < 0:
            raise self._error(result, "lock")

    def unlock(self) -> None:
        """Let it be swapped out again (SHM_UNLOCK)."""
        result = ops.shm_lock(self._live, 0)
        if result < 0:
            raise self._error(result, "unlock")

    def _remove(self, id: int) -> int:
        return ops.shm_remove(id)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        attach, (id,) = super().__reduce__()
        return (_attach_for_reading, (id,)) if self.read_only else (attach, (id,))


def _attach_for_reading(id: int) -> SharedMemory:
    return SharedMemory.attach(id, read_only=True)
