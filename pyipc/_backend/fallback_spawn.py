"""Programs in processes of their own, over `subprocess`; see fallback.py."""

from __future__ import annotations

import _signal  # `signal` brings enum
import os
import sys
from errno import (
    EACCES,
    EAGAIN,
    EBADF,
    ECHILD,
    EINTR,
    EIO,
    EMFILE,
    ENFILE,
    ENOENT,
    ENOMEM,
    ENOTDIR,
    ENOTSUP,
    EPERM,
    ESRCH,
    ETIMEDOUT,
)
from time import monotonic_ns, sleep

from .fallback_descriptors import READABLE, fd_wait, now_pidfd_open, now_pidfd_status
from .fallback_foreign import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from typing import Any

    from .protocol import Exit

__all__ = (
    "SPAWN_DIE_WITH_PARENT",
    "SPAWN_NEW_SESSION",
    "SPAWN_OWN_TERMINAL",
    "child_record",
    "child_wait",
    "now_child_exit",
    "now_child_reap",
    "spawn",
)

SPAWN_NEW_SESSION = 1
SPAWN_OWN_TERMINAL = 2
SPAWN_DIE_WITH_PARENT = 4

_KNOWS_GROUPS = sys.version_info >= (3, 11)  # what it knows costs no fork
_STANDARD = 3  # descriptors: input, output, errors
_PR_SET_PDEATHSIG = 1


def spawn(
    into: Any,
    paths: bytes,
    words: bytes,
    variables: bytes,
    directory: bytes | None,
    moves: dict[int, int],
    flags: int,
    process_group: int,
    umask: int,
    uid: int,
    gid: int,
    groups: Sequence[int] | None,
) -> int | tuple[int, str]:
    extra = {to: number for to, number in moves.items() if to >= _STANDARD}
    if any(to != number for to, number in extra.items()):
        return -ENOTSUP, "descriptors"
    try:
        steps = _Steps(flags, process_group, uid, gid, groups, directory)
    except OSError as problem:
        return -(problem.errno or EIO), "clone"
    options = dict(
        zip(("stdin", "stdout", "stderr"), (_standard(moves, to) for to in range(_STANDARD))),
        args=_strings(words),
        env=dict(variable.partition(b"=")[::2] for variable in _strings(variables)),
        pass_fds=tuple(extra),
        start_new_session=bool(flags & SPAWN_NEW_SESSION),
        umask=umask,
        preexec_fn=steps.taken if steps else None,
    )
    if _KNOWS_GROUPS and process_group >= 0:
        options["process_group"] = process_group
    try:
        child = _first(paths, options, steps)
    finally:
        steps.close()
    if isinstance(child, tuple):
        return child
    child.returncode = 0  # it has no claim to its end: that is the handle's
    result = now_pidfd_open(into, child.pid)
    if result < 0:
        if result != -ESRCH:  # where SIGCHLD is ignored, it may be gone, and its pid another's
            call(os.kill, child.pid, _signal.SIGKILL)
            call(os.waitid, os.P_PID, child.pid, os.WEXITED)
        return result, "clone"
    return child.pid


def _strings(text: bytes) -> list[bytes]:
    return text.split(b"\0")[:-1]


def _standard(moves: dict[int, int], to: int) -> int:
    """What becomes this one of the three: ours, or /dev/null where we have none."""
    from subprocess import DEVNULL

    if to in moves:
        return moves[to]
    try:
        return to if os.get_inheritable(to) else DEVNULL
    except OSError:
        return DEVNULL


def _first(paths: bytes, options: dict[str, Any], steps: _Steps) -> subprocess.Popen[bytes] | tuple[int, str]:
    import subprocess

    failed = (-ENOENT, "exec")
    for path in _strings(paths):
        try:
            return subprocess.Popen(executable=path, **options)
        except OSError as problem:
            number = problem.errno or EIO
            if number in (EAGAIN, ENOMEM, EMFILE, ENFILE):
                return -number, "clone"
            if number == EACCES:
                failed = -number, "exec"
            elif number == EPERM and options.get("process_group"):
                return -number, "group"
            elif number not in (ENOENT, ENOTDIR):
                return -number, "descriptors" if number == EBADF else "exec"
        except subprocess.SubprocessError:
            return steps.failed()
    return failed


