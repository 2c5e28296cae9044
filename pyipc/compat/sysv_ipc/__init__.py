"""The interface of `sysv_ipc` 1.2.0, over pyipc's own objects.

    import pyipc.compat.sysv_ipc as sysv_ipc

is all that a program written for that package has to change; docs/moving-from-sysv_ipc.md says what
improves and the few things that differ. Objects are the kernel's, so programs on either side meet.
"""

from __future__ import annotations

from .arguments import IPC_CREAT, IPC_CREX, IPC_EXCL, IPC_PRIVATE, KEY_MAX, KEY_MIN
from .exceptions import BusyError, Error, ExistentialError, InternalError, NotAttachedError, PermissionsError
from .keys import ftok
from .queues import MessageQueue, remove_message_queue
from .semaphores import SEMAPHORE_TIMEOUT_SUPPORTED, SEMAPHORE_VALUE_MAX, Semaphore, remove_semaphore
from .shared_memory import (
    PAGE_SIZE,
    SHM_HUGETLB,
    SHM_NORESERVE,
    SHM_RDONLY,
    SHM_REMAP,
    SHM_RND,
    SharedMemory,
    attach,
    remove_shared_memory,
)

#: Whose interface this is: programs compare it.
VERSION = "1.2.0"
__version__ = VERSION
__author__ = "The pyipc developers"
__copyright__ = "Copyright The pyipc developers"
__license__ = "MIT"

__all__ = (  # noqa: RUF022  # sorted() has another order, which tests/project asks of all
    "BusyError",
    "Error",
    "ExistentialError",
    "IPC_CREAT",
    "IPC_CREX",
    "IPC_EXCL",
    "IPC_PRIVATE",
    "InternalError",
    "KEY_MAX",
    "KEY_MIN",
    "MessageQueue",
    "NotAttachedError",
    "PAGE_SIZE",
    "PermissionsError",
    "SEMAPHORE_TIMEOUT_SUPPORTED",
    "SEMAPHORE_VALUE_MAX",
    "SHM_HUGETLB",
    "SHM_NORESERVE",
    "SHM_RDONLY",
    "SHM_REMAP",
    "SHM_RND",
    "Semaphore",
    "SharedMemory",
    "VERSION",
    "attach",
    "ftok",
    "remove_message_queue",
    "remove_semaphore",
    "remove_shared_memory",
)
