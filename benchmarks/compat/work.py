"""The rows of sysv_ipc's interface, by whichever module has it."""

from __future__ import annotations

from contextlib import contextmanager

from sysv.payloads import SMALL, wrong


@contextmanager
def removed(one):
    try:
        yield one
    finally:
        one.remove()


class Rows:
    """The generators, under the names of their rows."""

    def __init__(self, module):
        self._module = module

    def _made(self, kind, **named):
        return removed(getattr(self._module, kind)(None, self._module.IPC_CREX, **named))

    def compat_semaphore(self):
        with self._made("Semaphore") as semaphore:

            def block(n):
                acquire, release = semaphore.acquire, semaphore.release
                for _ in range(n):
                    release()
                    acquire()
                if semaphore.value != 0:
                    wrong()

            yield block

    def compat_copy_64(self):
        with self._made("SharedMemory", size=4096) as memory:

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
            memory.detach()

    def compat_view_64(self):
        with self._made("SharedMemory", size=4096) as memory:
            view = memoryview(memory)

            def block(n):
                first, second = SMALL
                for _ in range(n):
                    view[0:64] = first
                    if bytes(view[0:64]) != first:
                        wrong()
                    view[0:64] = second
                    if bytes(view[0:64]) != second:
                        wrong()

            yield block
            view.release()
            memory.detach()

    def compat_message_64(self):
        with self._made("MessageQueue") as queue:

            def block(n):
                send, receive = queue.send, queue.receive
                first, second = SMALL
                for _ in range(n):
                    send(first)
                    if receive() != (first, 1):
                        wrong()
                    send(second)
                    if receive() != (second, 1):
                        wrong()

            yield block

    def compat_attach(self):
        with self._made("SharedMemory", size=1 << 20) as memory:

            def block(n):
                attach, detach = memory.attach, memory.detach
                for _ in range(n):
                    detach()
                    attach()

            yield block
            memory.detach()

    def compat_create_segment(self):
        make, new = self._module.SharedMemory, self._module.IPC_CREX

        def block(n):
            for _ in range(n):
                memory = make(None, new, size=4096)
                memory.detach()
                memory.remove()

        yield block

    def compat_create_set(self):
        yield self._creates(self._module.Semaphore)

    def compat_create_queue(self):
        yield self._creates(self._module.MessageQueue)

    def _creates(self, make):
        new = self._module.IPC_CREX

        def block(n):
            for _ in range(n):
                make(None, new).remove()

        return block
