"""The rows of channels, by posix_ipc's message queues; ten messages can wait, as Linux has it by default."""

from __future__ import annotations

import posix_ipc

from channels.halves import rows


def one(size, senders):
    queue = posix_ipc.MessageQueue(None, posix_ipc.O_CREX, max_messages=10, max_message_size=size)
    queue.unlink()
    receive = queue.receive
    yield lambda: queue.send, lambda: lambda: receive()[0]
    queue.close()


globals().update(rows(one))
