"""Programs in processes of their own (docs/design/processes.md)."""

from __future__ import annotations

import os
from _signal import SIGKILL
from _thread import get_native_id
from _warnings import warn
from errno import E2BIG, EACCES, EAGAIN, EBADF, ECHILD, ENOENT, ESRCH

from . import _deadline
from ._backend import ops
from ._descriptor import WaitedHandle, pid_of
from ._exit import Exit
from ._keeper import in_a_lasting_thread
from ._privileges import UNCHANGED, needed
from .errors import IPCError, StatusLostError, error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Union

    from ._privileges import Credentials

    Word = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]

OWN_GROUP = 0
_SAME = -1

_MOST_STRING = 131072  # MAX_ARG_STRLEN, of one argument or variable with its NUL (execve(2))


class Child(WaitedHandle):
    """A child of this process, by its pidfd: reaped once, by this handle; killed by `close()` if it runs.

    Readable, for select(2) and the like, once it has ended.

    Attributes:
        pid: Its pid.
    """

    __slots__ = ("_end", "_exit", "_leads", "_parent", "pid")
    kind = "child"
    pid: int
    _end: Any  # the record of how it ended
    _exit: Exit | None  # the same, once somebody has looked there
    _leads: bool  # whether a process group has its pid for a number
    _parent: int  # whose child it is

    def __init__(self) -> None:
        raise TypeError("a child is what starting a program gives")

    @classmethod
    def unborn(cls) -> Child:
        """One that `spawn()` will start; who has it already loses nothing, whatever a signal handler does."""
        child = cls.__new__(cls)
        child._waiting = []
        child.pid, child._leads, child._parent = 0, False, os.getpid()
        child._end, child._exit = ops.child_record(), None
        return child

    @property
    def exit(self) -> Exit | None:
        """How it ended; None as long as nobody has waited for it."""
        if self._exit is None:
            end = ops.now_child_exit(self._end)
            if not isinstance(end, int):
                self._exit = Exit(*end)
        return self._exit

    def poll(self) -> Exit | None:
        """How it ended, which lets the kernel forget it; None while it runs.

        Raises:
            StatusLostError: Somebody else has reaped it.
        """
        ended = self.exit
        if ended is None:
            result = ops.now_child_reap(self, self._end)
            if result != -EAGAIN:
                return self._ended(result, "learn how it ended from")
        return ended

    def wait(self, timeout: float | None = None) -> Exit:
        """Wait until it has ended, and let the kernel forget it.

        Raises:
            WouldBlockError: With `timeout=0`: it is running.
            TimedOutError: It did not end in time.
            StatusLostError: Somebody else has reaped it.
        """
        return self.wait_until(_deadline.by(timeout))

    def wait_until(self, deadline: int) -> Exit:
        """The same by a deadline of `_deadline.by()`."""
        if self._exit is not None:
            return self._exit
        if deadline == 0:
            result = ops.now_child_reap(self, self._end)
        else:
            result = self._wait_until(
                lambda until: ops.child_wait(self, self._end, until), deadline, "wait for"
            )
        ended = self.exit
        return self._ended(result, "wait for") if ended is None else ended

    def _ended(self, result: int, doing: str) -> Exit:
        ended = self.exit
        nap = 0.0
        # Another thread may be about to write it down; in a forked copy those are not there.
        while result == -ECHILD and ended is None and self._waiting and self._parent == os.getpid():
            nap = _deadline.nap(nap, _deadline.FOREVER)
            ended = self.exit
        if ended is None:
            raise self._error(result, doing)
        return ended

    def send(self, signal: int) -> None:
        """Send it a signal; of one that has ended, do nothing.

        Raises:
            AccessError: It is another user's by now.
        """
        if self.exit is None and not self.closed:
            result = ops.now_pidfd_send(self, signal)
            if result < 0 and self.poll() is None:
                raise self._error(result, f"send signal {int(signal)} to")

    def send_group(self, signal: int) -> None:
        """Send it to the whole process group that it leads, also to its own children.

        Once it has been waited for, by whomever, nobody: the group's number may be another's. And if it leads
        none, to itself alone.
        """
        if not self._leads:
            return self.send(signal)
        if self.exit is None and self.pid > 0 and ops.now_pidfd_send(self, 0) not in (-ESRCH, -EBADF):
            try:
                os.killpg(self.pid, signal)  # not reaped: nobody else can have this number
            except ProcessLookupError:
                pass  # it, and all of them, have gone elsewhere
            except PermissionError:
                self.send(signal)
        return None

    def kill(self) -> None:
        """SIGKILL it, and the process group that it leads."""
        if not self.pid and not self.closed:  # a signal handler has raised before it was here
            self.pid = pid_of(self)
        self.send_group(SIGKILL)
        self.send(SIGKILL)

    def end(self) -> None:
        """Kill it if it is ours to close: not in a process that was forked from its parent."""
        if self._exit is None and self._parent == os.getpid():
            self.kill()

    def close(self) -> None:
        """Let go of it; kill it, its group, and reap it if nobody has waited for it yet.

        In a process that was forked from its parent, only let go. To drop it does the same, with a
        `ResourceWarning`.

        Raises:
            AccessError: It is another user's by now, and lives on.
            StatusLostError: Somebody else has reaped it.
        """
        if self._exit is None and self.exit is None and not self.closed and self._parent == os.getpid():
            try:
                self.kill()
                self.wait()
            except IPCError:  # what a signal handler raises leaves it open: it must still be reaped
                super().close()
                raise
        super().close()

    def __del__(self) -> None:
        if self._number < 0:
            return
        try:
            warn(f"{self} was dropped without close()", ResourceWarning, 2, self)
        finally:
            self.close()

    def _error(self, result: int, doing: str) -> IPCError:
        if result == -ECHILD:
            why = (
                "Somebody else has reaped it, or SIGCHLD is ignored"
                if self._parent == os.getpid()
                else "It is another process's"
            )
            return StatusLostError(ECHILD, f"{why}: {doing} {self}")
        return super()._error(result, doing)

    def __repr__(self) -> str:
        if self.exit is not None:
            return repr(self.exit)
        return f"<child {self.pid}{' closed' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("a child has one parent")