class _Steps:
    """What the child does before it executes the program, and where it stopped.

    In Python, after a fork, which is why this is done only where `subprocess` has no word for it.
    """

    def __init__(
        self,
        flags: int,
        process_group: int,
        uid: int,
        gid: int,
        groups: Sequence[int] | None,
        directory: bytes | None,
    ) -> None:
        self._steps: list[tuple[str, Callable[[], object]]] = []
        self._news: tuple[int, int] | None = None
        if process_group >= 0 and not _KNOWS_GROUPS:
            self._steps.append(("group", lambda: os.setpgid(0, process_group)))
        if flags & SPAWN_OWN_TERMINAL:
            self._steps.append(("terminal", _take_terminal))
        if groups is not None or uid >= 0 or gid >= 0:
            self._steps.append(("user", lambda: _become(uid, gid, groups)))
        if directory is not None:
            self._steps.append(("directory", lambda: os.chdir(directory)))
        if flags & SPAWN_DIE_WITH_PARENT:
            self._steps.append(("parent", _die_with(os.getpid())))
        if _signal.pthread_sigmask(_signal.SIG_BLOCK, ()):
            self._steps.append(("exec", lambda: _signal.pthread_sigmask(_signal.SIG_SETMASK, ())))
        if self._steps:
            self._news = os.pipe()

    def __bool__(self) -> bool:
        return bool(self._steps)

    def taken(self) -> None:
        """In the child."""
        for name, take in self._steps:
            try:
                take()
            except OSError as problem:
                assert self._news is not None
                os.write(self._news[1], f"{problem.errno} {name}".encode())
                raise

    def failed(self) -> tuple[int, str]:
        """In the parent."""
        assert self._news is not None
        os.set_blocking(self._news[0], False)
        try:
            number, _, name = os.read(self._news[0], 100).decode().partition(" ")
        except BlockingIOError:  # a signal handler's it was, in the child
            return -EIO, "exec"
        return -int(number), name

    def close(self) -> None:
        for number in self._news or ():
            os.close(number)


def _take_terminal() -> None:
    from fcntl import ioctl
    from termios import TIOCSCTTY

    ioctl(0, TIOCSCTTY, 0)


def _become(uid: int, gid: int, groups: Sequence[int] | None) -> None:
    """As csrc/spawn.c, whose order and checks these are."""
    if groups is not None:
        os.setgroups(groups)
    if gid >= 0:
        os.setresgid(gid, gid, gid)
    if uid >= 0:
        os.setresuid(uid, uid, uid)
    wrong = (gid >= 0 and set(os.getresgid()) != {gid}) or (uid >= 0 and set(os.getresuid()) != {uid})
    if wrong or (uid > 0 and _can_be_root()):
        raise PermissionError(EPERM, os.strerror(EPERM))


def _can_be_root() -> bool:
    try:
        os.setresuid(-1, 0, -1)
    except PermissionError:
        return False
    return True


def _die_with(parent: int) -> Callable[[], None]:
    import ctypes  # which takes long; and prctl(2) has no other way

    prctl = ctypes.CDLL(None, use_errno=True).prctl  # made ready before the fork

    def ask() -> None:
        if prctl(_PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
        if os.getppid() != parent:
            os._exit(127)

    return ask


def child_record() -> Any:
    return {}


def child_wait(child: Any, record: Any, deadline: int) -> int:
    result = fd_wait(child._number, READABLE, deadline)
    if result < 0:
        return result
    result = now_child_reap(child, record)
    if result != -EAGAIN:
        return result
    sleep(0.001)  # who traces it is told first
    return -EINTR if monotonic_ns() < deadline else -ETIMEDOUT


def now_child_reap(child: Any, record: Any) -> int:
    # Written down before it is forgotten: a signal handler may raise between any two steps.
    ended = now_pidfd_status(child, False)
    if not isinstance(ended, int):
        record["end"] = ended
        now_pidfd_status(child, True)
    elif ended != -ECHILD or "end" not in record:
        return ended
    record["reaped"] = True
    return 0


def now_child_exit(record: Any) -> int | Exit:
    return record["end"] if "reaped" in record else -EAGAIN
