"""perlipc, "Internet TCP Clients and Servers": the time service that its next client asks (RFC 868).

perlipc has none: it counts on every host having one at port 37, which is of the past.
"""

import sys
import time

from pyipc import sockets

SECONDS_TO_1970 = 2_208_988_800  # since 1900
PATIENCE = 5


def tell_time(client) -> None:
    now = (int(time.time()) + SECONDS_TO_1970) % 2**32  # it begins again in 2036
    sockets.Stream(client, PATIENCE).write(now.to_bytes(4, "big"))


def main(address: str = "tcp://:time") -> None:
    with sockets.Server(address, tell_time, timeout=PATIENCE) as server:
        print(f"listens at {server.address}", flush=True)
        server.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
