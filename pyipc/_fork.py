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
from .errors import check, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

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
            _run(function, arguments)
        adopt(child, born["pid"])
        return child
    except BaseException:  # a signal handler's too
        if os.getpid() != parent:
            die()
        undo(child, born)
        raise


def _pidfd_of(pid: int) -> int:
    pidfd = ops.Descriptor()
    check(ops.now_pidfd_open(pidfd, pid), "open a pidfd of a child")
    number: int = pidfd._take()
    return number


_pidfd_open = getattr(os, "pidfd_open", _pidfd_of)  # which PyPy has not, nor a Python built on an old Linux


def start_bare(born: dict[str, int], function: Callable[..., Any], *arguments: Any) -> None:
    """The same without a handle, and once: the child's pid and a pidfd of it are put into *born*.

    Whatever is raised, what is there is the caller's to `abandon`. For those who fork all the time: after a
    fork, each page that is written costs a fault, and a handle is on many. So they `flush()` themselves, too,
    when something may have been written.
    """
    parent = os.getpid()
    try:
        any(map(born.__setitem__, ("pid",), iter(os.fork, None)))  # one step, as above
        if not born["pid"]:
            _run(function, arguments)
        any(map(born.__setitem__, ("pidfd",), map(_pidfd_open, (born["pid"],))))
    except BaseException as problem:  # a signal handler's too
        if os.getpid() != parent:
            die()
        if isinstance(problem, BlockingIOError) and problem.errno == EAGAIN and not born:
            raise _no_room() from problem
        raise


def abandon(born: dict[str, int]) -> None:
    """Kill, reap and forget it; again, if that was interrupted."""
    close_pidfd(born)
    if "pid" in born:
        try:
            if os.waitpid(born["pid"], os.WNOHANG)[0] == 0:  # else another may have its pid by now
                os.kill(born["pid"], SIGKILL)
                os.waitpid(born["pid"], 0)
        except ChildProcessError:
            pass  # reaped, the first time
        del born["pid"]


def kill(born: dict[str, int]) -> None:
    """SIGKILL for a child that nobody has reaped."""
    if hasattr(_signal, "pidfd_send_signal"):
        _signal.pidfd_send_signal(born["pidfd"], SIGKILL)
    else:
        os.kill(born["pid"], SIGKILL)


def close_pidfd(born: dict[str, int]) -> None:
    """Close it, once: in one step of the interpreter."""
    if "pidfd" in born:
        any(map(os.close, map(born.pop, ("pidfd",))))


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


def _run(function: Callable[..., Any], arguments: tuple[Any, ...]) -> NoReturn:
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


def _no_room() -> Exception:
    import resource

    most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    return limit_error(EAGAIN, "fork", "RLIMIT_NPROC", most, None)
