"""Memory behind a descriptor (memfd_create(2), fcntl(2) on seals)."""

from __future__ import annotations

import sys
from _thread import RLock
from errno import EACCES, EBADF, EFBIG, EINVAL, ENOMEM, ENOSPC, EPERM
from os import O_RDONLY, getpid

from .. import _memfd, _pickling, _room
from .._backend import ops
from .._descriptor import Handle, number_of
from .._mapping import Mapped
from ..errors import check, error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from .._backend.protocol import Descriptor
    from ..errors import IPCError

    Self = TypeVar("Self", bound="Memory")

_HUGE = {
    None: (0, 1, ""),
    "2M": (ops.MEMORY_HUGE_2M, 2 << 20, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"),
    "1G": (ops.MEMORY_HUGE_1G, 1 << 30, "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"),
}

_NAMES = {page: name for name, (_, page, _) in _HUGE.items()}

_NO_WRITING = ops.SEAL_WRITE | ops.SEAL_FUTURE_WRITE


@ops.accelerate("read", "write")
class Memory(Mapped, Handle):
    """Shared memory without a name, mapped into this process.

    Views and arrays of it outlive `close()`. It never shrinks.

    Args:
        size: Bytes, at least 1; all zero. With huge pages rounded up to whole ones.
        huge_pages: "2M" or "1G": make it of pages of that size.
        reserve: Make every page present now (about 0.3 ms a MiB), so that a lack of memory is an error
            here; else it is the kernel's out-of-memory killer at some later touch.

    Attributes:
        size: Bytes that are mapped.
        read_only: Whether it can only be read here.

    Raises:
        OutOfMemoryError: There is not that much memory.
        LimitError: The memory cgroup's limit, RLIMIT_FSIZE, RLIMIT_NOFILE, or too few huge pages.
    """

    __slots__ = (
        "_attachment",
        "_huge",
        "_lock",
        "_lock_pid",
        "_memory",
        "_reserve",
        "_trust",
        "read_only",
        "size",
    )
    kind = "memory"
    _attachment: Any
    _huge: str | None
    _reserve: bool
    _trust: bool

    @classmethod
    def _empty(cls: type[Self]) -> Self:
        memory = cls.__new__(cls)
        memory._prepare(None, True)
        return memory

    def _prepare(self, huge_pages: str | None, reserve: bool) -> None:
        self._lock, self._lock_pid = RLock(), getpid()
        self._attachment = self._memory = None
        self._huge, self._reserve, self._trust = huge_pages, reserve, False
        self.read_only, self.size = False, 0

    def __init__(self, size: int, *, huge_pages: str | None = None, reserve: bool = True) -> None:
        _check_size(size)
        if huge_pages not in _HUGE:
            raise ValueError(f"huge_pages is None, '2M' or '1G', not {huge_pages!r}")
        if huge_pages and not reserve:
            raise ValueError("huge pages that are not reserved may not be there when they are touched")
        flags, page, _ = _HUGE[huge_pages]
        self._prepare(huge_pages, reserve)
        size = _rounded_up(size, page)
        result = ops.memory_create(self, size, flags)
        try:
            if result < 0:
                raise self._cannot(result, f"create memory of {size} bytes")
            if reserve:
                self._reserve_pages(0, size)
            self._map_all()
        except BaseException:  # a signal handler's too
            self.close()
            raise

    @property
    def _changing(self) -> RLock:
        """Held while what is mapped, and how much, changes together.

        A signal handler may come in between, and do the same in the same thread: hence an RLock. And a
        process may be forked meanwhile, where nobody would ever let go of it: hence one a process.
        """
        if self._lock_pid != getpid():
            self._lock, self._lock_pid = RLock(), getpid()
        return self._lock

    @classmethod
    def from_fd(cls, descriptor: int | Handle, *, read_only: bool = False, trust: bool = False) -> Memory:
        """Map the memory behind a descriptor, such as one that was received, and own that.

        What could shrink is refused, since to touch what is not there any more would end this process
        with SIGBUS: memory must be sealed against shrinking, as every `Memory` is from birth; of huge
        pages, against writing too, since holes can be punched into them.

        Args:
            descriptor: A number that nobody else will close, or a handle, which gives its own up; both
                only if this succeeds.
            read_only: Map it for reading alone. What is sealed against writing, or whose descriptor is
                for reading alone, is mapped so anyway.
            trust: Take what is not sealed too, such as a file: nobody will shrink it.

        Raises:
            AccessError: It could shrink; or its descriptor forbids mapping.
            IPCError: ENODEV: it is no memory and no file; EINVAL: it is empty.
        """
        number = number_of(descriptor)
        doing = f"map the memory of descriptor {number}"
        _refuse_what_shrinks(number, trust, doing)
        memory = cls._copy_of(number, read_only, True, trust)
        try:
            if isinstance(descriptor, int):
                Handle(descriptor).close()
            else:
                descriptor.close()
        except BaseException:  # a signal handler's too
            memory.close()
            raise
        return memory

    @classmethod
    def _copy_of(cls: type[Self], number: int, read_only: bool, reserve: bool, trust: bool) -> Self:
        """Map what is behind somebody's descriptor, by one of our own."""
        memory = cls._empty()
        memory.read_only, memory._reserve, memory._trust = read_only, reserve, trust
        # To read alone by one that cannot write, so that its mapping is not in the way of freeze().
        result = ops.fd_open(memory, b"/proc/self/fd/%d" % number, O_RDONLY) if read_only else -EACCES
        if result < 0:  # or without /proc, or the file is another user's
            check(ops.now_duplicate(memory, number), f"map the memory of descriptor {number}")
        try:
            memory._map_all()
        except BaseException:  # a signal handler's too
            memory.close()
            raise
        return memory

    @classmethod
    def _arrived(cls, owner: Descriptor, *how: Any) -> Memory:
        # It was looked at where it came from, and who sends pickles is trusted.
        with Handle(owner) as handle:
            return cls._copy_of(handle.fileno(), *how)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _pickling.reduce(self, self.read_only, self._reserve, self._trust)

    # ---- how big it is ----

    def grow(self, size: int) -> None:
        """Make it at least *size* bytes, and map all of it; the new ones are zero.

        Another process sees them when it calls `grow` too. Views of before stay as they are.

        Raises:
            AccessError: It is sealed or frozen, or can only be read here.
            OutOfMemoryError, LimitError: As for a new one.
        """
        _check_size(size)
        with self._changing:
            now, seals, huge, _ = _memfd.stat_of(self.fileno(), f"grow {self}")
            size = _rounded_up(size, huge or 1)
            if size > now:
                self._grow(now, size, seals)
            self._map_all()

    def _grow(self, now: int, size: int, seals: int) -> None:
        doing = f"grow {self} to {size} bytes"
        if self.read_only:
            raise error(EACCES, f"{doing}: it can only be read here")
        if seals & ops.SEAL_GROW:
            raise error(EPERM, f"{doing}: it is sealed")
        try:
            if self._reserve:
                self._reserve_pages(now, size)
            result = ops.memory_grow(self.fileno(), size)
            if result < 0:
                raise self._cannot(result, doing)
        except BaseException:  # a signal handler's too
            ops.memory_grow(self._number, now)  # gives back the pages that are there already
            raise

    def seal(self) -> None:
        """Let it grow no more, in any process.

        Raises:
            AccessError: It is sealed for good, by `freeze()` or somebody else.
        """
        self._seal(ops.SEAL_GROW)

    def freeze(self) -> None:
        """Let nobody write to it any more, in any process; whoever receives it can rely on that.

        Views of before that live on in this process, or a process that has it mapped for writing,
        stand in the way.

        Raises:
            InUseError: Somebody, here or elsewhere, may still write through a view or mapping.
            AccessError: It is sealed in another way, or cannot be sealed.
        """
        with self._changing:
            if self.frozen:
                return
            self._let_go()  # unmapped now, unless a view lives
            if sys.implementation.name != "cpython":  # there, it is only when the collector comes by
                import gc

                gc.collect()
            try:
                self._seal(ops.SEAL_WRITE | ops.SEAL_GROW | ops.SEAL_SHRINK | ops.SEAL_SEAL)
            finally:
                if not self.closed:
                    self._map_all()

    @property
    def sealed(self) -> bool:
        """Whether it can grow no more."""
        return bool(self._seals() & ops.SEAL_GROW)

    @property
    def frozen(self) -> bool:
        """Whether nobody can write to it, for good."""
        frozen: int = ops.SEAL_WRITE | ops.SEAL_SHRINK
        return self._seals() & frozen == frozen

    def _seals(self) -> int:
        return _memfd.stat_of(self.fileno(), f"look at the seals of {self}")[1]

    def _seal(self, seals: int) -> None:
        result = ops.memory_seal(self.fileno(), seals)
        if result < 0:
            # EINVAL: a file of another kind, which the kernel has no seals for.
            doing = "seal" if seals == ops.SEAL_GROW else "freeze"
            raise self._error(-EPERM if result == -EINVAL else result, doing)

    def dup(self: Self) -> Self:
        """Another handle on the same memory, with a descriptor and a mapping of its own.

        Raises:
            LimitError: RLIMIT_NOFILE.
        """
        return self._copy_of(self.fileno(), self.read_only, self._reserve, self._trust)

    def detach(self) -> int:
        """Give its descriptor up, which from now on is the caller's to close, and let go of the memory.

        Raises:
            ClosedError: It is closed.
        """
        number = super().detach()
        self._let_go()
        return number

    # ---- pages and mappings ----

    def _reserve_pages(self, offset: int, end: int) -> None:
        doing = f"reserve {end - offset} bytes for {self}"
        if self._huge is None:
            _room.refuse_what_does_not_fit(end - offset, doing)
        result = _memfd.make_present(self.fileno(), offset, end)
        if result < 0:
            raise self._cannot(result, doing)

    def _map_all(self) -> None:
        """Map as much as there is; views of the mapping before keep that."""
        size, seals, huge, reading = _memfd.stat_of(self.fileno(), f"map {self}")
        if size == 0:
            raise error(EINVAL, f"map {self}, which is empty")
        self._huge = _NAMES.get(huge)
        self.read_only = self.read_only or reading or bool(seals & _NO_WRITING)
        flags = ops.MAP_PRIVATE if seals & ops.SEAL_WRITE else 0
        if not self.read_only:
            flags |= ops.MAP_WRITABLE
        mapped = ops.map_memory(self.fileno(), size, flags)
        if isinstance(mapped, int):
            raise self._cannot(mapped, f"map {size} bytes of {self}")
        self._attachment, self._memory = mapped
        self.size = size
        if self.closed:  # by another thread, meanwhile
            self._let_go()

    def _map(self) -> Any:
        """What is mapped; after a freeze() that was broken off, map it again."""
        if self.closed:
            self._refuse()
        with self._changing:
            if self._memory is None:
                self._map_all()
            return self._memory

    def _let_go(self) -> None:
        self._attachment = self._memory = None

    def close(self) -> None:
        """Let go of it; the kernel frees it with the last who has it, views included."""
        try:
            super().close()
        finally:  # after it, since a thread that finds it open may map it
            self._let_go()

    def _cannot(self, result: int, doing: str) -> IPCError:
        if self._huge and result in (-ENOMEM, -ENOSPC):
            limit, path = f"{self._huge} huge pages", _HUGE[self._huge][2]
            return limit_error(-result, doing, limit, None, path)
        if result == -EFBIG:
            return limit_error(EFBIG, doing, "RLIMIT_FSIZE", _file_size_limit(), None)
        if result == -EBADF and not self.closed:  # O_PATH
            result = -EACCES
        return error(ENOMEM if result == -ENOSPC else -result, doing)

    def __repr__(self) -> str:
        return f"<memory of {self.size} bytes{', closed' if self.closed else ''}>"


def _check_size(size: int) -> None:
    if not isinstance(size, int):
        raise TypeError(f"size is an int, not {type(size).__name__}")
    if not 1 <= size < 1 << 62:
        raise ValueError(f"memory has 1 to 2**62-1 bytes, not {size}")


def _rounded_up(size: int, page: int) -> int:
    return -(-size // page) * page


def _refuse_what_shrinks(number: int, trust: bool, doing: str) -> None:
    missing = _memfd.lacks(_memfd.stat_of(number, doing))
    if missing is not None and not trust:
        raise error(EACCES, f"{doing}: it is not sealed against {missing} (trust=True takes it all the same)")


def _file_size_limit() -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_FSIZE)[0]
