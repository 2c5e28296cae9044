"""200 hosts asked by `query`."""

from __future__ import annotations

from pyipc.sockets import query
from sockets.udp_hosts import HOSTS, NAMES, check, rows


def way(port):
    hosts = {f"udp://{name}:{port}": name for name in NAMES}

    def ask(request):
        for address, data in query(hosts, request, 10):
            check(request, hosts[address], data)

    return ask, HOSTS


globals().update(rows(way))
