"""The parts that other processes play at the stop of memory; each inherits a Unix socket."""

from __future__ import annotations

import os
from typing import Any

from pyipc import AccessError, fds
from pyipc.memory import Memory

from .second import tell, wait_for_word


def numbers(memory: Memory) -> Any:
    """The memory as numbers, without a copy: a numpy array, or a view where numpy is missing."""
    try:
        return memory.array("u4")
    except ImportError:
        return memory.buf.cast("I")


def received(end: fds.Handle) -> Memory:
    """The memory that comes over this socket."""
    with fds.receive(end) as message:
        return Memory.from_fd(message.fds[0])


def double(sock: str) -> None:
    """Double each number in the memory."""
    with fds.Handle(int(sock)) as end, received(end) as memory:
        values = numbers(memory)
        for place in range(len(values)):
            values[place] *= 2
    tell("doubled")


def give_and_linger(sock: str, size: str, text: str) -> None:
    """Make memory, send it, and never get to the end of the block."""
    with fds.Handle(int(sock)) as end, Memory(int(size)) as memory:
        memory.write(text.encode())
        fds.send(end, b"memory", [memory])
        wait_for_word()


def try_to_harm(sock: str) -> None:
    """Try to pull the memory away; then, at a word, to write to it."""
    end = fds.Handle(int(sock))
    with received(end) as memory:
        try:
            os.ftruncate(memory.fileno(), 1)
            tell("it has shrunk")
        except PermissionError as problem:
            tell(problem.strerror)
        memory.write(b"by whoever gets it")
    tell("written")
    wait_for_word()
    with end, received(end) as memory:
        try:
            memory.write(b"once more")
            tell("written once more")
        except AccessError as problem:
            tell(type(problem).__name__)
