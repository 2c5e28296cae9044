"""Sockets that a service manager has opened for us (sd_listen_fds(3)), and what to tell it (sd_notify(3))."""

from __future__ import annotations

import os
from _socket import AF_UNIX, SOCK_DGRAM
from errno import EAFNOSUPPORT, EBADF, ENOENT, ENOTSOCK
from socket import socket
from stat import S_ISSOCK

from .. import fds
from ..errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._descriptor import HasNumber

FIRST = 3  # SD_LISTEN_FDS_START

# What `listen()` has taken: their owners close them, and the kernel gives the numbers to others.
_taken: set[int] = set()


def activated() -> list[tuple[str, int]]:
    """The names and numbers of the descriptors that a service manager has opened for this process.

    They are close-on-exec from now on. What `listen()` has taken already is not among them; the others are
    the caller's, also what `notify()` had stored. See sd_listen_fds(3).

    Returns:
        Names are those of `FileDescriptorName=`, "unknown" where there is none. Empty if all are another
        process's (LISTEN_PID), such as our parent's.
    """
    try:
        count, pid = int(os.environ.get("LISTEN_FDS", "0")), int(os.environ.get("LISTEN_PID", "0"))
    except ValueError:
        return []
    if pid != os.getpid():
        return []
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    found = []
    for place, number in enumerate(range(FIRST, FIRST + min(count, os.sysconf("SC_OPEN_MAX")))):
        if number in _taken:
            continue
        try:
            os.set_inheritable(number, False)
        except OSError as problem:
            if problem.errno != EBADF:
                raise
            continue  # somebody has closed it
        found.append((names[place] if place < len(names) and names[place] else "unknown", number))
    return found


def activated_number(which: str, doing: str) -> int:
    """The number of one of them, a socket, by its name or number; "" is the first that was not taken yet.

    Whoever makes a socket of it that he will close says so: `take(number)`.

    Raises:
        NotFoundError: There is none.
        IPCError: It is no socket (ENOTSOCK).
    """
    for name, number in activated():
        if which in ("", name, str(number)):
            if not S_ISSOCK(os.fstat(number).st_mode):
                raise error(ENOTSOCK, f"{doing}: descriptor {number} is none")
            return number
    raise error(ENOENT, f"{doing}: nothing of that name was opened for this process (LISTEN_FDS)")


def take(number: int) -> None:
    """It is somebody's from now on."""
    _taken.add(number)


def notify(state: str, descriptors: Iterable[HasNumber] = (), *, timeout: float | None = 5.0) -> bool:
    """Tell the service manager how this process is doing (sd_notify(3)).

    Args:
        state: Assignments, one a line: "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=text", "MAINPID=1234".
        descriptors: What the manager is to keep for the next process of this service, which finds them in
            `activated()`; *state* has "FDSTORE=1" then, and "FDNAME=name". They stay open here.
        timeout: How many seconds to wait for a manager that does not listen.

    Returns:
        Whether there is one to tell (NOTIFY_SOCKET).

    Raises:
        PeerGoneError, NotFoundError: It has gone.
        TimedOutError: It did not listen in time.
        WouldBlockError: The same, with `timeout=0`.
        LimitError: There are more than 253 descriptors.
    """
    descriptors = tuple(descriptors)
    if descriptors and "FDSTORE=1" not in state.split("\n"):
        raise ValueError(f'descriptors are kept for "FDSTORE=1", not for {state!r:.200}')
    where = os.environ.get("NOTIFY_SOCKET", "")
    if not where:
        return False
    if where[0] not in "/@":
        raise error(EAFNOSUPPORT, f"notify {where!r}: no path and no abstract name")
    address = "\0" + where[1:] if where[0] == "@" else where
    with socket(AF_UNIX, SOCK_DGRAM) as sock:
        fds.send(sock, state.encode(), descriptors, timeout, address=address)
    return True
