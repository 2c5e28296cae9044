"""The interface of `posix_ipc` 1.3.2, over pyipc's own objects.

    import pyipc.compat.posix_ipc as posix_ipc

is all that a program written for that package has to change; docs/moving-from-posix_ipc.md says what
improves and the few things that differ. Objects are the kernel's, so programs on either side meet.
"""

from __future__ import annotations

import _signal

from ..._backend import ops
from .arguments import O_CREAT, O_CREX, O_EXCL, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY
from .exceptions import BusyError, Error, ExistentialError, PermissionsError, SignalError
from .queues import (
    QUEUE_MESSAGE_SIZE_MAX_DEFAULT,
    QUEUE_MESSAGES_MAX_DEFAULT,
    QUEUE_PRIORITY_MAX,
    MessageQueue,
    unlink_message_queue,
)
from .semaphores import (
    SEMAPHORE_TIMEOUT_SUPPORTED,
    SEMAPHORE_VALUE_MAX,
    SEMAPHORE_VALUE_SUPPORTED,
    Semaphore,
    unlink_semaphore,
)
from .shared_memory import PAGE_SIZE, SharedMemory, unlink_shared_memory

#: Whose interface this is: programs compare it.
VERSION = "1.3.2"
__version__ = VERSION
__author__ = "The pyipc developers"
__copyright__ = "Copyright The pyipc developers"
__license__ = "MIT"

MESSAGE_QUEUES_SUPPORTED = ops.capabilities()["posix.message_queues"]

# What the C library leaves of the real-time signals.
USER_SIGNAL_MIN = int(_signal.SIGRTMIN)
USER_SIGNAL_MAX = int(_signal.SIGRTMAX)

__all__ = (  # noqa: RUF022  # sorted() has another order, which tests/project asks of all
    "BusyError",
    "Error",
    "ExistentialError",
    "MESSAGE_QUEUES_SUPPORTED",
    "MessageQueue",
    "O_CREAT",
    "O_CREX",
    "O_EXCL",
    "O_NONBLOCK",
    "O_RDONLY",
    "O_RDWR",
    "O_TRUNC",
    "O_WRONLY",
    "PAGE_SIZE",
    "PermissionsError",
    "QUEUE_MESSAGES_MAX_DEFAULT",
    "QUEUE_MESSAGE_SIZE_MAX_DEFAULT",
    "QUEUE_PRIORITY_MAX",
    "SEMAPHORE_TIMEOUT_SUPPORTED",
    "SEMAPHORE_VALUE_MAX",
    "SEMAPHORE_VALUE_SUPPORTED",
    "Semaphore",
    "SharedMemory",
    "SignalError",
    "USER_SIGNAL_MAX",
    "USER_SIGNAL_MIN",
    "VERSION",
    "unlink_message_queue",
    "unlink_semaphore",
    "unlink_shared_memory",
)
