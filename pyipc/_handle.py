"""Close once, survive fork, complain when dropped open.

A handle *owns* its object (it made it, and removes it on `close()`) or *borrows* it (`close()`
lets go, the object lives on). Only the process that made an object removes it: a forked child
holds the same handle, and closing it there lets go and no more.

What is owned and still open when the interpreter exits is removed then. A `multiprocessing` child
that was forked runs no `atexit` functions before Python 3.13, so its clean-up is told to
`multiprocessing` as well, where that is in use.
"""

from __future__ import annotations

import atexit
import os
import sys
from _warnings import warn
from _weakref import ref
from errno import EBADF, EIDRM

from ._waiters import Waited
from .errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    from .errors import IPCError

    Self = TypeVar("Self", bound="Handle")

_owned: set[ref[Any]] = set()
_cleaning_pid = 0


def _close_owned() -> None:
    first_problem = None
    for reference in list(_owned):
        handle = reference()
        if handle is None or not handle.owner:
            continue
        try:
            handle.close()
        except OSError as problem:
            first_problem = first_problem or problem
    if first_problem is not None:
        raise first_problem


def _clean_at_exit(pid: int) -> None:
    global _cleaning_pid
    if not _cleaning_pid:
        atexit.register(_close_owned)  # forked children inherit it
    _cleaning_pid = pid
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:
        multiprocessing.Finalize(None, _close_owned, exitpriority=0)


def remove_at_exit(handle: Any) -> None:
    """Close it when this process ends, which removes what it owns, unless it is closed before."""
    pid = os.getpid()
    _owned.add(ref(handle, _owned.discard))
    if _cleaning_pid != pid:
        _clean_at_exit(pid)


class Handle(Waited):
    """Something in the kernel that we hold by its id.

    Subclasses say what it is (`kind`) and how to remove it (`_remove`), and may hold more
    (`_let_go`). Their calls use `_live`: the id for as long as the handle is open, then -1, which
    the kernel refuses. So being open costs no test on a hot path.

    Attributes:
        id: The kernel's id; readable after `close()` too.
        key: The key, or None of a private object.
    """

    __slots__ = ("__weakref__", "_live", "_owner_pid", "_waiting", "id", "key")
    kind = "object"

    def __init__(self, id: int, key: int | None, *, owner: bool) -> None:
        self._waiting = []
        self._owner_pid = 0
        self.key = key
        self.id = self._live = id
        if owner:
            self._owner_pid = os.getpid()
            remove_at_exit(self)

    def _remove(self, id: int) -> int:
        raise NotImplementedError

    def _let_go(self) -> None:
        """Give up what the handle holds beside the id."""

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._live < 0

    @property
    def owner(self) -> bool:
        """Whether `close()` removes the object: this process made it and did not ask to keep it."""
        return self._owner_pid == os.getpid()

    def close(self) -> None:
        """Let go of the object, and remove it if this handle owns it.

        Threads of this process that wait on the handle get `ClosedError`. Closing again does
        nothing; nor does it matter that views of its memory live on.
        """
        # A signal handler that raises can end this anywhere. What is owned is removed all the same,
        # by the next close(), or by the destructor: so whether it still is owned is what counts.
        if self.closed and not self.owner:
            return
        self._live = -1
        self._let_go()
        if not self.owner:
            self._wake_waiters()
            return
        result = self._remove(self.id)  # wakes the waiters too
        self._owner_pid = 0
        if result < 0 and result != -EIDRM:
            raise error(-result, f"remove {self}")

    def remove(self) -> None:
        """Remove the object for everybody, at once; whoever waits on it gets `RemovedError`.

        Memory stays with those who have it attached until they let go. See shmctl(2), semctl(2),
        msgctl(2), IPC_RMID.

        Raises:
            AccessError: Neither its owner nor its creator, nor privileged.
            RemovedError: It is gone already.
        """
        result = self._remove(self._live)
        if result < 0:
            raise self._error(result, "remove")
        self._owner_pid = 0

    def _error(self, result: int, doing: str) -> IPCError:
        """What to raise for the `-errno` of a call on this handle."""
        return error(EBADF if self.closed else -result, f"{doing} {self}")

    def __repr__(self) -> str:
        key = "private" if self.key is None else f"key {self.key & 0xFFFFFFFF:#010x}"
        return f"<{self.kind} {key} id {self.id}{' closed' if self.closed else ''}>"

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        if self.closed:
            raise self._error(-EBADF, "pickle")
        return type(self).attach, (self.id,)  # type: ignore[attr-defined]

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not hasattr(self, "_live"):
            return  # __init__ did not come this far
        try:
            if not self.closed:
                warn(f"{self} was dropped without close()", ResourceWarning, 2, self)
        finally:
            self.close()
