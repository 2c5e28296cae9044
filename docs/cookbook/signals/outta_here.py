"""perlipc, "Signals": an anonymous function as a handler.

Faults of the original: perlipc warns that handlers may have to install themselves again, since signal(3) of some
systems takes them away when they are called. sigaction(2) does not; on Linux this is never needed.
"""

import signal
import sys

from pyipc import signals


def main() -> None:
    with signals.handling("INT", lambda number, frame: sys.exit("\nOutta here!")):
        print("ready", flush=True)
        while True:
            signal.pause()


if __name__ == "__main__":
    main()
