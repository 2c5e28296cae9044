"""The hosts that are asked, one process at many addresses of 127.0.0.0/8, and the rows of a way to ask them.

A way is a function of a port that gives another one, `ask(request)`, and how many hosts that asks. It checks
what each has answered: the request, and the address at which it came.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from time import perf_counter

HOSTS = 200
FAR = 0.05  # seconds that an answer of far hosts takes
NAMES = [f"127.0.1.{last}" for last in range(HOSTS)]

IP_PKTINFO = 8  # <linux/in.h>


def rows(way):
    """The generators of worker.py, by name."""

    def make(seconds):
        def row():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(("0.0.0.0", 0))
                sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
                ask, count = way(sock.getsockname()[1])

                def client(n):
                    for number in range(n):
                        ask(b"time of %d" % (number & 1))

                yield client, lambda n: answer(sock, n * count, seconds)

        return row

    return {"udp_query_200": make(0), "udp_query_200_far": make(FAR)}


def answer(sock, count, seconds):
    """Answer so many, each after so many seconds, from the address that was asked."""
    waiting = deque()
    while count or waiting:
        sock.settimeout(max(1e-6, waiting[0][0] - perf_counter()) if waiting else None)
        try:
            if count:
                data, told, _, client = sock.recvmsg(100, 100)
                count -= 1
                _, ours, _ = struct.unpack("=i4s4s", told[0][2])
                waiting.append((perf_counter() + seconds, data + ours, ours, client))
            else:
                sock.recv(0)  # only to wait
        except socket.timeout:  # TimeoutError, from 3.10 on
            pass
        while waiting and waiting[0][0] <= perf_counter():
            _, data, ours, client = waiting.popleft()
            source = struct.pack("=i4s4s", 0, ours, bytes(4))
            sock.sendmsg([data], [(socket.IPPROTO_IP, IP_PKTINFO, source)], 0, client)


def check(request, host, data):
    if data != request + socket.inet_aton(host):
        raise AssertionError(f"{host} has answered {data!r}")
