"""perlipc, "Signals": @signame and %signo, from Config.

Faults of the original: Config knows the machine where Perl was built, and has no names for signals in real time.
These are of the machine that runs, all of them, as `kill -l` lists them.
"""

from pyipc import signals


def main() -> None:
    print(f"signal #17 = {signals.name(17)}")
    print(f"SIGALRM is {signals.number('ALRM')}")
    for name, number in signals.names().items():
        print(f"{number:3} {name}")


if __name__ == "__main__":
    main()
