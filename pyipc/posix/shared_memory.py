"""Shared memory with a name (shm_overview(7))."""

from __future__ import annotations

import os
from errno import EACCES, EEXIST, EFBIG, ENODATA, ENOENT, ENOSPC

from .. import _memfd, _named, _pickling, _room
from .._backend import ops
from .._descriptor import WEAKLY, Handle
from .._mapping import Mapped
from ..errors import NotFoundError, check, error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from .._backend.protocol import Descriptor
    from ..errors import IPCError

    Self = TypeVar("Self", bound="SharedMemory")

_PLACE = "/dev/shm"

_WORTH_ASKING = 65536  # bytes: before room is made for more, it is asked whether there are so many


@ops.accelerate("posix_shm.read", "posix_shm.write")
class SharedMemory(_named.Named, Mapped, Handle):
    """Shared memory that others find by its name.

    Whoever may write to it may also make it shorter, and then to touch a mapping of what is gone ends a
    process with SIGBUS. So `read` and `write` go by the kernel, and fail where there is nothing; a view
    (`buf`, `array`) is for memory that was made here, or whose other users are trusted: `trust=True`.

    It can be pickled as other descriptors can.

    Attributes:
        name: With its slash.
        read_only: Whether it was opened for reading alone.
    """

    __slots__ = (*WEAKLY, "_attachment", "_memory", "_owner_pid", "_trust", "name", "read_only")
    kind = "shared memory"
    _attachment: Any
    _trust: bool

    def __init__(self) -> None:
        raise TypeError("shared memory is what create(), open() and open_or_create() give")

    @classmethod
    def _empty(cls: type[Self]) -> Self:
        memory = cls.__new__(cls)
        memory._attachment = memory._memory = None
        memory._trust = memory.read_only = False
        memory.name, memory._owner_pid = None, 0
        return memory

    @classmethod
    def create(
        cls: type[Self],
        name: str | None,
        size: int,
        *,
        mode: int = 0o600,
        reserve: bool = True,
        persist: bool = False,
    ) -> Self:
        """Make some, all zero. Nobody finds it before it has its size.

        Args:
            name: What others find it by, such as "/weather"; None is one that nobody has.
            size: Bytes, at least 1.
            mode: Who may open it, less the umask.
            reserve: Make every page present now, so that a lack of memory is an error here, and not
                a SIGBUS at some later touch.
            persist: Keep its name after `close()`.

        Raises:
            AlreadyExistsError: The name is taken.
            LimitError: There is no room in /dev/shm, or RLIMIT_FSIZE, or RLIMIT_NOFILE.
            OutOfMemoryError: There is no memory.
        """
        plain = None if name is None else _named.file_name(name)
        memory = cls._unnamed(size, mode, reserve)
        try:
            while True:
                if name is None:
                    name = _named.any_name()
                # Whatever ends this now takes the name away, if it is this memory that has it.
                memory._begin(name, owner=True)
                result = ops.posix_shm_link(memory.fileno(), plain or os.fsencode(name[1:]))
                if result != -EEXIST or plain is not None:
                    break
                name = None
            check(result, f"create shared memory {name}")
            if persist:
                memory._owner_pid = 0
        except BaseException:  # a signal handler's too
            memory.close()
            raise
        return memory

    @classmethod
    def _unnamed(cls: type[Self], size: int, mode: int, reserve: bool) -> Self:
        if not isinstance(size, int):
            raise TypeError(f"size is an int, not {type(size).__name__}")
        if not 1 <= size < 1 << 62:
            raise ValueError(f"shared memory has 1 to 2**62-1 bytes, not {size}")
        if not 0 <= mode <= 0o777:
            raise ValueError(f"mode is 0..0o777, not {mode:#o}")
        doing = f"create shared memory of {size} bytes"
        memory = cls._empty()
        memory._trust = True
        check(ops.posix_shm_create(memory, mode), doing)
        try:
            memory._resize(size, reserve, doing)
        except BaseException:  # a signal handler's too
            memory.close()
            raise
        return memory

    @classmethod
    def open(cls: type[Self], name: str, *, read_only: bool = False, trust: bool = False) -> Self:
        """Find what has this name.

        Args:
            name: With or without its slash.
            read_only: For reading alone.
            trust: Nobody will make it shorter: let it be mapped.

        Raises:
            NotFoundError: There is none.
            AccessError: Its mode forbids it.
            IPCError: ENODEV: it is no memory.
        """
        plain = _named.file_name(name)
        memory = cls._empty()
        memory.read_only, memory._trust = read_only, trust
        doing = f"open shared memory {_named.with_slash(name)}"
        check(ops.posix_shm_open(memory, plain, read_only), doing)
        try:
            _memfd.stat_of(memory.fileno(), doing)
            memory._begin(name, owner=False)
        except BaseException:  # a signal handler's too
            memory.close()
            raise
        return memory

    @classmethod
    def open_or_create(
        cls: type[Self], name: str, size: int, *, mode: int = 0o600, reserve: bool = True, trust: bool = False
    ) -> Self:
        """Find what has this name; if there is none, make it, of this size.

        Whoever makes it, nobody owns it: it stays until `remove()`. What is found has its own size.
        """
        while True:
            try:
                return cls.open(name, trust=trust)
            except NotFoundError:
                pass
            try:
                return cls.create(name, size, mode=mode, reserve=reserve, persist=True)
            except FileExistsError:
                pass  # somebody made it between the two calls: begin again

    @classmethod
    def _arrived(cls, owner: Descriptor, *how: Any) -> SharedMemory:
        memory = cls._empty()
        name, memory.read_only, memory._trust = how
        check(ops.now_move(owner, memory), "own shared memory")
        memory._begin(name, owner=False)
        return memory

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _pickling.reduce(self, self.name, self.read_only, self._trust)

    def dup(self: Self) -> Self:
        """Another handle on the same memory, by a descriptor of its own, which owns no name.

        Raises:
            LimitError: RLIMIT_NOFILE.
        """
        twin = super().dup()
        twin.read_only, twin._trust = self.read_only, self._trust
        twin._begin(self.name, owner=False)
        return twin

    # ---- what is in it ----

    @property
    def size(self) -> int:  # type: ignore[override]  # not kept: others change it
        """How many bytes it has now: anybody who may write to it may change that."""
        return _memfd.stat_of(self.fileno(), f"look at {self}")[0]

    def read(self, size: int | None = None, offset: int = 0) -> bytes:
        """Copy *size* bytes from *offset* (None: all that follow).

        Raises:
            IPCError: ENODATA: it has not so many, or not any more.
        """
        if size is None:
            size = max(self.size - offset, 0)
        if size < 0 or not 0 <= offset < 1 << 63:
            raise ValueError(f"bytes {offset} to {offset + size} are none of any memory")
        end = offset + size
        if (size > _WORTH_ASKING or end >= 1 << 63) and end > self.size:
            raise self._short(-ENODATA, "read", offset, size)
        data = ops.posix_shm_read(self, offset, size)
        if isinstance(data, int):
            raise self._short(data, "read", offset, size)
        return data

    def write(self, data: Any, offset: int = 0, *, pad_to: int | None = None) -> None:
        """Copy the bytes of *data* (any bytes-like object) to *offset*.

        Args:
            data: What to write.
            offset: Where, in bytes from the start.
            pad_to: Write this many bytes, filling up with NULs.

        Raises:
            IPCError: ENODATA: it has not so many bytes, or not any more.
            LimitError: There is no room in /dev/shm (for what `reserve` did not make present); RLIMIT_FSIZE.
            AccessError: It was opened for reading alone.
        """
        if type(data) is not bytes:
            data = memoryview(data).tobytes()
        if pad_to is not None:
            if len(data) > pad_to:
                raise ValueError(f"{len(data)} bytes are more than pad_to={pad_to}")
            data = data.ljust(pad_to, b"\0")
        if not 0 <= offset < 1 << 63:
            raise ValueError(f"offset is 0..2**63-1, not {offset}")
        if self.read_only:
            raise error(EACCES, f"write to read-only {self}")
        result = ops.posix_shm_write(self, offset, data)
        if result < 0:
            raise self._short(result, "write", offset, len(data))

    def _short(self, result: int, doing: str, offset: int, size: int) -> IPCError:
        if result != -ENODATA:
            what = f"{doing} {self}"
            return _no_room(result, what) if result in (-ENOSPC, -EFBIG) else self._error(result, doing)
        return error(ENODATA, f"{doing} bytes {offset} to {offset + size} of {self}, which has {self.size}")

    def resize(self, size: int, *, reserve: bool = True) -> None:
        """Make it longer or shorter, for everybody; new bytes are zero.

        Views of before stay as long as they were. To make it shorter may end a process that has it
        mapped, this one too.

        Raises:
            LimitError, OutOfMemoryError: As for a new one.
            AccessError: It was opened for reading alone.
        """
        if not isinstance(size, int):
            raise TypeError(f"size is an int, not {type(size).__name__}")
        if not 0 <= size < 1 << 62:
            raise ValueError(f"shared memory has 0 to 2**62-1 bytes, not {size}")
        doing = f"resize {self} to {size} bytes"
        if self.read_only:
            raise error(EACCES, doing)
        self._resize(size, reserve, doing)
        self._let_go()

    def _twin(self) -> Descriptor:
        """Another number for it: ours may be another file's, should a thread close the handle meanwhile."""
        twin: Descriptor = ops.Descriptor()
        result = ops.now_twin(twin, self)
        if result < 0:
            raise self._error(result, "use")
        return twin

    def _resize(self, size: int, reserve: bool, doing: str) -> None:
        twin = self._twin()
        try:
            number = twin.fileno()
            now = _memfd.stat_of(number, doing)[0]
            if reserve and size > now:
                _room.refuse_what_does_not_fit(size - now, doing)
                result = _memfd.make_present(number, now, size)
                if result < 0:
                    raise _no_room(result, doing)
            result = ops.posix_shm_resize(number, size)
            if result < 0:
                raise _no_room(result, doing)
        finally:
            twin._close()

    def _map(self) -> Any:
        if self.closed:
            self._refuse()
        if not self._trust:
            raise error(
                EACCES, f"map {self}, which others may make shorter (trust=True maps it all the same)"
            )
        twin = self._twin()
        try:
            size = _memfd.stat_of(twin.fileno(), f"map {self}")[0]
            if size == 0:
                raise error(ENODATA, f"map {self}, which is empty")
            mapped = ops.map_memory(twin.fileno(), size, 0 if self.read_only else ops.MAP_WRITABLE)
        finally:
            twin._close()
        if isinstance(mapped, int):
            raise self._error(mapped, "map")
        self._attachment, self._memory = mapped
        if self.closed:  # by another thread, meanwhile
            self._let_go()
            self._refuse()
        return mapped[1]

    def _let_go(self) -> None:
        self._attachment = self._memory = None

    # ---- its end ----

    def close(self) -> None:
        """Let go of it, and take its name away if this handle owns it; views live on."""
        problem = None if self.closed and not self.owner else self._remove_if_owner()
        super().close()
        self._let_go()
        if problem is not None:
            raise problem

    def detach(self) -> int:
        """Give its descriptor up, which from now on is the caller's to close; its name stays.

        Raises:
            ClosedError: It is closed.
        """
        number = super().detach()
        self._owner_pid = 0
        self._let_go()
        return number

    def _unlink(self) -> int:
        return -ENOENT if self.name is None else ops.posix_shm_unlink(_named.file_name(self.name))

    def _is_still_so_named(self) -> bool:
        try:
            there = os.stat(f"{_PLACE}{self.name}", follow_symlinks=False)
            mine = os.fstat(self.fileno())
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def __repr__(self) -> str:
        return f"<shared memory {self.name}{' closed' if self.closed else ''}>"


def _no_room(result: int, doing: str) -> IPCError:
    """What stands in the way of more memory."""
    if result == -ENOSPC:
        room = os.statvfs(_PLACE)
        return limit_error(ENOSPC, doing, "size of /dev/shm", room.f_frsize * room.f_blocks, None)
    if result == -EFBIG:
        import resource

        most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        return limit_error(EFBIG, doing, "RLIMIT_FSIZE", most, None)
    return error(-result, doing)
