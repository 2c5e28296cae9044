"""The protocol over the compiled core.

Most calls are the C functions themselves: no Python stands between a handle and the kernel.
"""

from __future__ import annotations

import sys

# A backend is one module: its families' calls are its own, each list of them in an __all__.
from .native_channels import *
from .native_connections import *
from .native_core import HOT, core, lib
from .native_descriptors import *
from .native_locks import *
from .native_mapping import *
from .native_member import *
from .native_memory import *
from .native_passing import *
from .native_posix import *
from .native_signals import *
from .native_spawn import *
from .native_sysv import *
from .native_terminals import *
from .native_values import *

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .protocol import Class, Function

NAME = "native"
FREES_AT_ONCE = HOT

# A capability is a fact about this backend on this kernel; the kernel's part is found by the call.
_CAPABILITIES = (
    "sysv.semaphore_sets",
    "sysv.atomic_operations",
    "sysv.segment_views",
    "sysv.segment_locks",
    "sysv.waiter_counts",
    "sysv.wide_message_types",
    "sysv.close_wakes_waiters",
    "sysv.huge_pages",
    "sysv.receive_except",
    "sysv.receive_copy",
    "sysv.receive_truncated",
    "fds.eventfd",
    "fds.pidfd_getfd",
    "memory.grows_whole_or_not",
    "posix.message_queues",
    "posix.semaphores",
    "posix.unnamed_semaphores",
    "signals",
    "processes.moved_descriptors",
    "channels",
    "sync.counters",
    "sync.latest",
    "sync.locks",
)


def capabilities() -> dict[str, bool]:
    return {
        **dict.fromkeys(_CAPABILITIES, True),
        "sysv.read_only_views": HOT,
        "compat.memoryview": HOT or sys.version_info >= (3, 12),
    }


def accelerate(*methods: str, result: Any = None) -> Callable[[Class], Class]:
    def decorate(cls: Class) -> Class:
        if HOT:
            if result is not None:
                core.messages(result, methods[0])
            for method in methods:
                core.accelerate(cls, method)
        return cls

    return decorate


def stand_in(signature: str) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        if not HOT:
            return function
        home = sys.modules[function.__module__]
        setattr(home, f"_py_{function.__name__}", function)
        doc = f"{function.__name__}{signature}\n--\n\n{function.__doc__ or ''}"
        return core.stand_in(function, home, doc.encode())

    return decorate


interrupt = lib.pyipc_interrupt
