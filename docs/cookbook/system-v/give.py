"""perlipc, "SysV IPC": `give`, after which another `take` goes on.

Faults of the original: given twice, it waits until somebody takes, for ever. Here what nobody has taken is an error.
"""

import os

import pyipc
from pyipc import sysv

KEY = 1234


def main(key: int) -> None:
    with sysv.SemaphoreSet.open(key) as set:
        try:
            set.op(set[0] - 1, timeout=0)
            print("given")
        except pyipc.WouldBlockError:
            print("nobody has taken it")


if __name__ == "__main__":
    main(int(os.environ.get("IPC_KEY", KEY)))
