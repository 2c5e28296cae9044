"""perlipc, "Using open() for IPC": a program that does not exist.

Faults of the original: it looks at nothing, and need not learn anything if it did: `open` tells of the fork, the
program's absence is the child's affair, or the shell's (later versions of Perl tell, if no shell is between);
`print` fills a buffer; and `close` then dies of SIGPIPE, without a word, unless the shell was slow enough to
take the bytes. Here to start it is an exception that names it, also in the middle of a pipeline, whose other
programs do not run on.
"""

from __future__ import annotations

import pyipc
from pyipc.processes import Command, Pipeline

BANG = "bang\n"


def attempt(what: Command | Pipeline) -> None:
    try:
        with what.writer() as pipe:
            pipe.write(BANG)
    except pyipc.NotFoundError as problem:
        print(problem)


if __name__ == "__main__":
    attempt(Command("bogus"))
    attempt(Command("cat") | Command("bogus") | Command("cat"))
