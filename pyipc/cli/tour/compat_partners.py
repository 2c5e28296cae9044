"""The parts that other processes play at the stop of the doors: programs for other packages.

Each is told which module to import, which is all that differs from a program for the package itself.
"""

from __future__ import annotations

from importlib import import_module

from .second import tell


def with_sysv_ipc(module: str, key: str) -> None:
    """Answer a message of a queue that is there, as a program for sysv_ipc does."""
    sysv_ipc = import_module(module)
    queue = sysv_ipc.MessageQueue(int(key))
    tell("ready")
    message, kind = queue.receive(type=1)
    queue.send(message.upper(), type=kind + 1)
    tell("answered")


def with_posix_ipc(module: str, queue_name: str, semaphore_name: str) -> None:
    """Take a permit, and send what is urgent, as a program for posix_ipc does."""
    posix_ipc = import_module(module)
    queue = posix_ipc.MessageQueue(queue_name)
    semaphore = posix_ipc.Semaphore(semaphore_name)
    tell("ready")
    with semaphore:
        queue.send("whenever", priority=1)
        queue.send("at once", priority=7)
    semaphore.close()
    queue.close()
    tell("sent")
