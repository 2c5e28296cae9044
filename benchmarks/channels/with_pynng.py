"""The rows of channels, by pynng: over Unix sockets, which threads in each process serve."""

from __future__ import annotations

import shutil
import tempfile

import pynng

from channels.halves import rows


def one(size, senders):
    folder = tempfile.mkdtemp()
    sends, receives = (pynng.Push0, pynng.Pull0) if senders > 1 else (pynng.Pair0, pynng.Pair0)
    address = f"ipc://{folder}/socket"
    ends = []  # which live as long as this does

    def end(kind, **how):
        socket = kind(**how)
        ends.append(socket)
        return socket

    yield lambda: end(sends, dial=address).send, lambda: end(receives, listen=address).recv
    for socket in ends:
        socket.close()
    shutil.rmtree(folder)


globals().update(rows(one))
