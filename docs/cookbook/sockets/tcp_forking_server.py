"""perlipc, "Internet TCP Clients and Servers": a child for each client, which greets it or is a program.

Faults of the original: whoever connects often enough has it fork until nobody else can; a child has no end of time;
its loop tells an accept(2) that a signal ended from one that failed by a variable, which a child's death sets at any
moment, so that a client can be forgotten; of children that end together it reaps one, for there is one signal, and
the others stay as zombies; where fortune is, is written into it; and at its end those it serves are nobody's.
"""

import os
import sys
import time

from pyipc import sockets
from pyipc.processes import Command

PATIENCE = 5  # seconds for each client; then its child is killed


def greet(client) -> None:
    """What runs in a child of its own."""
    greeting = f"Hello there, it's now {time.ctime()}; this is process {os.getpid()}\n"
    sockets.Stream(client, PATIENCE).write(greeting.encode())


def log(served: sockets.Served) -> None:
    print(f"{time.ctime()}: {served.peer}: {served.failure or 'served'}", flush=True)


def main(address: str = "tcp://:2345", *program: str) -> None:
    handler = Command(*program) if program else greet  # such as /usr/games/fortune
    with sockets.Server(
        address, handler, model="fork", concurrency=40, timeout=PATIENCE, log=log
    ) as server:
        print(f"listens at {server.address}", flush=True)
        server.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
