"""perlipc, "Signals": catch_zap, a handler that counts and dies.

Faults of the original: the handler stays for ever, also where code further on does not expect to die; and it runs
in the middle of whatever the C library was doing. Here it is there for one block, and Python calls it between two
of its own steps. It may still come between two lines that belong together: where that matters, see `hang_up.py`,
which takes signals as data.
"""

import signal

from pyipc import signals

shucks = 0


def catch_zap(number: int, frame: object) -> None:
    global shucks
    shucks += 1
    raise InterruptedError(f"Somebody sent me a {signals.name(number)}")


def main() -> None:
    try:
        with signals.handling("INT", catch_zap):
            print("ready", flush=True)
            while True:
                signal.pause()
    except InterruptedError as problem:
        print(problem)
    print(f"{shucks} so far; Ctrl-C is Python's again: {signal.getsignal(signal.SIGINT).__name__}")


if __name__ == "__main__":
    main()
