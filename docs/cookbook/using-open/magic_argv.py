"""perlipc, "Using open() for IPC": files, commands and standard input, one after the other.

Faults of the original: a file whose name ends with a bar is a command, whether anybody meant it or not, and a shell
runs it (`while (<>)` in a directory where others make files is their way in); a command that fails looks like
one that has no more to say; a file that cannot be opened is passed over with a warning. Here words that end with
a bar are commands because this program says so, no shell looks at them, and each failure is an exception.
"""

import sys

import pyipc
from pyipc.processes import sources


def main() -> None:
    try:
        with sources(commands=True) as lines:
            for line in lines:
                print(f"{lines.name}:{lines.line_number}: {line.decode().rstrip()}")
    except pyipc.IPCError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
