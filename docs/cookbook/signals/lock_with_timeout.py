"""perlipc, "Signals": a lock, but only if it can be had in time.

Faults of the original: an alarm that comes after flock(2) and before `alarm 0` dies with the lock in hand; one that
comes before flock(2) is gone when it waits, for ever; an alarm that was set outside is lost; and whoever uses
the same words in a `die` is taken for the clock. `deadline` nests, gives an outer timer its time back, rings again
until the block is left, and raises nothing once it is.
"""

import fcntl
import os
import signal
import sys
import tempfile

import pyipc
from pyipc import signals


def main(seconds: float) -> None:
    with tempfile.NamedTemporaryFile() as file:
        heard, ready = os.pipe()
        holder = os.fork()
        if not holder:
            with open(file.name) as theirs:
                fcntl.flock(theirs, fcntl.LOCK_EX)
                os.write(ready, b"r")
                signal.pause()
                os._exit(0)
        os.read(heard, 1)
        try:
            with signals.deadline(seconds):
                fcntl.flock(file, fcntl.LOCK_EX)
        except pyipc.TimedOutError as problem:
            print(problem)
        signals.send(holder, "KILL")
        os.waitpid(holder, 0)
        with signals.deadline(10):
            fcntl.flock(file, fcntl.LOCK_EX)
        print("the lock is ours")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
