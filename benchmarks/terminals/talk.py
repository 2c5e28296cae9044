"""What is said on the terminals, and how the rows are made of a way to do each.

A way is a module with `Talk`, `Collect` and `spawn_and_wait`: two classes and a function. `Talk()` begins
`cat` without echo, and `ask(line)` gives its answer, without its line end; `Collect(words)` begins a program
that writes SIZE bytes and DONE at their end, and `collect()` gives how many bytes it has, in one piece, once
it has seen DONE.
"""

from __future__ import annotations

import mmap
import os
import re
from contextlib import contextmanager

SECONDS = 30
LINE = b"lorem ipsum dolor sit amet 7\n"
DONE = re.compile(rb"DONE-\w+-\d+\n")
SIZE = 20_000_000 // len(LINE) * len(LINE) + len(b"DONE-abc-123\n")
TRUE = "/bin/true"


@contextmanager
def touched(gibibytes):
    """So much memory, each page of it written to."""
    with mmap.mmap(-1, gibibytes << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(0, gibibytes << 30, 4096):
            memory[page] = 1
        yield


def rows(way):
    """The generators of worker.py, by name."""

    def prompts():
        talk = way.Talk()

        def block(n):
            for number in range(n):
                line = b"line %d" % number
                if talk.ask(line) != line:
                    raise AssertionError("the answer is not what was said")

        yield [block]
        talk.close()

    def spawn():
        def block(n):
            for _ in range(n):
                if way.spawn_and_wait() != 0:
                    raise AssertionError("it failed")

        yield [block]

    def spawn_from_2gib():
        with touched(2):
            yield from spawn()

    return {
        "terminal_prompt": prompts,
        "terminal_spawn": spawn,
        "terminal_spawn_2gib": spawn_from_2gib,
    }


def without_echo(number):
    """A terminal by its master."""
    import termios

    modes = termios.tcgetattr(number)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(number, termios.TCSANOW, modes)


def end(pid):
    """Kill and reap, where a library would sleep over it."""
    os.kill(pid, 9)
    os.waitpid(pid, 0)
