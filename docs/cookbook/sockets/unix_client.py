"""perlipc, "Unix-Domain TCP Clients and Servers": a client that prints what the server says.

Faults of the original: it connects to a variable that is nowhere set, and not to the one it has read; it waits for
ever; a line may have any length; and a path of more than 107 bytes cannot be.
"""

import sys

import pyipc
from pyipc import sockets

PATIENCE = 10  # seconds, to connect, and then for all that the server says


def main(path: str = "/tmp/catsock") -> None:
    try:
        with sockets.Stream(sockets.connect(f"unix:{path}", PATIENCE), PATIENCE) as server:
            for line in server.lines():
                sys.stdout.buffer.write(line)
    except pyipc.IPCError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(*sys.argv[1:])
