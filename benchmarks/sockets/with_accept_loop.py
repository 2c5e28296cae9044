"""The loop of a worker of the kind that web servers have: select(2), accept(2), serve, close."""

from __future__ import annotations

import os
import select
import socket

from . import serving

globals().update(serving.python("with_accept_loop"))


def serve(model, say):
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    wake, _ = os.pipe()
    say(listener.getsockname()[1])
    for _ in range(serving.WORKERS - 1):
        if os.fork() == 0:
            break
    while True:
        ready, _, _ = select.select([listener, wake], [], [], 1.0)
        if listener in ready:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                continue
            connection.setblocking(True)
            serving.answer(connection)
            connection.close()
