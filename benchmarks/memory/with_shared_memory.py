"""The rows of memory, by multiprocessing.shared_memory, which names it and tells a tracker process."""

from __future__ import annotations

from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

from memory.payloads import PAGES, SMALL, wrong


@contextmanager
def made():
    memory = SharedMemory(create=True, size=PAGES)
    try:
        yield memory
    finally:
        memory.close()
        memory.unlink()


def memory_create_bare():
    resource_tracker.ensure_running()

    def block(n):
        for _ in range(n):
            with made() as memory:
                memory.buf[0] = 120

    yield block


def memory_copy_64():
    with made() as memory:

        def block(n):
            buf = memory.buf
            first, second = SMALL
            for _ in range(n):
                buf[:64] = first
                if bytes(buf[:64]) != first:
                    wrong()
                buf[:64] = second
                if bytes(buf[:64]) != second:
                    wrong()

        yield block


def memory_view_64():
    with made() as memory:
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
