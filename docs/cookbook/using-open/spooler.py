"""perlipc, "Using open() for IPC": write what a pipeline reads.

Faults of the original: the shell splits it into words; that there is no lpr is the shell's message, which goes to
/dev/null, too; `$?` is the status of the last program, and how `cat` ended nobody learns; `print` only fills a
buffer, so what goes wrong is seen in `close`; and the handler is for every pipe that the program has. Here each
program is found or `NotFoundError` names it, each status counts, and a broken pipe is an exception of this write.
"""

import sys

import pyipc
from pyipc.processes import DEVNULL, Command


def main(program: str = "lpr", *arguments: str) -> None:
    spooler = Command("cat", "-v") | Command(program, *arguments, stderr=DEVNULL)
    try:
        with spooler.writer() as spool:
            spool.write("stuff\n")
    except pyipc.PeerGoneError:
        sys.exit("spooler pipe broke")
    except pyipc.IPCError as problem:
        sys.exit(f"bad spool: {problem}")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ("lpr", "-h")))
