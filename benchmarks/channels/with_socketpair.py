"""The rows of channels, by a pair of Unix sockets: of packets, and large payloads by a stream."""

from __future__ import annotations

import socket
from functools import partial

from channels.halves import MIB, payloads, rows


def one(size, senders):
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with a, b:
        yield lambda: a.send, lambda: partial(b.recv, size)


def stream(size, senders):
    a, b = socket.socketpair()
    for end, option in ((a, socket.SO_SNDBUF), (b, socket.SO_RCVBUF)):
        end.setsockopt(socket.SOL_SOCKET, option, MIB)

    def receiving():
        view = memoryview(bytearray(size))

        def receive(look):
            came = 0
            while came < size:
                came += b.recv_into(view[came:])
            look(view)

        return receive

    with a, b:
        yield lambda: a.sendall, receiving


globals().update(**rows(one), **payloads(stream))
