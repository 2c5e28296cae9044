"""perlipc, "Safe Pipe Opens": write what a program reads, without a shell's interference.

Faults of the original: a broken pipe is SIGPIPE, not SIGALRM, so the parent dies of it without a word; the child has
that handler too, until it execs; and those of `read_program.py`. Here a program that reads no more is
`PeerGoneError`, and one that ends badly `ProgramFailedError`.
"""

import sys

import pyipc
from pyipc.processes import Command

DATA = [b"stuff\n"] * 10_000


def main(program: str, *arguments: str) -> None:
    try:
        with Command(program, *arguments).writer() as kid:
            for data in DATA:
                kid.write(data)
    except pyipc.PeerGoneError:
        sys.exit(f"whoops, {program}'s pipe broke")
    except pyipc.IPCError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(*sys.argv[1:])
