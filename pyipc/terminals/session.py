"""The end of the processes of a session that was hung up."""

from __future__ import annotations

import os
from _signal import SIGKILL
from errno import EACCES, ENOENT, EPERM, ESRCH
from time import monotonic_ns

from .. import _deadline

# Its leader is not reaped meanwhile, so the number of the session can be nobody else's.


def end_groups(groups: set[int], session: int, deadline: int) -> None:
    """Wait until nobody is left in these groups; then, kill."""
    nap = 0.0
    while left := groups & _living_groups(session):
        if monotonic_ns() >= deadline:
            for group in left:
                _kill_group(group)
            return
        nap = _deadline.nap(nap, deadline)


def _living_groups(session: int) -> set[int]:
    """The process groups of a session that are not all zombies."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # Its name, which may be anything, is in parentheses (proc_pid_stat(5)).
                    state, _, group, of_session = file.read().rpartition(b")")[2].split()[:4]
            except OSError as problem:
                if problem.errno in (ENOENT, ESRCH):  # it has gone
                    continue
                if problem.errno in (EACCES, EPERM) and problem.filename is not None:  # hidepid, proc(5)
                    continue
                raise
            if int(of_session) == session and state not in (b"Z", b"X"):
                found.add(int(group))
    return found


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:  # all of them have become somebody else
        return
