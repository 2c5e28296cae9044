"""Makes one of each in a multiprocessing child, which never closes them; says their ids.

Arguments: the start method, and how the child ends.
"""

from __future__ import annotations

import multiprocessing
import os
import sys

import handshake


def make(ending, parents, answers):
    from pyipc import sysv

    made = [sysv.SharedMemory.create(100, key=None), sysv.Semaphore.create(1), sysv.MessageQueue.create()]
    answers.send([handle.id for handle in made])
    parents.acquire(timeout=20)  # a handle of the parent's, pickled or inherited
    if ending == "exception":
        raise RuntimeError("the child fails, as it should")
    if ending == "sys.exit":
        sys.exit(3)
    _kept.extend(made)


_kept: list = []


def main() -> None:
    from pyipc import sysv

    handshake.begin()
    context = multiprocessing.get_context(sys.argv[1])
    parents = sysv.Semaphore.create(5)
    ours, theirs = context.Pipe()
    child = context.Process(target=make, args=(sys.argv[2], parents, theirs))
    child.start()
    ids = ours.recv()
    child.join()
    handshake.say((ids, child.exitcode, parents.value, parents.closed))
    handshake.hear()
    del child
    for connection in (ours, theirs):
        connection.close()
    parents.close()
    os.write(2, b"")


if __name__ == "__main__":
    main()
