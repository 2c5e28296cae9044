"""Clients and servers over TCP, UDP and Unix sockets, on standard `socket.socket` objects.

`connect` and `listen` take an address as text: `tcp://host:port`, `unix:/path`, `unix:@name` of the
abstract namespace, `fd:` for what systemd hands over. A `Stream` reads and writes under one deadline for a
whole exchange. A `Server` lets a function, or a program, serve connections: one after the other, in
threads, in a process for each, or in workers that were forked before; it can be replaced while it runs.
`query` asks many hosts by UDP at once; a `DatagramServer` answers; `bind` and `sender` are for datagrams
to groups and to everybody.
"""

from .._later import names_from as _names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .activation import activated as activated
    from .activation import notify as notify
    from .addresses import address_of as address_of
    from .connecting import connect as connect
    from .datagram_server import DatagramServer as DatagramServer
    from .datagrams import bind as bind
    from .datagrams import sender as sender
    from .listening import Listener as Listener
    from .listening import listen as listen
    from .queries import query as query
    from .server import Served as Served
    from .server import Server as Server
    from .stream import Stream as Stream

# All of it makes standard sockets, whose module takes longer to import than this one may.
__getattr__, __dir__ = _names_from(
    __name__,
    {
        "DatagramServer": "datagram_server",
        "Listener": "listening",
        "Served": "server",
        "Server": "server",
        "Stream": "stream",
        "activated": "activation",
        "address_of": "addresses",
        "bind": "datagrams",
        "connect": "connecting",
        "listen": "listening",
        "notify": "activation",
        "query": "queries",
        "sender": "datagrams",
    },
)

__all__ = (
    "DatagramServer",
    "Listener",
    "Served",
    "Server",
    "Stream",
    "activated",
    "address_of",
    "bind",
    "connect",
    "listen",
    "notify",
    "query",
    "sender",
)
