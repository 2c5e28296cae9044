from __future__ import annotations

from . import serving

globals().update(serving.python("with_pyipc"))


def serve(model, say):
    from pyipc import sockets

    most = {"serial": None, "prefork": serving.WORKERS, "dispatch": serving.WORKERS}
    concurrency = most.get(model, serving.CONCURRENCY)
    with sockets.Server("tcp://127.0.0.1:0", serving.answer, model=model, concurrency=concurrency) as server:
        say(server.address.rpartition(":")[2])
        server.serve()
