"""perlipc, "Signals": REAPER, both of them.

Faults of the original: the first, with one `wait` per signal, leaves zombies, since several children that end at once
make one signal. The second goes on for ever once there are no children, for `waitpid` gives -1 then. Both take
the children of every library in the program: here a `subprocess` that runs beside them keeps its own.
"""

import os
import subprocess
import sys

from pyipc import signals


def start(status: int) -> int:
    pid = os.fork()
    if not pid:
        os._exit(status)
    return pid


def main() -> None:
    with signals.Reaper() as reaper, subprocess.Popen([sys.executable, "-c", "raise SystemExit(9)"]) as other:
        for status in range(100):
            reaper.add(start(status))
        kid_status = {end.pid: end.code for end in reaper}
        print(f"{len(kid_status)} children, {sum(kid_status.values())} in all")
        print(f"subprocess has its own: {other.wait()}")


if __name__ == "__main__":
    main()
