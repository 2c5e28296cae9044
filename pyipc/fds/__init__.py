"""Descriptors between processes: passing them over Unix sockets, eventfds, pidfds.

A `Handle` owns one descriptor. `send` and `receive` carry them over a Unix socket, any kind of it, by
exactly what unix(7) describes, so programs in C or with `socket.send_fds` can be the other side;
`send_bundle` and `receive_bundle` carry more at once between two ends that are both pyipc.
`socketpair` makes a pair to begin with. Whatever arrives is close-on-exec, has an owner before any
Python code can run, and is complete, or the call says what is not.
"""

from .._descriptor import Handle
from .._later import names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._pidfd import Pidfd as Pidfd
    from .bundles import receive_bundle as receive_bundle
    from .bundles import send_bundle as send_bundle
    from .eventfds import Eventfd as Eventfd
    from .messages import Message as Message
    from .messages import receive as receive
    from .messages import send as send
    from .pairs import socketpair as socketpair
    from .peers import Peer as Peer
    from .peers import pass_credentials as pass_credentials
    from .peers import peer as peer

__getattr__ = names_from(
    __name__,
    {
        "Eventfd": "eventfds",
        "Message": "messages",
        "Peer": "peers",
        "Pidfd": "peers",
        "pass_credentials": "peers",
        "peer": "peers",
        "receive": "messages",
        "receive_bundle": "bundles",
        "send": "messages",
        "send_bundle": "bundles",
        "socketpair": "pairs",
    },
)

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
