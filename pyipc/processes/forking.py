"""This program again, at the other end of a pipe: open(KID, "|-") and open(KID, "-|") of perlipc.

The child runs a function, and nothing else: it has no way back into what its parent was in the middle of.
A `with` block whose body both would run could not promise that (docs/design/fork-pipe.md).
"""

from __future__ import annotations

import os
import sys
from _thread import RLock
from _warnings import warn
from _weakref import ref
from errno import EPERM
from fcntl import fcntl

from .. import _fork
from .._backend import ops
from .._descriptor import Handle
from .._linux import F_DUPFD_CLOEXEC
from .._privileges import drop, resolve
from .._spawn import Child
from ..errors import check as check_result
from ..errors import error
from ._ends import Ends
from ._feed import Feed
from .running import Duplex, Reader, Running, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

    from .._privileges import Credentials

_KINDS: dict[str, type[Running]] = {"r": Reader, "w": Writer, "rw": Duplex}
_STATUSES = range(-64, 256)  # all that there are
_FIRST_FREE = 3  # the number after the three standard ones

_READY = b"+"
_LONGEST_TOLD = 4096  # bytes that go in one piece

# One at a time, lest one's child has the other's ends. By process: in a copy that another thread forks
# meanwhile, nobody would give it back.
_turns: dict[int, Any] = {}
_living: set[ref[Running]] = set()


class _Function:
    """What a command is to those who wait for it."""

    __slots__ = ("name", "ok")

    def __init__(self, function: Callable[..., Any], check: bool) -> None:
        self.name = getattr(function, "__qualname__", repr(function))
        self.ok = (0,) if check else _STATUSES


def fork_pipe(
    mode: str,
    function: Callable[..., Any],
    *arguments: Any,
    user: str | int | None = None,
    group: str | int | None = None,
    extra_groups: Iterable[str | int] | None = None,
    check: bool = True,
) -> Any:
    """Fork; let the child run a function, with its standard input, output or both at our end of a pipe.

    The child ends with the function: by status 0, by that of `sys.exit()`, or by 1 and a traceback. Its
    `sys.stdin` and `sys.stdout` are the pipe, and so are its descriptors 0 and 1; it has our other open
    files, but none of our ends of such pipes. It does not run our `atexit` functions nor what follows our
    blocks, and writes nothing of what our files have buffered.

    Only the thread that forks goes on in the child. If others hold locks, they hold them there for ever:
    with threads there is a `RuntimeWarning`, and from Python 3.12 on its own `DeprecationWarning`.

    Args:
        mode: "r": we read what the child writes; "w": it reads what we write; "rw": both.
        function: What the child runs.
        arguments: What for.
        user: Who the child becomes before the function runs, a name or uid; see `drop_privileges()`.
        group: Its group, a name or gid.
        extra_groups: Its supplementary groups.
        check: Let any status but 0 be a `ProgramFailedError` when our block ends.

    Returns:
        A `Reader`, `Writer` or `Duplex`, as a `Command` gives: a block that ends with the pipe closed and
        the child reaped; killed, if the block ends by an exception, or before all was read.

    Raises:
        ValueError: There is no such user or group.
        AccessError: The child could not become that user; the function did not run.
        LimitError: There may be no more processes (RLIMIT_NPROC), also a second later; RLIMIT_NOFILE.
    """
    if mode not in _KINDS:
        raise ValueError(f'mode is "r", "w" or "rw", not {mode!r}')
    if not callable(function):
        raise TypeError(f"the child runs a function, not {function!r}")
    credentials = resolve(user, group, extra_groups)
    _warn_of_threads()
    parent = os.getpid()
    forking = _Forking(mode)
    try:
        with _turns.get(parent) or _turns.setdefault(parent, RLock()):
            forking.fork()
            if not forking.pid:
                _run(forking, credentials, function, arguments)
            forking.be_parent()
            what: Any = _Function(function, check)
            kid = _KINDS[mode]([what], [forking.child], forking.ends())
            _living.add(ref(kid, lambda reference: _dropped(reference, forking.child)))
            return kid
    except BaseException:  # a signal handler's too
        if os.getpid() != parent:
            _fork.die()
        forking.undo()
        raise


