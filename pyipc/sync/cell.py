"""One value, of which the newest counts: docs/design/cell.md."""

from __future__ import annotations

from errno import EAGAIN, EMSGSIZE, ETIMEDOUT
from time import monotonic_ns

from .. import _deadline, _memfd
from .._backend import ops
from .._member import SPINS, Member, SharedHandle
from ..errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._backend.protocol import Descriptor

# Copying more than this takes longer than another thread should wait for the GIL.
_COPY_WITH_GIL = 65536


@ops.accelerate("latest.get", "latest.set")
class Latest(SharedHandle):
    """One value of bytes, of which the newest counts: a state, a position, the last picture.

    Any process may write it, any may read it, none keeps another from it: a reader gets the newest
    value whole, at once, whatever becomes of a writer; values that nobody has read in time are gone.
    Each has a version, from 1 on; version 0 is b"", the value at first.

    It can be passed to processes that `multiprocessing` starts, and over its connections and queues; a
    forked child has it.

    Args:
        size: Bytes that a value has at most, 1 to 2**26. It takes four times this much memory, which is
            reserved at once.

    Raises:
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
        OutOfMemoryError, LimitError: There is not that much memory; RLIMIT_NOFILE.
    """

    __slots__ = ("_address",)
    kind = "latest value"

    def __init__(self, size: int) -> None:
        if not isinstance(size, int):
            raise TypeError(f"size is an int, not {type(size).__name__}")
        if not 1 <= size <= ops.CELL_MOST:
            raise ValueError(f"a value has 1 to {ops.CELL_MOST} bytes, not {size}")
        doing = f"make a cell for values of {size} bytes"
        total = ops.cell_memory(size)
        if total < 0:
            raise error(-total, doing)

        def begin(memory: Any, total: int, life: int) -> Any:
            result = ops.cell_format(memory, size)
            return result if result < 0 else _begin(memory, total, life)

        with_memory = _memfd.made(total, total, doing)
        try:
            self._begin(Member(with_memory.fileno(), begin))
        finally:
            with_memory._close()

    def _begin(self, member: Member) -> None:
        super().__init__(member)
        self._address = ops.address_of(member.state)

    def close(self) -> None:
        """Let go of it; the kernel frees it with the last who has it. Closing again does nothing.

        Threads of this process that wait on this handle get `ClosedError`.
        """
        self._address = 0  # first, since C uses it
        super().close()

    @classmethod
    def _arrived(cls, owners: list[Descriptor]) -> Latest:
        cell = cls.__new__(cls)
        try:
            cell._begin(Member(owners[0].fileno(), _begin))
        finally:
            owners[0]._close()
        return cell

    @property
    def size(self) -> int:
        """Bytes that a value has at most."""
        return int(self._part().state.most)

    @property
    def version(self) -> int:
        """The version of the newest value, which is how many there have been."""
        return int(self._call(ops.now_cell_version))

    def set(self, data: Any, timeout: float | None = None) -> int:
        """Write a new value (any bytes-like object); gives its version.

        Only another writer is waited for, and only while it copies; one that has died is not.

        Raises:
            ValueError: It is longer than `size`.
            WouldBlockError: With `timeout=0`: somebody else is writing.
            TimedOutError: Somebody else was writing all the time: it was stopped, most likely.
        """
        deadline = _deadline.by(timeout)
        if type(data) is not bytes:
            view = memoryview(data)
            large = view.c_contiguous and view.nbytes > _COPY_WITH_GIL
            data = view.cast("B") if large else view.tobytes()
        size = len(data)
        result = -EAGAIN
        if size <= _COPY_WITH_GIL:
            result = self._call(ops.now_cell_set, data, size)
        if result == -EAGAIN:
            result = self._until(deadline, "set", ops.cell_set, data, size)
        if result < 0:
            raise self._refusal(result, size)
        return int(result)

    def _refusal(self, result: int, size: int) -> Exception:
        if result == -EMSGSIZE:
            return ValueError(f"{size} bytes are more than the {self.size} that a value may have")
        return self._error(result, "set")

    def get(self) -> tuple[bytes, int]:
        """The newest value, and its version.

        Raises:
            InUseError: Values came faster than one can be copied, many times over. An honest writer
                cannot do that.
            IPCError: EBADMSG: somebody has written nonsense into the memory.
        """
        got: int | tuple[bytes, int] = self._call(ops.cell_get)  # which holds the memory meanwhile
        if isinstance(got, int):
            raise self._error(got, "get")
        return got

    def wait(self, version: int, timeout: float | None = None) -> bool:
        """Wait until there is a value newer than this version; whether there is.

        Args:
            version: What `get` or `set` gave; or 0, for any value at all.
            timeout: Seconds; None: for ever, 0: do not wait.
        """
        deadline = _deadline.by(timeout)
        if not 0 <= version < 1 << 63:
            raise ValueError(f"a version is 0 to 2**63-1, not {version}")
        if self.version > version:
            return True
        result = self._until(deadline, "wait for", ops.cell_wait, version, monotonic_ns())
        if result in (-EAGAIN, -ETIMEDOUT):
            return False
        if result < 0:
            raise self._error(result, "wait for")
        return True


def _begin(memory: Any, size: int, life: int) -> Any:
    state = ops.cell_begin(memory, size, life)
    if not isinstance(state, int):
        state.me.spins = SPINS
    return state
