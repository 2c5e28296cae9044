"""perlipc, "SysV IPC": `take`, which waits until the semaphore is zero and makes it one, in a single step.

Faults of the original: it waits for ever, and a signal ends the wait with an error. Here the wait has its time, and
goes on after a signal with what is left of it. (Neither takes with SEM_UNDO: `give` is another process.)
"""

import os
import sys

from pyipc import sysv

KEY = 1234


def main(key: int, seconds: float) -> None:
    with sysv.SemaphoreSet.open(key) as set:
        set.op(set[0].wait_zero, set[0] + 1, timeout=seconds)
        print("taken", flush=True)


if __name__ == "__main__":
    main(int(os.environ.get("IPC_KEY", KEY)), float(sys.argv[1]) if len(sys.argv) > 1 else 10)
