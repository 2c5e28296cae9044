"""The interface of `sysv_ipc` 1.2.0, over pyipc's own objects.

    import pyipc.compat.sysv_ipc as sysv_ipc

is all that a program written for that package has to change; docs/moving-from-sysv_ipc.md says what
improves and the few things that differ. Objects are the kernel's, so programs on either side meet.
"""

from __future__ import annotations

from _warnings import warn

from ... import sysv
from .arguments import IPC_CREAT, IPC_CREX, IPC_EXCL, IPC_PRIVATE, KEY_MAX, KEY_MIN, c_int
from .exceptions import BusyError, Error, ExistentialError, InternalError, NotAttachedError, PermissionsError
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

__all__ = (  # noqa: RUF022  # in the order of all others
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


def ftok(path: str, id: int, silence_warning: int = False) -> int:
    """Make a key of a file that exists and the lower 8 bits of *id*; warns unless told not to.

    `pyipc.sysv.ftok` says why two files may share a key.

    Raises:
        OSError: There is no such file.
    """
    if not isinstance(path, str):
        raise TypeError(f"a path is a str, not {type(path).__name__}")
    id = c_int(id)
    if not c_int(silence_warning):
        warn("Use of ftok() is not recommended: two files may share a key", Warning, 2)
    project = id & 0xFF
    key = sysv.ftok(path, project or 1)
    return key if project else key & 0xFFFFFF
