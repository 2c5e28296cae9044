"""Sending signals, and asking who is alive (kill(2), sigqueue(3), pidfd_send_signal(2))."""

from __future__ import annotations

from errno import EAGAIN, ENOTSUP, EPERM, ESRCH
from os import getpgrp, getpid

from .._backend import ops
from .._linux import RLIMIT_SIGPENDING
from .._pidfd import Pidfd
from ..errors import AccessError, IPCError, ProcessGoneError, UnsupportedError, error, limit_error
from .identity import Identity, checked, numbers_in, status_of
from .names import name, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from .identity import Status, Target
    from .names import SignalName

_EXISTS = 0  # the signal that is none
_MOST_ROUNDS = 100


class Life:
    """An answer of `alive()`, of which there are three.

    Attributes:
        ALIVE: It runs, and is ours to send signals to.
        NOT_MINE: It runs, and belongs to somebody else.
        GONE: It has ended, whether its parent knows or not. It alone is false.
    """

    __slots__ = ("_text",)
    ALIVE: ClassVar[Life]
    NOT_MINE: ClassVar[Life]
    GONE: ClassVar[Life]

    def __init__(self, text: str) -> None:
        self._text = text

    def __bool__(self) -> bool:
        return self is not Life.GONE

    def __repr__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return getattr, (Life, self._text.upper().replace(" ", "_"))


Life.ALIVE, Life.NOT_MINE, Life.GONE = Life("alive"), Life("not mine"), Life("gone")


def send(target: Target, signal: SignalName, value: int | None = None) -> None:
    """Send a signal to a process.

    Args:
        target: A pid, which means whoever has it now; a `Pidfd` or an `Identity`, which mean one process.
        signal: "TERM", 15, ...
        value: -2**31..2**31-1, to go along (sigqueue(3)): a `SignalQueue` over there gives it. In real time
            (SIGRTMIN and up), each one sent arrives; of the others, one that waits already stands for all.

    Raises:
        ProcessGoneError: It has ended, and was reaped.
        AccessError: It is somebody else's.
        LimitError: RLIMIT_SIGPENDING: too many that have a value wait already.
        UnsupportedError: Not on this backend, with a value; see `pyipc.capabilities()`.
    """
    one = number(signal)
    if value is not None and not isinstance(value, int):
        raise TypeError(f"value is an int, not {value!r}")
    if value is not None and not -(1 << 31) <= value < 1 << 31:
        raise ValueError(f"value is -2**31..2**31-1, not {value}")
    if isinstance(target, Identity):
        _send_to_identity(target, one, value)
    else:
        result = _send(target, one, value)
        if result < 0:
            raise _problem(result, one, target)


def _send_to_identity(target: Identity, signal: int, value: int | None) -> None:
    try:
        pidfd = target.pidfd()
    except ProcessGoneError:
        raise error(ESRCH, f"send {name(signal)} to {target}") from None
    except UnsupportedError:  # then it can end between these two steps
        if not target._matches(status_of(target.pid)):
            raise error(ESRCH, f"send {name(signal)} to {target}") from None
        result = _send(target.pid, signal, value)
    else:
        with pidfd:
            result = _send(pidfd, signal, value)
    if result < 0:
        raise _problem(result, signal, target)


def _send(target: int | Pidfd, signal: int, value: int | None) -> int:
    if isinstance(target, Pidfd):
        target.fileno()  # or ClosedError
        if value is None:
            return ops.now_pidfd_send(target, signal)
        return ops.now_pidfd_queue(target, signal, value)
    pid = checked(target)
    return ops.now_signal_send(pid, signal) if value is None else ops.now_signal_queue(pid, signal, value)


def _problem(result: int, signal: int, target: Target) -> IPCError:
    what = f"process {target}" if isinstance(target, int) else f"{target}"
    doing = f"send {name(signal)} to {what}"
    if result == -EAGAIN:
        return limit_error(EAGAIN, doing, "RLIMIT_SIGPENDING", _most_pending(), None)
    return error(-result, doing)


