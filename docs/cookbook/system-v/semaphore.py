"""perlipc, "SysV IPC": a semaphore, for `take.py` and `give.py`.

Faults of the original: `$nsems` was never given a value, so it asks for a set of no semaphores, which is an error
unless the set is there already; every user may operate on it (0666); what it finds under the key may be
another program's; and nobody removes it. Here the set is new and has its value before anybody finds it, or it is
an error; and it goes with the program that made it.
"""

import os
import sys

from pyipc import sysv

KEY = 1234


def main(key: int) -> None:
    with sysv.SemaphoreSet.create(1, key=key, initial=0) as set:
        print(set.id, flush=True)
        sys.stdin.read()  # for as long as it is wanted: Ctrl-D


if __name__ == "__main__":
    main(int(os.environ.get("IPC_KEY", KEY)))
