"""Messages between processes through shared memory, that no death can spoil.

A `Channel` carries bytes, from any number of senders to any number of receivers. `Queue`, `JoinableQueue`
and `Pipe` carry objects, as those of `multiprocessing` do.
"""

from .._later import names_from as _names_from
from .channel import Channel, Reader, Writer
from .ends import Message, Reservation, Statistics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .connections import Connection as Connection
    from .connections import Pipe as Pipe
    from .queues import JoinableQueue as JoinableQueue
    from .queues import Queue as Queue
    from .rendezvous import Server as Server
    from .rendezvous import connect as connect
    from .rendezvous import serve as serve

# What takes more modules to import than bytes do.
__getattr__, __dir__ = _names_from(
    __name__,
    {
        "Connection": "connections",
        "Pipe": "connections",
        "JoinableQueue": "queues",
        "Queue": "queues",
        "Server": "rendezvous",
        "connect": "rendezvous",
        "serve": "rendezvous",
    },
)

__all__ = (
    "Channel",
    "Connection",
    "JoinableQueue",
    "Message",
    "Pipe",
    "Queue",
    "Reader",
    "Reservation",
    "Server",
    "Statistics",
    "Writer",
    "connect",
    "serve",
)
