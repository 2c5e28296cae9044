"""A time server by UDP (RFC 868), such as perlipc's clients ask: the seconds since 1900, in four bytes.

It answers from the address that was asked, ends by SIGTERM when it has answered what had come, and an answer that
cannot be sent costs that one alone.
"""

import sys
import time

from pyipc import sockets

SINCE_1900 = 2208988800  # seconds until 1970


def now(request: bytes, peer: str) -> bytes:
    return (int(time.time()) + SINCE_1900 & 0xFFFFFFFF).to_bytes(4, "big")


def main(address: str) -> None:
    with sockets.DatagramServer(address, now) as server:
        print(f"serving {server.address}", flush=True)
        server.serve()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "udp://:time")
