"""Handles on what has a name, and who takes the name away.

What `create` makes is its maker's: `close()` there takes the name away, and whoever has the object open
keeps it. A handle that opened it lets go, and no more; so does a forked child.
"""

from __future__ import annotations

import os
from _warnings import warn
from errno import ENOENT

from ._handle import remove_at_exit
from .errors import IPCError, error

TYPE_CHECKING = False


def file_name(name: str, longest: int = 255) -> bytes:
    """A name as the file system has it: without the slash that POSIX begins it with, which may be missing.

    Raises:
        ValueError: It is empty, too long, or has a slash or a NUL in it.
    """
    if not isinstance(name, str):
        raise TypeError(f"a name is a str, not {type(name).__name__}")
    plain = os.fsencode(name[1:] if name.startswith("/") else name)
    if not plain or plain in (b".", b"..") or b"/" in plain or b"\0" in plain:
        raise ValueError(f"a name is a slash, and then characters that are none, not {name!r}")
    if len(plain) > longest:
        raise ValueError(f"a name has at most {longest} bytes and its slash, not {len(plain)}")
    return plain


def any_name() -> str:
    """One that nobody has."""
    return f"/pyipc-{os.urandom(8).hex()}"


def with_slash(name: str) -> str:
    """As POSIX writes it."""
    return name if name.startswith("/") else f"/{name}"


class Named:
    """A base of handles that have a name.

    Their classes have the slots `name` and `_owner_pid`, and say how to take the name away.

    Attributes:
        name: With its slash; None of one that has come without.
    """

    if not TYPE_CHECKING:  # else its heirs' slots would be missed here
        __slots__ = ()
    name: str | None
    _owner_pid: int

    if TYPE_CHECKING:

        @property
        def closed(self) -> bool:
            """Whether `close()` was called."""

        def close(self) -> None:
            """Let go of it."""

    def _begin(self, name: str | None, *, owner: bool) -> None:
        self.name = None if name is None else with_slash(name)
        # In one step: it may own the name already, and a signal handler may raise between any two.
        self._owner_pid = os.getpid() if owner else 0
        if owner:
            remove_at_exit(self)

    @property
    def owner(self) -> bool:
        """Whether `close()` takes its name away: this process made it and did not ask to keep it."""
        return self._owner_pid == os.getpid()

    def remove(self) -> None:
        """Take its name away, so that nobody finds it any more; who has it open keeps it.

        Raises:
            NotFoundError: Nothing has this name any more.
            AccessError: Whose it is forbids it.
        """
        result = self._unlink()
        if result < 0:
            raise error(-result, f"remove {self}")
        self._owner_pid = 0

    def _unlink(self) -> int:
        raise NotImplementedError  # each kind has its own

    def _is_still_so_named(self) -> bool:
        """Whether its name does not mean another object by now."""
        raise NotImplementedError  # each kind has its own

    def _remove_if_owner(self) -> IPCError | None:
        """Of `close()`; what went wrong."""
        if not self.owner:
            return None
        try:
            result = self._unlink() if self._is_still_so_named() else 0
        except OSError:
            if self.closed:  # by another thread, which has done it all
                return None
            raise
        self._owner_pid = 0
        return None if result in (0, -ENOENT) else error(-result, f"remove {self}")

    def __del__(self) -> None:
        if not hasattr(self, "_owner_pid") or (self.closed and not self.owner):
            return
        try:
            if not self.closed:
                warn(f"{self} was dropped without close()", ResourceWarning, 2, self)
        finally:
            self.close()
