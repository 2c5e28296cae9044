"""Descriptors between processes: passing them over Unix sockets, eventfds, pidfds.

A `Handle` owns one descriptor. `send` and `receive` carry them over a Unix socket, any kind of it, by
exactly what unix(7) describes, so programs in C or with `socket.send_fds` can be the other side;
`send_bundle` and `receive_bundle` carry more at once between two ends that are both pyipc.
`socketpair` makes a pair to begin with. Whatever arrives is close-on-exec, has an owner before any
Python code can run, and is complete, or the call says what is not.
"""

from .._descriptor import Handle
from .._pidfd import Pidfd
from .bundles import receive_bundle, send_bundle
from .eventfds import Eventfd
from .messages import Message, receive, send
from .pairs import socketpair
from .peers import Peer, pass_credentials, peer

__all__ = (
    "Eventfd",
    "Handle",
    "Message",
    "Peer",
    "Pidfd",
    "pass_credentials",
    "peer",
    "receive",
    "receive_bundle",
    "send",
    "send_bundle",
    "socketpair",
)
