"""perlipc, "Signals": a function during which nobody interrupts, nor those that it calls.

Faults of the original: what comes meanwhile is gone, though whoever pressed Ctrl-C still wants us to stop; and programs
that are started meanwhile ignore it for ever. `ignoring` is the same as Perl's; `blocking` is what is wanted: the
signal waits until the block is through.
"""

import os
import signal

from pyipc import signals


def more_functions() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    print("still here", flush=True)


def precious() -> None:
    with signals.ignoring("INT"):
        more_functions()
    print("ignored: it never came")


def more_precious() -> None:
    with signals.blocking("INT"):
        more_functions()


def main() -> None:
    precious()
    try:
        more_precious()
    except KeyboardInterrupt:
        print("blocked: it came afterwards")


if __name__ == "__main__":
    main()
