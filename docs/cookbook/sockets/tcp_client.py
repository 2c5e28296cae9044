"""perlipc, "Internet TCP Clients and Servers": a client that prints what the server says.

Faults of the original: it waits for ever, to connect and for each line; of a host with several addresses it tries
one, of IPv4; a server that sends no end of line fills the memory; and a connection that breaks off looks as if all
had come.
"""

import sys

import pyipc
from pyipc import sockets

PATIENCE = 10  # seconds, to connect, and then for all that the server says


def main(host: str = "localhost", port: str = "2345") -> None:
    try:
        with sockets.Stream(sockets.connect(f"tcp://{host}:{port}", PATIENCE), PATIENCE) as server:
            for line in server.lines():
                sys.stdout.buffer.write(line)
    except pyipc.IPCError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(*sys.argv[1:])
