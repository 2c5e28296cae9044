"""The rows of channels, by pyzmq: over Unix sockets, which a thread in each process serves."""

from __future__ import annotations

import shutil
import tempfile

import zmq

from channels.halves import objects, pickled, rows


def one(size, senders):
    folder = tempfile.mkdtemp()
    sends, receives = (zmq.PUSH, zmq.PULL) if senders > 1 else (zmq.PAIR, zmq.PAIR)
    ends = []  # which live as long as this does

    def end(kind, begin):
        socket = zmq.Context().socket(kind)
        socket.linger = 0
        getattr(socket, begin)(f"ipc://{folder}/socket")
        ends.append(socket)
        return socket

    yield lambda: end(sends, "connect").send, lambda: end(receives, "bind").recv
    for socket in ends:
        socket.close()
    shutil.rmtree(folder)


globals().update(**rows(one), **objects(pickled(one)))
