"""Connected pairs of Unix sockets (socketpair(2))."""

from __future__ import annotations

import os

from .._backend import ops
from .._descriptor import Handle
from ..errors import check, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

_KINDS = {"stream": ops.STREAM, "datagram": ops.DATAGRAM, "seqpacket": ops.SEQPACKET}


def socketpair(kind: str = "seqpacket") -> tuple[socket, socket]:
    """Two connected Unix sockets, close-on-exec: standard `socket.socket` objects.

    Args:
        kind: "seqpacket": messages keep their bounds, and the end can be told; "datagram": they keep
            their bounds; "stream": bytes.

    Raises:
        LimitError: RLIMIT_NOFILE, or the system's limit on open files.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind is one of {', '.join(_KINDS)}, not {kind!r}")
    with Handle._empty() as one, Handle._empty() as other:
        doing = f"make a pair of {kind} sockets"
        check(ops.now_socketpair(_KINDS[kind], one, other), doing)
        try:
            first = _as_socket(one, _KINDS[kind])
            try:
                return first, _as_socket(other, _KINDS[kind])
            except BaseException:  # a signal handler's too
                first.close()
                raise
        except OSError as problem:
            raise error(problem.errno or 0, doing) from problem


def _as_socket(handle: Handle, kind: int) -> socket:
    """A socket on the same open file.

    Handing the number over, `socket(fileno=handle.detach())`, would leave it to nobody for a moment.
    A socket of its own is owned from birth, and dup3(2) puts another file under its number.
    """
    import socket

    sock = socket.socket(socket.AF_UNIX, kind)
    os.dup2(handle.fileno(), sock.fileno(), inheritable=False)
    if sock.gettimeout() is not None:  # socket.setdefaulttimeout(): what it has set was the other file's
        os.set_blocking(sock.fileno(), False)
    return sock
