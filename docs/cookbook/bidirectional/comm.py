"""perlipc, "Bidirectional Communication": a program that would keep its answers back, on a terminal.

Faults of the original: a shell may read the command; nobody notices that it cannot be run; nothing says whether the
terminal echoes, and if it does, what was typed is read back as the answer; each read waits for ever; and nobody waits
for the program's end.
"""

import sys

from pyipc import terminals

PATIENCE = 10  # seconds for each answer


def main(lines: int = 10) -> int:
    with terminals.spawn("cat", "-n", echo=False) as cat:
        for _ in range(lines):
            cat.send_line("a line")
            print("got back", cat.read_line(PATIENCE).decode(), end="")
        cat.send_eof()
        return cat.wait(PATIENCE).status


if __name__ == "__main__":
    sys.exit(main())
