"""perlipc, "Using open() for IPC": the same at one go, or by a second program.

Faults of the original: all is printed before anybody looks whether it is right, the shell's complaint that there
is no netstat among it. Here `read_text()` gives back the output of a program that has ended well, and nothing
otherwise. grep(1) has a status for "nothing found" (1) that is no failure: `ok` says so.
"""

import sys

import pyipc
from pyipc.processes import STDOUT, Command


def main(by: str = "python") -> None:
    netstat = Command("netstat", "-an", stderr=STDOUT)
    try:
        if by == "grep":
            text = (netstat | Command("grep", "-Ev", "^(tcp|udp)", ok=(0, 1))).read_text()
        else:
            lines = netstat.read_text().splitlines(keepends=True)
            text = "".join(line for line in lines if not line.startswith(("tcp", "udp")))
    except pyipc.IPCError as problem:
        sys.exit(f"bad netstat: {problem}")
    print(text, end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
