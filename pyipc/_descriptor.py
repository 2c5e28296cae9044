"""Handles that own a descriptor.

What owns it is the base that the backend gives (docs/design/descriptors.md): closing, giving away
and taking over are one step each there, and whatever makes a descriptor puts it into its owner
before any Python code can run. So a signal handler that raises leaves nothing open, and nothing is
closed twice.
"""

from __future__ import annotations

from errno import EBADF, EINTR, EINVAL
from os import fstat

from . import _pickling
from ._backend import ops
from ._waiters import Waited
from .errors import check, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Protocol, TypeVar, Union

    from ._backend.protocol import Descriptor
    from .errors import IPCError

    class HasFileno(Protocol):
        """A file, a socket, a handle, a `Memory`."""

        def fileno(self) -> int:
            """Its descriptor."""

    HasNumber = Union[int, HasFileno]

    Self = TypeVar("Self", bound="Handle")
    Waiting = TypeVar("Waiting", bound="WaitedHandle")
else:
    Descriptor = ops.Descriptor

# The slot of heirs that are referred to weakly, unless the backend's base has it.
WEAKLY = () if hasattr(Descriptor, "__weakref__") else ("__weakref__",)


def number_of(descriptor: HasNumber) -> int:
    """The number of what callers give for a descriptor: itself, or its `fileno()`.

    Raises:
        TypeError: It is neither a number nor has it a fileno().
        ClosedError: It is closed: -1.
    """
    number = descriptor if isinstance(descriptor, int) else _fileno(descriptor)
    if number < 0:
        raise error(EBADF, f"use descriptor {number} ({descriptor!r})")
    if number >= 1 << 31:
        raise ValueError(f"a descriptor is 0..2**31-1, not {number}")
    return number


def _fileno(descriptor: HasFileno) -> int:
    try:
        return descriptor.fileno()
    except AttributeError:
        raise TypeError(f"{descriptor!r} is neither a number nor has it a fileno()") from None


def _is_open(number: int) -> bool:
    try:
        fstat(number)
    except OSError:
        return False
    return True


class Handle(Descriptor):
    """A descriptor with one owner: closed once, by `close()` or with the handle; close-on-exec.

    For those who only look, it is its `fileno()`: `os.fstat(handle.fileno())`, `select`,
    `mmap.mmap(handle.fileno(), ...)`. For those who will close it, it is what `detach()` gives:
    `open(handle.detach(), "rb")`, `socket.socket(fileno=handle.detach())`.

    It can be pickled while `multiprocessing` starts a process, and over its connections and queues.
    After a fork both processes have one, and each closes its own.

    Args:
        descriptor: A number that nobody else will close; or a handle, which gives its own up.

    Raises:
        ClosedError: The number is not open, or the handle is closed.
    """

    __slots__ = ()
    kind = "descriptor"

    def __init__(self, descriptor: int | Descriptor) -> None:
        if self._number >= 0:
            raise ValueError(f"{self} owns a descriptor already")
        if isinstance(descriptor, int):
            result = ops.now_adopt(self, number_of(descriptor))
        elif isinstance(descriptor, ops.Descriptor):
            result = ops.now_move(descriptor, self)
            if isinstance(descriptor, Handle):
                descriptor._let_go()
        else:
            raise TypeError(f"a number or a handle, not {type(descriptor).__name__}")
        check(result, f"own descriptor {descriptor}")

    @classmethod
    def _empty(cls: type[Self]) -> Self:
        """One that owns nothing yet."""
        return cls.__new__(cls)

    @classmethod
    def _arrived(cls, owner: Descriptor, *how: Any) -> Handle:
        return cls(owner)

    def _let_go(self) -> None:
        """Give up what the handle holds beside the descriptor."""

    @property
    def closed(self) -> bool:
        """Whether it owns nothing any more: closed, detached, or taken over."""
        return self._number < 0

    def close(self) -> None:
        """Close the descriptor; closing again does nothing.

        Raises:
            IPCError: What close(2) reports of data that could not be written, such as EIO; it is
                closed all the same.
        """
        result = self._close()
        if result < 0 and result != -EINTR:  # close(2): on Linux it is closed, too
            raise error(-result, f"close a {self.kind}")

    def detach(self) -> int:
        """Give its number up: from now on it is the caller's to close.

        Raises:
            ClosedError: It is closed.
        """
        number = self._take()
        if number < 0:
            self._refuse()
        return number

    def dup(self: Self) -> Self:
        """Another handle on the same open file, by a descriptor of its own.

        Raises:
            LimitError: RLIMIT_NOFILE.
        """
        twin = self._empty()
        check(ops.now_duplicate(twin, self.fileno()), f"duplicate {self}")
        return twin

    def _refuse(self) -> None:
        raise error(EBADF, f"use a {self.kind}")

    def _error(self, result: int, doing: str) -> IPCError:
        """What to raise for the `-errno` of a call on this handle."""
        if self.closed:
            return error(EBADF, f"{doing} a {self.kind}")
        # Of one that is open, EBADF says that it is no such thing.
        wrong = result == -EBADF and _is_open(self._number)
        return error(EINVAL if wrong else -result, f"{doing} {self}")

    def __repr__(self) -> str:
        return f"<{self.kind} {'closed' if self.closed else self._number}>"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _pickling.reduce(self)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WaitedHandle(Handle, Waited):
    """A handle that threads wait on; closing it in another thread ends their wait."""

    __slots__ = ("_waiting",)

    def __init__(self, descriptor: int | Descriptor) -> None:
        self._waiting = []
        super().__init__(descriptor)

    @classmethod
    def _empty(cls: type[Waiting]) -> Waiting:
        self = super()._empty()
        self._waiting = []
        return self

    def close(self) -> None:
        """Close the descriptor; threads of this process that wait on it get `ClosedError`."""
        super().close()
        if self._waiting:
            self._wake_waiters()


def pid_of(handle: Handle) -> int:
    """The pid of a process that this is a pidfd of: -1 once it was reaped, 0 in a foreign pid namespace."""
    doing = "find the pid of"
    try:
        with open(f"/proc/self/fdinfo/{handle.fileno()}") as lines:
            for line in lines:
                if line.startswith("Pid:"):
                    return int(line[4:])
    except FileNotFoundError:
        raise handle._error(-EBADF, doing) from None
    except OSError as problem:
        if problem.filename is None:  # a signal handler's
            raise
        raise handle._error(-(problem.errno or EBADF), doing) from problem
    raise handle._error(-EINVAL, doing)