def spawn(
    words: Sequence[Word],
    *,
    env: Mapping[Any, Any] | None = None,
    directory: Word | None = None,
    descriptors: dict[int, int] | None = None,
    new_session: bool = False,
    own_terminal: bool = False,
    process_group: int | None = None,
    umask: int | None = None,
    credentials: Credentials = UNCHANGED,
    die_with_parent: bool = False,
    child: Child | None = None,
) -> Child:
    """Start a program.

    Args:
        words: The program, looked for in the PATH of *env* unless it has a slash, and its arguments.
        env: Its environment, whole; None is ours.
        directory: Where it starts.
        descriptors: Which of ours become which of its own; 0, 1 and 2 are ours unless they are named, and
            /dev/null where we have none. It gets no others.
        new_session: Let it lead a session of its own (setsid(2)).
        own_terminal: Make its descriptor 0 the controlling terminal of that.
        process_group: The one to join; `OWN_GROUP` is one of its own.
        umask: Its file mode creation mask.
        credentials: Its uid, gid and supplementary groups, as `_privileges.resolve()` gives them.
        die_with_parent: SIGKILL it when this process ends, however it does (prctl(2), PR_SET_PDEATHSIG).
        child: An unborn one, for this.

    Raises:
        NotFoundError: There is no such program, or no interpreter for it, or no such directory.
        AccessError: It may not be executed, or we may not become that user.
        LimitError: Too many processes, or too long arguments.
        ValueError: A NUL byte in a word, or no umask.
    """
    if umask is not None and not 0 <= umask <= 0o777:
        raise ValueError(f"a umask is 0..0o777, not {umask:#o}")
    program, words_text = _encoded(words)
    environment = _OURS if env is None else {os.fsencode(k): os.fsencode(v) for k, v in env.items()}
    flags = (
        (ops.SPAWN_NEW_SESSION if new_session else 0)
        | (ops.SPAWN_OWN_TERMINAL if own_terminal else 0)
        | (ops.SPAWN_DIE_WITH_PARENT if die_with_parent else 0)
    )
    paths, variables = _paths(program, environment), _variables(environment)
    place = None if directory is None else _without_nul(directory)
    if child is None:
        child = Child.unborn()
    child._leads = new_session or process_group == OWN_GROUP
    arguments = (
        child,
        paths,
        words_text,
        variables,
        place,
        descriptors or {},
        flags,
        _SAME if process_group is None else process_group,
        _SAME if umask is None else umask,
        *needed(credentials),
    )
    try:
        # The death of the thread that asked for it is what kills the child, not that of the process.
        if die_with_parent and get_native_id() != os.getpid():
            result = in_a_lasting_thread(ops.spawn, *arguments)
        else:
            result = ops.spawn(*arguments)
        if isinstance(result, int):
            child.pid = result
    except BaseException:  # a signal handler's: what it has begun is undone
        child.close()
        raise
    if isinstance(result, tuple):
        raise _failed(*result, words_text, variables, paths, place)
    return child


