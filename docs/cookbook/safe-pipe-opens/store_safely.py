"""perlipc, "Safe Pipe Opens": this program again, as another user, writes a file.

Faults of the original: without the `exit`, or if anything dies within an `eval` further out, the child goes on as a
second parent; the user is given up before the group, so that the group may stay; the other groups stay; nobody
looks whether it worked, and the saved uid lets the child have root back; it sleeps a minute before it gives up.
Here the child runs a function and ends with it, whatever happens there; who it becomes is settled and verified
before that; and the parent hears of it.
"""

import os
import sys

import pyipc
from pyipc.processes import fork_pipe

SOME_DATA = ["one\n", "two\n", "three\n"]


def store(path: str) -> None:
    """The child."""
    with open(path, "w") as file:
        for line in sys.stdin:  # which is the parent's `kid`
            file.write(line)
    print(f"written by user {os.geteuid()}", file=sys.stderr)


def main(path: str, user: str) -> None:
    try:
        with fork_pipe("w", store, path, user=user) as kid:
            for data in SOME_DATA:
                kid.write(data)
    except pyipc.IPCError as problem:
        sys.exit(f"kid: {problem}")


if __name__ == "__main__":
    main(*sys.argv[1:])
