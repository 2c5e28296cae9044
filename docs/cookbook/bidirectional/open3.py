"""perlipc, "Bidirectional Communication": a program's input, output and errors, all three.

Of the original, a loop around select(), there are only words. Its faults: whoever writes that loop must not
read lines in it, nor write more than fits, or hangs with the program, each waiting for the other; and must not
forget the program itself. Here it is a `for` over lines, the input comes from wherever one takes it as the program
reads, and at the end the program has ended well.
"""

import sys
from collections.abc import Iterator

import pyipc
from pyipc.processes import Command

PROGRAM = "sh", "-c", 'while read -r word; do echo "$word"; echo "heard $word" >&2; done'


def words(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"word {number}\n"


def main(count: int, program: str, *arguments: str) -> None:
    try:
        with Command(program, *arguments).streams(words(count)) as streams:
            for name, line in streams.lines(timeout=10):
                print(f"{name}: {line.decode().rstrip()}")
    except pyipc.IPCError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, *(sys.argv[2:] or PROGRAM))
