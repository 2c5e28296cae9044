"""perlipc, "Signals": hang up on everybody in our process group but ourselves.

Faults of the original: `-$$` is our group only if we lead it, else it is nobody's, or somebody else's. To ignore the
signal discards one that was already waiting for us, and one that others send at that moment. And Perl may run
the handler late, when the old one is back. `send_group` asks for our group, and never sends to us.

The others take the signal as data, with who has sent it: no handler, nothing interrupted.
"""

import os
import sys

from pyipc import signals


def wait_for_the_signal(ready: int) -> int:
    with signals.SignalQueue("HUP") as queue:
        os.write(ready, b"r")
        came = queue.get(timeout=10)
        return 0 if came.pid == os.getppid() else 1


def start(ready: int) -> int:
    pid = os.fork()
    if not pid:
        status = 1
        try:
            status = wait_for_the_signal(ready)
        finally:
            os._exit(status)
    return pid


def main() -> None:
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # so that whoever runs this example is not in the group
    heard, ready = os.pipe()
    with signals.Reaper() as reaper:
        for _ in range(3):
            reaper.add(start(ready))
            os.read(heard, 1)
        signals.send_group("HUP", ourselves=False)
        ends = list(reaper)
    os.close(heard)
    os.close(ready)
    print(f"{sum(map(bool, ends))} of {len(ends)} were hung up on by us; we are not")
    sys.exit(not all(ends))


if __name__ == "__main__":
    main()
