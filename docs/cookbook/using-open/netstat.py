"""perlipc, "Using open() for IPC": read what a program writes, line by line.

Faults of the original: where there is no netstat, the shell's message is printed as if it were netstat's, and
only `close` fails; who leaves the loop early waits in `close` until netstat has ended. Here the program is
found, or an exception says its name; leaving the block early ends it; at the end its status is looked at.
"""

import sys

import pyipc
from pyipc.processes import STDOUT, Command


def main() -> None:
    try:
        with Command("netstat", "-an", stderr=STDOUT).reader() as status:
            for line in status:
                if not line.startswith((b"tcp", b"udp")):
                    sys.stdout.buffer.write(line)
    except pyipc.IPCError as problem:
        sys.stdout.flush()
        sys.exit(f"bad netstat: {problem}")


if __name__ == "__main__":
    main()
