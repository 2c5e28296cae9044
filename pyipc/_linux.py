"""What Linux has, and PyPy, or a Python built where the C library was old, has no name for."""

from __future__ import annotations

import os

O_PATH = getattr(os, "O_PATH", 0o10000000)
F_DUPFD_CLOEXEC = 1030
MSG_NOSIGNAL = 0x4000
EPOLLEXCLUSIVE = 1 << 28
RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE = 11, 12


def processors() -> int:
    """How many this process may use; of the machine, where Python cannot tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
