"""perlipc, "UDP: Message Passing": ask many hosts for the time, all at once, and show how their clocks differ.

Faults of the original: its ten seconds begin anew with each datagram that comes, so it may take for ever; whoever
sends something counts as one of those who were asked, and so does a host that answers twice, so others are
missed; what comes is taken for a time if it is shorter than four bytes, or cut if it is longer; a host is shown
by the name of the address that it answered from, each found while the others wait, and none is shown that does not
answer, or refuses; one name that is unknown ends it, when others have been asked; where this machine's own name
is 127.0.1.1, it reaches no other; and in 2036 the seconds begin at 0 again.
"""

import sys
import time

import pyipc
from pyipc import sockets

SINCE_1900 = 2208988800  # seconds until 1970 (RFC 868)


def address_of(word: str) -> str:
    """Of "host" or "host:port"; the port is that of the service "time", 37, if there is none."""
    return f"udp://{word}" if ":" in word.rpartition("]")[2] else f"udp://{word}:time"


def difference(answer: bytes, now: float) -> int:
    """How many seconds that clock is ahead; of the moments that it may mean, the one that is next to ours."""
    if len(answer) != 4:
        raise ValueError(f"{len(answer)} bytes are no time")
    ahead = int.from_bytes(answer, "big") - SINCE_1900 - int(now)
    return (ahead + 2**31) % 2**32 - 2**31


def main(hosts: list[str]) -> int:
    print(f"{'localhost':<30} {0:>8} {time.ctime()}", flush=True)
    names = {address_of(host): host for host in hosts}
    failures = 0
    for address, answer in sockets.query(names, b"", timeout=10, max_size=64):
        now = time.time()
        try:
            if isinstance(answer, pyipc.IPCError):
                raise answer
            ahead = difference(answer, now)
        except (pyipc.IPCError, ValueError) as problem:
            failures += 1
            print(f"{names[address]}: {problem}", file=sys.stderr)
        else:
            print(f"{names[address]:<30} {ahead:>8} {time.ctime(now + ahead)}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