def _dropped(kid: ref[Running], child: Child) -> None:
    """Nobody has it, as when a signal handler raises just before a block begins: then it ends here."""
    _living.discard(kid)
    if not child.closed:
        child.close()


class _Forking:
    """The pipes, and what has become of them so far."""

    def __init__(self, mode: str) -> None:
        self.child = Child.unborn()
        self.forked: dict[str, int] = {}
        self.ours: dict[int, Handle] = {}  # by the number that the other end is going to have
        self.theirs: dict[int, Handle] = {}
        for number in [number for number, letter in enumerate("wr") if letter in mode]:
            self.ours[number], self.theirs[number] = Handle._empty(), Handle._empty()
        self.hears, self.tells = Handle._empty(), Handle._empty()

    @property
    def pid(self) -> int:
        return self.forked["pid"]

    def fork(self) -> None:
        for number, ours in self.ours.items():
            theirs = self.theirs[number]
            read, write = (theirs, ours) if number == 0 else (ours, theirs)
            check_result(ops.now_pipe(True, read, write), "make a pipe")
        check_result(ops.now_pipe(True, self.hears, self.tells), "make a pipe")
        _fork.fork(self.forked)

    def be_parent(self) -> None:
        """Wait until the child is who it shall be."""
        _fork.adopt(self.child, self.pid)
        self.tells.close()
        for theirs in self.theirs.values():
            theirs.close()
        told = os.read(self.hears.fileno(), _LONGEST_TOLD)
        self.hears.close()
        if told not in (_READY, b""):  # nothing of one that died, which its status will tell
            number, _, text = told.decode().partition(" ")
            raise type(error(int(number), ""))(int(number), text)

    def ends(self) -> Ends:
        into = self.ours.get(0)
        outs = {"out": self.ours[1]} if 1 in self.ours else {}
        return Ends(into, Feed(None, ended=into is None), outs)

    def undo(self) -> None:
        for handle in (*self.ours.values(), *self.theirs.values(), self.hears, self.tells):
            handle.close()
        _fork.undo(self.child, self.forked)

    # ---- in the child ----

    def be_child(self) -> None:
        for reference in list(_living):
            kid = reference()
            if kid is not None:
                kid._ends.close()
        for handle in (*self.ours.values(), self.hears):
            handle.close()
        # Each may have the number that the other will have. (`tells` has neither: three came before it.)
        moved = {n: fcntl(theirs.fileno(), F_DUPFD_CLOEXEC, _FIRST_FREE) for n, theirs in self.theirs.items()}
        for theirs in self.theirs.values():
            theirs.close()
        for number, descriptor in moved.items():
            os.dup2(descriptor, number)
            os.close(descriptor)
        if 0 in moved:
            sys.stdin = open(0, closefd=False)  # noqa: SIM115 (as long as the child lives)
        if 1 in moved:
            sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 (the same)

    def tell(self, problem: OSError) -> None:
        text = f"{problem.errno or EPERM} {problem.strerror or problem}"
        os.write(self.tells.fileno(), text.encode()[:_LONGEST_TOLD])


def _run(
    forking: _Forking, credentials: Credentials, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> NoReturn:
    """What the child does, from its first to its last."""
    status = 1
    try:
        try:
            forking.be_child()
            drop(credentials)
        except OSError as problem:
            forking.tell(problem)
        else:
            os.write(forking.tells.fileno(), _READY)
            forking.tells.close()
            status = _fork.status_of(function, arguments)
    except BaseException:  # whatever it is, it must not leave this function
        _fork.print_exception()
    finally:
        os._exit(status)


# ---- before the fork ----


def _warn_of_threads() -> None:
    others = len(sys._current_frames()) - 1
    if others > 0:
        what = (
            f"fork_pipe() while {others} other threads run: what they have locked stays locked in the child"
        )
        warn(what, RuntimeWarning, 3)
