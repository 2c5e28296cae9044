"""The row of views, by posix_ipc and the mmap that its manual advises."""

from __future__ import annotations

import mmap

from posix_ipc import O_CREX, SharedMemory

from posix_objects.payloads import NAME, SMALL, wrong


def posix_view_64():
    memory = SharedMemory(NAME, O_CREX, size=4096)
    mapped = mmap.mmap(memory.fd, 4096)
    memory.close_fd()
    view = memoryview(mapped)

    def block(n):
        first, second = SMALL
        for _ in range(n):
            view[:64] = first
            if view[:64] != first:
                wrong()
            view[:64] = second
            if view[:64] != second:
                wrong()

    try:
        yield block
    finally:
        memory.unlink()