# ---- arguments: strings one after another, each with its NUL ----

# What `os.environb` is a view of, and keeps valid: each look through the view takes a microsecond.
_OURS: Mapping[bytes, bytes] = getattr(os.environb, "_data", os.environb)

# As it was, and its text: to see that it has not changed since takes a third of the time.
_last: tuple[Mapping[bytes, bytes], bytes] = {}, b""


def _text(strings: Iterable[bytes]) -> bytes:
    return b"\0".join((*strings, b""))


def _strings(text: bytes) -> list[bytes]:
    return text.split(b"\0")[:-1]


def _encoded(words: Sequence[Word]) -> tuple[bytes, bytes]:
    """The program, and all words."""
    if isinstance(words, (str, bytes)):
        raise TypeError(f"a program and its arguments, each by itself, not {words!r:.50}")
    encoded = [*map(os.fsencode, words)]
    if not encoded or not encoded[0]:
        raise ValueError("there is no program without a name")
    text = _text(encoded)
    if text.count(b"\0") != len(encoded):
        raise ValueError(f"a NUL byte in {b' '.join(encoded)!r:.100}")
    return encoded[0], text


def _without_nul(word: Word) -> bytes:
    encoded = os.fsencode(word)
    if b"\0" in encoded:
        raise ValueError(f"a NUL byte in {word!r:.100}")
    return encoded


def _paths(program: bytes, environment: Mapping[bytes, bytes]) -> bytes:
    """Where it may be. Not in the current directory, which an empty part of PATH would mean."""
    if b"/" in program:
        return program + b"\0"
    path = environment.get(b"PATH")
    if path is None:
        path = os.fsencode(os.defpath)
    return _text([place + b"/" + program for place in path.split(b":") if place])


def _variables(environment: Mapping[bytes, bytes]) -> bytes:
    global _last
    if environment is not _OURS:
        for name, value in environment.items():
            if not name or b"=" in name or b"\0" in name or b"\0" in value:
                raise ValueError(f"no variable of an environment: {name!r:.50}")
        return _text(map(b"=".join, environment.items()))
    last, text = _last
    if environment != last:
        last = dict(environment)  # in one step: another thread may change it
        text = _text(map(b"=".join, last.items()))
        _last = last, text
    return text


# ---- errors ----


def _failed(
    result: int,
    step: str,
    words: bytes,
    variables: bytes,
    paths: bytes,
    directory: bytes | None,
) -> IPCError:
    """What to raise for a program that could not be started."""
    number, name = -result, os.fsdecode(_strings(words)[0])
    doing = f"start {name!r}"
    if number == EAGAIN:
        return limit_error(number, doing, "RLIMIT_NPROC", _most_processes(), None)
    if number == E2BIG:
        return _too_long(doing, _strings(words + variables))
    tried = [os.path.join(directory or b"", path) for path in _strings(paths)]
    if step == "exec" and number == ENOENT and any(map(os.path.exists, tried)):
        return error(number, f"{doing}: the interpreter in its first line")
    if step == "exec" and number == EACCES and any(map(os.path.isdir, tried)):
        return error(number, f"{doing}: it is a directory")
    if step == "directory":
        return error(number, f"{doing} in {os.fsdecode(directory or b'')!r}")
    return error(number, doing if step == "exec" else f"{doing}: {_STEPS.get(step, step)}")


_STEPS = {
    "clone": "make a process",
    "descriptors": "give it its descriptors",
    "session": "make a session",
    "user": "become another user",
    "group": "put it into a process group",
    "terminal": "give it a controlling terminal",
    "parent": "let it die with its parent",
}


def _most_processes() -> int:
    from resource import RLIMIT_NPROC, getrlimit

    return getrlimit(RLIMIT_NPROC)[0]


def _too_long(doing: str, strings: list[bytes]) -> IPCError:
    longest = max(map(len, strings))
    if longest >= _MOST_STRING:
        what = f"{doing}: an argument or variable of {longest} bytes"
        return limit_error(E2BIG, what, "MAX_ARG_STRLEN", _MOST_STRING, None)
    return limit_error(
        E2BIG, f"{doing}: arguments and environment", "ARG_MAX", os.sysconf("SC_ARG_MAX"), None
    )
