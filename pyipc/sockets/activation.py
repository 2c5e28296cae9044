"""Sockets that a service manager has opened for us (sd_listen_fds(3)), and what to tell it (sd_notify(3))."""

from __future__ import annotations

import os
from errno import ENOENT, ENOTSOCK
from fcntl import F_GETFD, F_SETFD, FD_CLOEXEC, fcntl
from socket import socket
from stat import S_ISSOCK

from ..errors import error

_FIRST = 3  # SD_LISTEN_FDS_START


def activated() -> list[tuple[str, int]]:
    """The names and numbers of the descriptors that were opened for this process; close-on-exec from now on.

    Names are those of `FileDescriptorName=`, "unknown" where there are none. Empty if they are another
    process's (LISTEN_PID), such as our parent's.
    """
    try:
        count, pid = int(os.environ.get("LISTEN_FDS", "0")), int(os.environ.get("LISTEN_PID", "0"))
    except ValueError:
        return []
    if pid != os.getpid() or count <= 0:
        return []
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    found = []
    for place, number in enumerate(range(_FIRST, _FIRST + count)):
        try:
            flags = fcntl(number, F_GETFD)
        except OSError:
            continue  # somebody has closed it
        fcntl(number, F_SETFD, flags | FD_CLOEXEC)
        found.append((names[place] if place < len(names) and names[place] else "unknown", number))
    return found


def activated_socket(which: str, doing: str) -> socket:
    """One of them by its name or number; "" is the first. It is the caller's from now on.

    Raises:
        NotFoundError: There is none.
        IPCError: It is no socket (ENOTSOCK).
    """
    for name, number in activated():
        if which in ("", name, str(number)):
            if not S_ISSOCK(os.fstat(number).st_mode):
                raise error(ENOTSOCK, f"{doing}: descriptor {number} is none")
            return socket(fileno=number)
    raise error(ENOENT, f"{doing}: nothing of that name was opened for this process (LISTEN_FDS)")