def _most_pending() -> int:
    from resource import getrlimit

    return getrlimit(RLIMIT_SIGPENDING)[0]


def send_group(signal: SignalName, group: int | None = None, *, ourselves: bool = True) -> None:
    """Send a signal to all processes of a group.

    Args:
        signal: "HUP", 1, ...
        group: The group's number; None for our own.
        ourselves: Whether this process shall get it, if it is in the group. Without, it is sent to one
            after the other, until there is none that has not got it: one that another forks meanwhile gets it
            too. Nothing is blocked or ignored, so what others send us at that moment is not lost.

    Raises:
        ProcessGoneError: There is no such group.
        AccessError: Each of them is somebody else's.
        UnsupportedError: Without ourselves, where our group is of another pid namespace (pid_namespaces(7)).
    """
    one = number(signal)
    ours = getpgrp()
    wanted = ours if group is None else checked(group)
    if wanted == ours and not ourselves:
        if ours == 0:
            doing = f"send {name(one)} to our group but ourselves: it is of another pid namespace"
            raise error(ENOTSUP, f"{doing}, as others may be, and has no number here")
        _send_to_others(one, ours)
        return
    if wanted == 1 != ours:
        raise ValueError("group 1 cannot be named from outside: kill(2) takes it for everybody")
    result = ops.now_signal_send(0 if wanted == ours else -wanted, one)
    if result < 0:
        raise error(-result, f"send {name(one)} to group {wanted}")


def _send_to_others(signal: int, group: int) -> None:
    got: set[Identity] = set()
    reached, refused = False, None
    for _ in range(_MOST_ROUNDS):
        new = _members(group) - got
        if not new:
            if refused is not None and not reached:
                raise refused
            return
        for member in new:
            got.add(member)
            try:
                send(member, signal)
                reached = True
            except ProcessGoneError:
                pass  # it has ended meanwhile
            except AccessError as problem:
                refused = problem
    raise IPCError(EAGAIN, f"group {group} has new members faster than {name(signal)} can be sent to them")


def _members(group: int) -> set[Identity]:
    """All but ourselves."""
    found = set()
    for pid in numbers_in("/proc", f"find the members of group {group}"):
        status = None if pid == getpid() else status_of(pid)
        if status is not None and status.group == group and not status.ended:
            found.add(Identity(pid, status.started))
    return found


def alive(target: Target) -> Life:
    """Whether a process runs: `Life.ALIVE`, `NOT_MINE` (it does, for others) or `GONE`, which is false.

    One that has ended is gone, also while its parent has not reaped it.

    Args:
        target: A `Pidfd` or an `Identity`: the answer is about that process. A pid: about whoever has it
            now.
    """
    if isinstance(target, Pidfd):
        return _life_of(target)
    pid = target.pid if isinstance(target, Identity) else checked(target)
    exists = ops.now_signal_send(pid, _EXISTS)
    if exists not in (0, -EPERM, -ESRCH):
        raise error(-exists, f"ask for process {pid}")
    if exists == -ESRCH:
        return Life.GONE
    status = status_of(pid)
    if _has_ended(status, pid, exists) or (isinstance(target, Identity) and not target._matches(status)):
        return Life.GONE
    return Life.NOT_MINE if exists == -EPERM else Life.ALIVE


def _has_ended(status: Status | None, pid: int, exists: int) -> bool:
    if status is not None:
        return status.ended
    # It was reaped just now; or it is hidden from us (hidepid of proc(5)), which only others' are.
    return exists == 0 or ops.now_signal_send(pid, _EXISTS) == -ESRCH


def _life_of(pidfd: Pidfd) -> Life:
    if ops.fd_wait(pidfd.fileno(), ops.READABLE, 0) == 0:
        return Life.GONE
    exists = ops.now_pidfd_send(pidfd, _EXISTS)
    if exists == -ESRCH:
        return Life.GONE
    if exists not in (0, -EPERM):
        raise pidfd._error(exists, "ask for")
    return Life.NOT_MINE if exists == -EPERM else Life.ALIVE
