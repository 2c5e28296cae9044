"""perlipc, "Safe Pipe Opens": read what a program writes, without a shell's interference.

Faults of the original: that there is no such program is a message on the terminal and a status, 2 or so, which the
program itself might have given; a reader that leaves the loop early waits in `close` for the program's end;
and those of `store_safely.py`. A `Command` is found, and started, or an exception in the parent; to leave the
block ends it.
"""

import sys

import pyipc
from pyipc.processes import Command


def main(program: str, *arguments: str) -> None:
    try:
        with Command(program, *arguments).reader() as kid:
            for line in kid:
                print(line.decode().rstrip().upper())  # something interesting
    except pyipc.IPCError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(*sys.argv[1:])
