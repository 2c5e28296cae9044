from __future__ import annotations

import socketserver

from . import serving

globals().update(serving.python("with_socketserver"))


class _Handler(socketserver.BaseRequestHandler):
    def handle(self):
        serving.answer(self.request)


_KINDS = {
    "serial": socketserver.TCPServer,
    "thread": socketserver.ThreadingTCPServer,
    "fork": socketserver.ForkingTCPServer,
}


def serve(model, say):
    kind = _KINDS[model]
    kind.request_queue_size = 4096
    kind.daemon_threads = True
    with kind(("127.0.0.1", 0), _Handler) as server:
        say(server.server_address[1])
        server.serve_forever()
