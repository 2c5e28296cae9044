"""200 hosts asked as perlipc does it: a loop around select, which takes whatever comes."""

from __future__ import annotations

import select
import socket

from sockets.udp_hosts import HOSTS, NAMES, check, rows


def way(port):
    def ask(request):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            count = 0
            for name in NAMES:
                count += 1
                sock.sendto(request, (name, port))
            while count and select.select([sock], [], [], 10.0)[0]:
                data, (host, _) = sock.recvfrom(65536)
                check(request, host, data)
                count -= 1
            if count:
                raise AssertionError(f"{count} have not answered")

    return ask, HOSTS


globals().update(rows(way))
