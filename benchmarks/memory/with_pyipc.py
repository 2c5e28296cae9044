"""The rows of memory, by pyipc."""

from __future__ import annotations

from memory.payloads import PAGES, SMALL, wrong
from pyipc.memory import Memory


def memory_create():
    def block(n):
        for _ in range(n):
            with Memory(PAGES) as memory:
                memory.write(b"x")

    yield block


def memory_create_bare():
    def block(n):
        for _ in range(n):
            with Memory(PAGES, reserve=False) as memory:
                memory.write(b"x")

    yield block


def memory_copy_64():
    with Memory(PAGES) as memory:

        def block(n):
            write, read = memory.write, memory.read
            first, second = SMALL
            for _ in range(n):
                write(first)
                if read(64) != first:
                    wrong()
                write(second)
                if read(64) != second:
                    wrong()

        yield block


def memory_view_64():
    with Memory(PAGES) as memory:
        view = memory.buf

        def block(n):
            first, second = SMALL
            for _ in range(n):
                view[:64] = first
                if view[:64] != first:
                    wrong()
                view[:64] = second
                if view[:64] != second:
                    wrong()

        yield block
