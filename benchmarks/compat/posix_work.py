"""The rows of posix_ipc's interface, by whichever module has it."""

from __future__ import annotations

from contextlib import contextmanager

from sysv.payloads import SMALL, wrong

NAME = "/pyipc-benchmark"


@contextmanager
def unlinked(one):
    try:
        yield one
    finally:
        one.unlink()
        one.close()


class Rows:
    """The generators, under the names of their rows."""

    def __init__(self, module):
        self._module = module

    def _made(self, kind, **named):
        return unlinked(getattr(self._module, kind)(None, self._module.O_CREX, **named))

    def compat_posix_semaphore(self):
        return self._takes(())

    def compat_posix_timeout(self):
        return self._takes((1,))

    def _takes(self, timeout):
        with self._made("Semaphore") as semaphore:

            def block(n):
                acquire, release = semaphore.acquire, semaphore.release
                for _ in range(n):
                    release()
                    acquire(*timeout)
                if semaphore.value != 0:
                    wrong()

            yield block

    def compat_posix_with(self):
        with self._made("Semaphore", initial_value=1) as semaphore:

            def block(n):
                for _ in range(n):
                    with semaphore:
                        pass
                if semaphore.value != 1:
                    wrong()

            yield block

    def compat_posix_message_64(self):
        return self._talks(*SMALL)

    def compat_posix_message_text(self):
        return self._talks(64 * "a", 64 * "b")

    def _talks(self, first, second):
        with self._made("MessageQueue", max_messages=2, max_message_size=100) as queue:
            one, two = (text if type(text) is bytes else text.encode() for text in (first, second))

            def block(n):
                send, receive = queue.send, queue.receive
                for _ in range(n):
                    send(first)
                    if receive() != (one, 0):
                        wrong()
                    send(second)
                    if receive() != (two, 0):
                        wrong()

            yield block

    def compat_posix_create_memory(self):
        make, new = self._module.SharedMemory, self._module.O_CREX

        def block(n):
            for _ in range(n):
                memory = make(NAME, new, size=4096)
                memory.close_fd()
                memory.unlink()

        yield block

    def compat_posix_create_queue(self):
        make, new = self._module.MessageQueue, self._module.O_CREX

        def block(n):
            for _ in range(n):
                queue = make(NAME, new)
                queue.close()
                queue.unlink()

        yield block

    def compat_posix_create_semaphore(self):
        make, new = self._module.Semaphore, self._module.O_CREX

        def block(n):
            for _ in range(n):
                semaphore = make(NAME, new)
                semaphore.unlink()
                semaphore.close()

        yield block
