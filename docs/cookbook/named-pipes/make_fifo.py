"""perlipc, "Named Pipes": make one.

Faults of the original: two programs are run for one system call, found in a PATH that anybody may have set; why it
failed is lost; the mode is what the umask leaves; if the path is taken by a plain file, by a symbolic link, or by
a fifo that somebody else has put there, nobody notices until it hurts. (And a quote is missing.)
"""

import sys

import pyipc
from pyipc import fifos


def main(path: str) -> None:
    try:
        with fifos.Fifo.open_or_create(path, mode=0o622) as fifo:
            print(f"{path} is a fifo of mode {fifo.mode:o}")
    except pyipc.IPCError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(sys.argv[1])
