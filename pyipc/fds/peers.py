"""Who is at the other end of a Unix socket (unix(7): SO_PEERCRED, SCM_CREDENTIALS)."""

from __future__ import annotations

from errno import EINVAL, ESRCH

from .._backend import ops
from .._descriptor import number_of
from .._pidfd import Pidfd
from ..errors import check, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from .._descriptor import HasNumber


NOBODY = 0, 65534, 65534  # what the kernel says where it cannot tell


class Peer:
    """A process, as the kernel vouches for it.

    Attributes:
        pid: Its pid; 0 if it lives in a pid namespace that this process cannot see into.
        uid: Its user, 65534 if it has none in this user namespace; gid likewise.
        pidfd: A `Pidfd` of it, if asked for and if the process was still there; else None. Closed with
            `close()`.
    """

    __slots__ = ("gid", "pid", "pidfd", "uid")

    def __init__(self, pid: int, uid: int, gid: int, pidfd: Pidfd | None) -> None:
        self.pid = pid
        self.uid = uid
        self.gid = gid
        self.pidfd = pidfd

    def close(self) -> None:
        """Close the pidfd, if there is one."""
        if self.pidfd is not None:
            self.pidfd.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<peer pid {self.pid} uid {self.uid} gid {self.gid}>"


def peer(sock: HasNumber, *, pidfd: bool = False) -> Peer:
    """Who connected, or bound, the other end of a connected Unix socket.

    That is who did it *then*: of a pair from `socketpair`, whoever made the pair; of a server's end,
    whoever called listen(2). Who sends each message, `pass_credentials` tells.

    Args:
        sock: A connected Unix socket.
        pidfd: Open a pidfd of it, too, which means that process even if its pid is another's by now.

    Raises:
        IPCError: ENOTCONN: it is not connected, or no Unix socket.
        UnsupportedError: *pidfd*, before Linux 6.5.
    """
    number = number_of(sock)
    credentials = ops.now_peer(number)
    doing = f"find the peer of descriptor {number}"
    if isinstance(credentials, int):
        raise error(-credentials, doing)
    process = None
    if pidfd:
        process = Pidfd._empty()
        result = ops.now_peer_pidfd(process, number)
        if result in (-ESRCH, -EINVAL):  # it has ended, and this kernel has no pidfds of such
            process = None
        else:
            check(result, doing)
    return Peer(*credentials, process)


def pass_credentials(sock: HasNumber, on: bool = True, *, pidfd: bool = False) -> None:
    """From now on, let messages to this socket come with their sender's credentials (SO_PASSCRED).

    Messages that were sent before say pid 0 and uid 65534. Say it right after making the socket.

    Args:
        sock: A Unix socket that receives.
        on: False ends it, for the pidfd too.
        pidfd: Let them come with a pidfd of the sender, too.

    Raises:
        UnsupportedError: *pidfd*, before Linux 6.5.
    """
    number = number_of(sock)
    check(
        ops.now_pass_credentials(number, bool(on), bool(on and pidfd)),
        f"pass credentials to descriptor {number}",
    )
