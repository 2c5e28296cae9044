"""perlipc, "Internet TCP Clients and Servers": a server that greets one client after the other.

Faults of the original: it asks a name server who the client is, and everybody waits for the answer; its handler for
dead children is defined nowhere, so that the first SIGCHLD ends it, and any other signal that is handled ends
accept(2), and the loop with it; a client that has gone already is a SIGPIPE, which kills it; nothing but a kill ends
it, in the middle of a greeting perhaps; and it listens by IPv4 alone.
"""

import sys
import time

from pyipc import sockets

PATIENCE = 5  # seconds for each client


def greet(client) -> None:
    host, port = client.getpeername()[:2]
    greeting = f"Hello there, {host} at port {port}, it's now {time.ctime()}\n"
    sockets.Stream(client, PATIENCE).write(greeting.encode())


def log(served: sockets.Served) -> None:
    print(f"{time.ctime()}: {served.peer}: {served.failure or 'greeted'}", flush=True)


def main(address: str = "tcp://:2345") -> None:
    with sockets.Server(address, greet, model="serial", timeout=PATIENCE, log=log) as server:
        print(f"listens at {server.address}", flush=True)
        server.serve()  # until SIGTERM; who is connected then is greeted first


if __name__ == "__main__":
    main(*sys.argv[1:])
