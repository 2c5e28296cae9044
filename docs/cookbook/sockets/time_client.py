"""perlipc, "Internet TCP Clients and Servers": how far the clocks of hosts are from ours (RFC 868).

Faults of the original: a host that is unknown, or does not answer, keeps all that come after it from being asked, and
one that is silent does so for ever; less than four bytes are taken for a time; from 2036 on, when the 32 bits begin
again, it is 136 years wrong; and its own address, looked up and packed, serves nothing.
"""

import sys
import time

import pyipc
from pyipc import sockets

SECONDS_TO_1970 = 2_208_988_800  # since 1900
PATIENCE = 5  # seconds for each host


def ask(host: str, port: str) -> int:
    """How many seconds its clock is ahead of ours."""
    with sockets.Stream(sockets.connect(f"tcp://{host}:{port}", PATIENCE), PATIENCE) as server:
        its_time = int.from_bytes(server.read_exactly(4), "big")
    ahead = (its_time - SECONDS_TO_1970 - int(time.time())) % 2**32
    return ahead if ahead < 2**31 else ahead - 2**32


def main(port: str, *hosts: str) -> int:
    failed = 0
    print(f"{'localhost':24} {0:8} {time.ctime()}")
    for host in hosts:
        try:
            ahead = ask(host, port)
        except pyipc.IPCError as problem:
            failed += 1
            print(f"{host:24} {problem}")
        else:
            print(f"{host:24} {ahead:8} {time.ctime(time.time() + ahead)}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} port host ...   (the port may be a name, such as time)")
    sys.exit(main(*sys.argv[1:]))
