"""perlipc, "Signals": signal number zero.

Faults of the original: it says no of a process that lives and belongs to somebody else, yes of a child that has
ended and was not reaped, and yes of whoever got the number next. `alive` has three answers, takes a zombie for
what it is, and of an `Identity` (or a `Pidfd`) nobody else is taken for it.
"""

import os
import signal

from pyipc import signals


def main() -> None:
    kid = os.fork()
    if not kid:
        signal.pause()
        os._exit(0)
    who = signals.Identity.of(kid)  # a pid, and when it was given out
    print(f"the kid is {signals.alive(who)}")
    signals.send(who, "KILL")
    os.waitid(os.P_PID, kid, os.WEXITED | os.WNOWAIT)
    os.kill(kid, 0)  # no error: for kill(2), it is there
    print(f"a zombie is {signals.alive(who)}")
    os.waitpid(kid, 0)
    if not signals.alive(who):
        print("something wicked happened to the kid")
    print(f"its parent is {signals.alive(os.getpid())}")


if __name__ == "__main__":
    main()
