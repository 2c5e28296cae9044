"""The protocol over the packages `sysv_ipc` and `posix_ipc`, and the standard library.

Nobody else imports the two.

`sysv_ipc` drops the errno of most failures, gives up when a signal comes, reaches sets and queues
by key alone, has sets of one only, cannot wait with a timeout (its wheels come without
semtimedop(2)), and crashes when memory is touched after it was detached. All of that is mended
here as far as it can be; the rest is `-ENOTSUP`:

- sets of more than one semaphore, but for the first of a set that another program made; more than
  one operation at once;
- private sets and queues that are not the fallback's own;
- truncating, excepting and copying receives; types that do not fit into a C int;
- locking a segment into memory; huge pages that are not reserved;
- channels.

Signals need more than the standard library has, by ctypes: without it, or on another machine than x86-64 and
aarch64, there are no scopes of handlers, no deadlines, no queues and no values of signals.

The standard library has what descriptors and memory need, but for a copy of another process's
descriptor (pidfd_getfd(2)), and eventfds before Python 3.10. What it loses is mended too: received
descriptors that would outlive an exec, messages cut without a word, numbers that a signal handler
can lose.

`posix_ipc`, which need not be there, is what POSIX semaphores and message queues are made of; shared
memory is not. It loses errnos too, and what a signal handler raises during a wait; waits by the wall
clock; never closes a semaphore; sends a message that it has found to be too long; and may crash where it
calls a function of a message that came. Mended as well, but for:

- semaphores without a name;
- queues by a descriptor that was not opened here: `dup()`;
- the value of a signal that tells of a message; telling who may only send.

What is done differently, and shows: private sets and queues have a key; IPC_SET changes one field
at a time; nobody can count who waits here (GETNCNT), since every wait looks and sleeps by turns;
most calls open a file of /proc; the GIL is held where `sysv_ipc` holds it, while a segment is made,
mapped, copied or unmapped; a wait for a descriptor ends within a tenth of a second after it was
closed, not at once. A POSIX queue's descriptor has O_NONBLOCK, also for those to whom it is given; a
function is called for a message up to a quarter of a second after it, if somebody took it at once; and
closing another handle on the queue in this process, which ends the request (mq_close(3)), looks like a
message that came.
"""

from __future__ import annotations

import os
import sys

# A backend is one module: its families' calls are its own, each list of them in an __all__.
from .fallback_channels import *
from .fallback_connections import *
from .fallback_descriptors import *
from .fallback_locks import *
from .fallback_member import *
from .fallback_memory import *
from .fallback_passing import *
from .fallback_posix import *
from .fallback_posix_objects import *
from .fallback_posix_objects import posix
from .fallback_queues import *
from .fallback_segments import *
from .fallback_semaphores import *
from .fallback_signals import *
from .fallback_signals import HAS_SYSTEM_CALLS
from .fallback_spawn import *
from .fallback_terminals import *
from .fallback_values import *
from .fallback_waits import *

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .protocol import Class, Function

NAME = "fallback"
FREES_AT_ONCE = True  # as far as it matters: what shares memory by members needs the core

_CAPABILITIES = {
    "sysv.semaphore_sets": False,
    "sysv.atomic_operations": False,
    "sysv.segment_views": True,
    "sysv.read_only_views": False,
    "sysv.segment_locks": False,
    "sysv.waiter_counts": False,
    "sysv.wide_message_types": False,
    "sysv.close_wakes_waiters": True,
    "sysv.huge_pages": True,
    "sysv.receive_except": False,
    "sysv.receive_copy": False,
    "sysv.receive_truncated": False,
    "fds.eventfd": hasattr(os, "eventfd"),
    "fds.pidfd_getfd": False,
    "memory.grows_whole_or_not": False,
    "posix.message_queues": posix is not None,
    "posix.semaphores": posix is not None,
    "posix.unnamed_semaphores": False,
    "signals": HAS_SYSTEM_CALLS,
    "processes.moved_descriptors": False,
    "channels": False,
    "sync.counters": False,
    "sync.latest": False,
    "sync.locks": False,
    "compat.memoryview": sys.version_info >= (3, 12),
}


def capabilities() -> dict[str, bool]:
    return dict(_CAPABILITIES)


def accelerate(*methods: str, result: Any = None) -> Callable[[Class], Class]:
    return lambda cls: cls


def stand_in(signature: str) -> Callable[[Function], Function]:
    return lambda function: function
