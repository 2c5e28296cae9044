"""perlipc, "Unix-Domain TCP Clients and Servers": a greeting, and a fortune, by a path.

Faults of the original: whatever is at the path is deleted, a file of yours or the path of a server that is alive,
whose clients are ours from then on; the umask alone says who may connect; nothing removes the path in the end; it
asks for the protocol of TCP, and does not use it; it names functions and a variable that are in another program; and
its children have the faults of those over there.
"""

import shutil
import sys
import time

import pyipc
from pyipc import sockets
from pyipc.processes import Command

PATIENCE = 5  # seconds for each client; then its child is killed
FORTUNE = shutil.which("fortune", path="/usr/bin:/usr/games:/usr/local/games")


def greet(client) -> None:
    sockets.Stream(client, PATIENCE).write(f"Hello there, it's now {time.ctime()}\n".encode())
    if FORTUNE:
        Command(FORTUNE).run(output=client)


def main(path: str = "/tmp/catsock") -> None:
    try:
        # Whoever runs as somebody else may not connect: mode=0o666, and allow=["user", ...], would let them.
        with sockets.Server(f"unix:{path}", greet, model="fork", timeout=PATIENCE) as server:
            print(f"listens at {server.address}", flush=True)
            server.serve()
    except pyipc.AlreadyExistsError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(*sys.argv[1:])
