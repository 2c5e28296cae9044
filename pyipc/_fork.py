"""This program again: a child that runs one function, and has no way back (docs/design/fork-pipe.md)."""

from __future__ import annotations

import _signal
import os
import sys
from _signal import SIGKILL
from errno import EAGAIN
from time import monotonic_ns

from . import _deadline
from ._backend import ops
from ._spawn import Child
from .errors import check, error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from .errors import IPCError

_RETRY_NS = 1_000_000_000  # how long fork(2) is asked again that had no room


def fork(born: dict[str, int], patience_ns: int = _RETRY_NS) -> None:
    """Fork, once what is buffered is written (both would write it); `born["pid"]` is what fork(2) gave.

    Raises:
        LimitError: There may be no more processes (RLIMIT_NPROC), also a second later.
    """
    flush()
    end, nap = monotonic_ns() + patience_ns, 0.0
    while True:
        try:
            # One step of the interpreter: no signal handler comes between the child and its pid.
            any(map(born.__setitem__, ("pid",), iter(os.fork, None)))
            return
        except BlockingIOError as problem:
            if problem.errno != EAGAIN:  # a signal handler's
                raise
            if monotonic_ns() >= end:
                raise _no_room() from problem
            nap = _deadline.nap(nap, end)


def start(function: Callable[..., Any], *arguments: Any, patience_ns: int = _RETRY_NS) -> Child:
    """Fork; the child runs *function*, and ends with it.

    Raises:
        LimitError: There may be no more processes, or no more descriptors.
    """
    parent = os.getpid()
    child = Child.unborn()
    born: dict[str, int] = {}
    try:
        fork(born, patience_ns)
        if not born["pid"]:
            run(function, arguments)
        adopt(child, born["pid"])
        return child
    except BaseException:  # a signal handler's too
        if os.getpid() != parent:
            die()
        undo(child, born)
        raise


def bare_failure(result: int) -> IPCError:
    """Why `ops.fork()` did not do all that it should."""
    return _no_room() if result == -EAGAIN else error(-result, "fork")


def abandon(born: list[int]) -> None:
    """Kill, reap and forget what `ops.fork()` has given; again, if that was interrupted."""
    close_pidfd(born)
    if born:
        try:
            if os.waitpid(born[0], os.WNOHANG)[0] == 0:  # else another may have its pid by now
                os.kill(born[0], SIGKILL)
                os.waitpid(born[0], 0)
        except ChildProcessError:
            pass  # reaped, the first time
        born.clear()


def kill(born: list[int]) -> None:
    """SIGKILL for a child that nobody here has reaped."""
    try:
        if hasattr(_signal, "pidfd_send_signal"):
            _signal.pidfd_send_signal(born[1], SIGKILL)
        else:
            os.kill(born[0], SIGKILL)
    except ProcessLookupError:
        pass  # the kernel has: SIGCHLD is ignored


def close_pidfd(born: list[int]) -> None:
    """Close it, once: in one step of the interpreter."""
    if len(born) > 1:
        any(map(os.close, map(born.pop, (1,))))


def adopt(child: Child, pid: int) -> None:
    """Let the handle be that of a child that was forked."""
    child.pid = pid
    check(ops.now_pidfd_open(child, pid), "open a pidfd of a child")


def undo(child: Child, born: dict[str, int]) -> None:
    """Kill and reap it, if it was born."""
    if born and child.closed:
        os.kill(born["pid"], SIGKILL)
        os.waitpid(born["pid"], 0)
    child.close()


def run(function: Callable[..., Any], arguments: tuple[Any, ...]) -> NoReturn:
    """Be the child: call it, and end."""
    status = 1
    try:
        status = status_of(function, arguments)
    finally:
        os._exit(status)


def status_of(function: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
    """Call it, and give the status with which its process is to end."""
    status = 0
    try:
        function(*arguments)
    except SystemExit as leave:
        if leave.code is not None and not isinstance(leave.code, int):
            print(leave.code, file=sys.stderr)
        status = 0 if leave.code is None else leave.code & 0xFF if isinstance(leave.code, int) else 1
    except BaseException:  # this is where it ends
        print_exception()
        status = 1
    _flush(sys.stdout)
    _flush(sys.stderr)
    return status


def print_exception() -> None:
    """Print what is being handled to `sys.stderr`."""
    # Not by the module `traceback`: who the child has become may not be able to read it.
    sys.__excepthook__(*sys.exc_info())
    sys.stderr.flush()


def die() -> NoReturn:
    """End a process that should not be where it is."""
    try:
        print_exception()
    finally:
        os._exit(1)


def flush() -> None:
    """Write what is buffered for standard output and errors, if it can be written.

    Else, on a full disk, it stays where it is, and its file raises that where it is written to or closed: it
    is no reason not to fork.
    """
    for file in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 (contextlib takes long to import)
            _flush(file)
        except OSError:
            pass


def _flush(file: Any) -> None:
    if file is not None and not getattr(file, "closed", False):
        file.flush()


def _no_room() -> IPCError:
    import resource

    most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    return limit_error(EAGAIN, "fork", "RLIMIT_NPROC", most, None)
