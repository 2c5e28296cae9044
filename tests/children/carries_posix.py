"""Carries a POSIX object to a process of multiprocessing, and says what it was there, and what came back.

Arguments: its class, its name, the start method.
"""

from __future__ import annotations

import sys

import handshake

from pyipc import posix

SIZES = {"SharedMemory": (100_000,), "Semaphore": (7,), "MessageQueue": ()}


def over_there(answers, handle):
    if isinstance(handle, posix.SharedMemory):
        told = (handle.name, handle.owner, handle.read(5), handle.read_only)
        handle.write(b"there")
    elif isinstance(handle, posix.Semaphore):
        told = (handle.name, handle.owner, handle.value)
        handle.release()
    else:
        told = (handle.name, handle.owner, tuple(handle.receive(5)))
        handle.send(b"there")
    handle.close()
    answers.send(told)
    answers.close()


def main():
    import multiprocessing

    handshake.begin()
    kind, name, method = sys.argv[1:]
    context = multiprocessing.get_context(method)
    handle = getattr(posix, kind).create(name, *SIZES[kind])
    if kind == "SharedMemory":
        handle.write(b"parts")
    elif kind == "MessageQueue":
        handle.send(b"parts")
    ours, theirs = context.Pipe()
    process = context.Process(target=over_there, args=(theirs, handle))
    process.start()
    theirs.close()
    told = ours.recv()
    process.join()
    if kind == "SharedMemory":
        back = handle.read(5)
    else:
        back = handle.value if kind == "Semaphore" else tuple(handle.receive(5))
    handshake.say((told, back, process.exitcode))
    handle.close()


if __name__ == "__main__":
    main()
