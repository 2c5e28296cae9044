"""Which users may connect, by the kernel's word (SO_PEERCRED and SO_PEERGROUPS of unix(7))."""

from __future__ import annotations

from _socket import SOL_SOCKET
from errno import EACCES

from ..errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from socket import socket

    from ..errors import IPCError

_SO_PEERGROUPS = 59  # not in the module `socket`
_MOST_BYTES = 1024  # that Python's getsockopt() gives


class Access:
    """Who may connect: these users, and members of these groups; everybody if neither is given."""

    __slots__ = ("_groups", "_peer", "_users")

    def __init__(self, users: Iterable[str | int] | None, groups: Iterable[str | int] | None) -> None:
        self._users: frozenset[int] | None = None
        if users is not None or groups is not None:
            from .._privileges import gid_of, user_of
            from ..fds import peer

            self._peer = peer
            self._users = frozenset(user_of(user)[0] for user in users or ())
            self._groups = frozenset(map(gid_of, groups or ()))

    @property
    def asks(self) -> bool:
        """Whether it matters who comes."""
        return self._users is not None

    def refuses(self, connection: socket) -> IPCError | None:
        """Why it may not; None if it may."""
        if self._users is None:
            return None
        try:
            with self._peer(connection) as process:
                if process.uid in self._users:
                    return None
                if self._groups and not self._groups.isdisjoint({process.gid, *_groups_of(connection)}):
                    return None
                return error(EACCES, f"user {process.uid} (process {process.pid}) may not connect")
        except OSError as problem:  # it is gone
            return error(problem.errno or EACCES, "learn who connects")


def _groups_of(connection: socket) -> tuple[int, ...]:
    """The supplementary groups of who connected; of one that has more than 256, none."""
    try:
        raw = connection.getsockopt(SOL_SOCKET, _SO_PEERGROUPS, _MOST_BYTES)
    except OSError:  # ERANGE; or ENOPROTOOPT, before Linux 4.13
        return ()
    return tuple(memoryview(raw).cast("I"))
