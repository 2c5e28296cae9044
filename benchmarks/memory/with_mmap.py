"""The rows of memory, by hand over os.memfd_create and mmap."""

from __future__ import annotations

import mmap
import os

from memory.payloads import PAGES, SMALL, wrong


def memory_create():
    def block(n):
        for _ in range(n):
            number = os.memfd_create("benchmark")
            os.posix_fallocate(number, 0, PAGES)
            with mmap.mmap(number, PAGES) as memory:
                memory[0] = 120
            os.close(number)

    yield block


def memory_create_bare():
    def block(n):
        for _ in range(n):
            number = os.memfd_create("benchmark")
            os.ftruncate(number, PAGES)
            with mmap.mmap(number, PAGES) as memory:
                memory[0] = 120
            os.close(number)

    yield block


def memory_copy_64():
    with mmap.mmap(-1, PAGES) as memory:

        def block(n):
            first, second = SMALL
            for _ in range(n):
                memory[:64] = first
                if memory[:64] != first:
                    wrong()
                memory[:64] = second
                if memory[:64] != second:
                    wrong()

        yield block
