"""Children, and how each of them ended (waitid(2)).

`waitpid(-1)`, as perlipc's REAPER has it, takes the children of every library in the process. A `Reaper`
asks for those alone that it was given, each by a pidfd, all of them at once by epoll(7). Those for which
there is no descriptor it asks for one by one.
"""

from __future__ import annotations

from _thread import RLock
from errno import EAGAIN, EBADF, ECHILD, EINVAL, ENOENT, ENOMEM, ENOSPC, ETIMEDOUT
from os import getpid
from select import EPOLLIN, epoll
from time import monotonic_ns

from .. import _deadline
from .._backend import ops
from .._exit import Exit
from .._pidfd import Pidfd
from .._waiters import Waited
from ..errors import LimitError, StatusLostError, UnsupportedError, error, most_open
from .identity import checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Optional, TypeVar

    Self = TypeVar("Self", bound="Reaper")

_FIRST_NAP_NS = 100_000
_LONGEST_NAP_NS = 10_000_000
_NET_NS = 10**9

# Of the descriptors that this process may have, so many of eight are for pidfds; the rest is for the program.
_SHARE = 7


class Reaper(Waited):
    """It reaps the children that it is given, and no others: `for exit in reaper:` until there are none.

    It is readable, for select(2) and the like, while one has ended; of children beyond RLIMIT_NOFILE only
    `wait()` and `pyipc.wait` know, who look again and again: every 10 ms, every second.

    A child that is added must not be waited for elsewhere; `subprocess.Popen` waits for its own. `close()`
    leaves those that are left to whoever made them.

    Raises:
        LimitError: RLIMIT_NOFILE.
    """

    __slots__ = (
        *("_children", "_epoll", "_found", "_lock", "_numbers", "_pid", "_reaped", "_unwatched", "_waiting"),
    )

    def __init__(self) -> None:
        self._waiting = []
        self._children: dict[int, Optional[Pidfd]] = {}
        self._numbers: dict[int, int] = {}  # of a pidfd: its child's pid
        self._unwatched: dict[int, None] = {}  # in the order in which they came
        self._found: dict[int, Exit] = {}  # how they ended; the kernel may have forgotten them
        self._reaped: set[int] = set()  # of these, those whom it has
        self._lock = RLock()
        self._pid = getpid()
        try:
            self._epoll = epoll()
        except OSError as problem:
            raise error(problem.errno or EBADF, "make a reaper") from problem

    # ---- children ----

    def add(self, child: int | Pidfd) -> int:
        """Let it be reaped here.

        Args:
            child: Its pid, which nobody else can have as long as it is not reaped; or a `Pidfd`, which stays
                the caller's.

        Returns:
            Its pid.

        Raises:
            IPCError: ECHILD: it is no child of this process, or somebody has reaped it.
            ValueError: It was added before.
        """
        self._usable()
        pid = child.pid if isinstance(child, Pidfd) else checked(child)
        doing = f"reap process {pid}"
        if pid <= 0:  # of a pidfd: it was reaped, or is not of our pid namespace
            raise error(ECHILD, doing)
        answer = ops.now_child_status(pid, False)
        if isinstance(answer, int) and answer != -EAGAIN:
            raise error(-answer, doing)
        with self._lock:
            if pid in self._children:
                raise ValueError(f"process {pid} was added before")
            self._reaped.discard(pid)  # another's, who had this pid
            self._unwatched[pid] = None  # until there is a descriptor
            self._children[pid] = None
            self._watch(pid)
        return pid

    def _watch(self, pid: int) -> None:
        """Have a pidfd of it, if there may be one more."""
        try:
            pidfd = Pidfd.open(pid)
        except (LimitError, UnsupportedError):
            return
        most = most_open() * _SHARE // 8
        # EINVAL: a kernel before 5.4, which waits for no pidfd.
        if 0 < most <= pidfd.fileno() or ops.now_pidfd_status(pidfd, False) == -EINVAL:
            pidfd.close()
            return
        self._children[pid] = pidfd
        self._numbers[pidfd.fileno()] = pid
        try:
            self._epoll.register(pidfd.fileno(), EPOLLIN)
        except OSError as problem:
            self._forget_descriptor(pid)
            if problem.errno not in (ENOSPC, ENOMEM):  # max_user_watches of epoll(7)
                raise
            return
        self._unwatched.pop(pid, None)

    def __len__(self) -> int:
        return len({*list(self._children), *list(self._found)})  # lists: another thread may change them

    def _has_any(self) -> bool:
        return bool(self._children or self._found)

    def __contains__(self, pid: object) -> bool:
        return pid in self._children or pid in self._found

    # ---- waiting ----

    def wait(self, timeout: float | None = None) -> Exit:
        """Wait until one of them has ended, and reap it: how.

        Raises:
            IPCError: ECHILD: there are none.
            WouldBlockError: With `timeout=0`: none has ended.
            TimedOutError: None ended in time.
            StatusLostError: One has ended, and somebody else has reaped it. The next call is about the
                others.
        """
        deadline = _deadline.by(timeout)
        self._usable()
        ended = self._take()
        if ended is None:
            if not self._has_any():
                raise error(ECHILD, f"wait for a child of {self}")
            answer = (
                -EAGAIN if timeout == 0 else self._wait_until(self._once, deadline, "wait for a child of")
            )
            if isinstance(answer, int):
                raise error(-answer, f"wait for a child of {self}")
            ended = answer
        return ended

    def _once(self, deadline: int) -> int | Exit:
        nap, pause = _FIRST_NAP_NS, 0.0
        while self._has_any():
            # Also without them now and then: another thread may have had the last.
            look_at = monotonic_ns() + (nap if self._unwatched else _NET_NS)
            until = min(deadline, look_at)
            result = ops.fd_wait(self.fileno(), ops.READABLE, until)
            if result not in (0, -ETIMEDOUT):
                return result
            ended = self._take()
            if ended is not None:
                return ended
            if monotonic_ns() >= deadline:
                return -ETIMEDOUT
            nap = min(2 * nap, _LONGEST_NAP_NS)
            if (
                result == 0
            ):  # it has ended, but who traces it is told first (ptrace(2)); or a thread was faster
                pause = _deadline.nap(pause, deadline)
        return -ECHILD

    def __iter__(self: Self) -> Self:
        return self

    def __next__(self) -> Exit:
        while self._has_any():
            try:
                return self.wait()
            except StatusLostError:
                raise
            except OSError as problem:
                if problem.errno != ECHILD:  # another thread had the last
                    raise
        raise StopIteration

    def _is_ready(self) -> bool:
        """For pyipc.wait."""
        self._usable()
        if not self._has_any() or self._found or self._epoll.poll(0, 1):
            return True
        return any(ops.now_child_status(pid, False) != -EAGAIN for pid in list(self._unwatched))

    # ---- one that has ended ----

    def _take(self) -> Exit | None:
        with self._lock:
            for pid in list(self._found):
                return self._collect(pid)  # a handler came between, the last time
            for number, _ in self._epoll.poll(0, 1):
                pid = self._numbers.get(number, 0)  # none if a handler came between
                return self._collect(pid) if pid else None
            for pid in list(self._unwatched):
                if ops.now_child_status(pid, False) != -EAGAIN:
                    return self._collect(pid)
        return None

    def _collect(self, pid: int) -> Exit | None:
        """Reap it; None if it runs, or if a handler that came between has done it.

        First it is looked at: what waitid(2) says only once, a handler that raises could lose.
        """
        if pid not in self._found:
            answer = self._status(pid, reap=False)
            if answer == -EAGAIN or pid not in self:
                return None
            if answer == -ECHILD:
                self._forget(pid)
                lost = StatusLostError(ECHILD, f"Somebody else has reaped process {pid}")
                lost.pid = pid
                raise lost
            if isinstance(answer, int):
                raise error(-answer, f"reap process {pid}")
            # One step of the interpreter: not of one whom a handler, that came between, has told of already.
            any(map(self._found.__setitem__, filter(self._children.__contains__, (pid,)), (Exit(*answer),)))
            if pid not in self._found:
                return None
        if pid not in self._reaped:
            self._status(pid, reap=True)
            self._reaped.add(pid)
        self._forget(pid)
        ended = self._found.pop(pid, None)
        self._reaped.discard(pid)
        return ended

    def _status(self, pid: int, *, reap: bool) -> int | tuple[int, int, int, bool]:
        pidfd = self._children.get(pid)
        answer: int | tuple[int, int, int, bool]
        answer = ops.now_child_status(pid, reap) if pidfd is None else ops.now_pidfd_status(pidfd, reap)
        return answer

    def _forget(self, pid: int) -> None:
        self._unwatched[pid] = None  # so that it is looked at again, should a handler come between
        self._forget_descriptor(pid)
        self._children.pop(pid, None)
        self._unwatched.pop(pid, None)
        for waiting in self._unwatched:
            self._watch(waiting)
            break

    def _forget_descriptor(self, pid: int) -> None:
        pidfd = self._children.get(pid)
        if pidfd is None:
            return
        number = pidfd._number
        try:
            self._epoll.unregister(pidfd)  # a forked child may have it open, too
        except OSError as problem:
            # It was not yet, or is not any more; or a handler that came between has closed it.
            if problem.errno not in (ENOENT, EBADF):
                raise
        if self._numbers.get(number) == pid:
            self._numbers.pop(number, None)
        pidfd.close()
        if pid in self._children:
            self._children[pid] = None

    # ---- the descriptor ----

    def _usable(self) -> None:
        if self._epoll.closed:
            raise error(EBADF, "use a reaper")
        if self._pid != getpid():
            raise error(ECHILD, f"use the reaper of process {self._pid}: its children are not ours")

    def fileno(self) -> int:
        """The number of its descriptor, which stays the reaper's to close.

        Raises:
            ClosedError: It is closed.
        """
        if self._epoll.closed:
            raise error(EBADF, "use a reaper")
        return self._epoll.fileno()

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._epoll.closed

    def close(self) -> None:
        """Close its descriptors; threads of this process that wait on it get `ClosedError`."""
        if self._pid != getpid():  # a thread that was not forked with us may have the lock
            self._lock = RLock()
        with self._lock:
            self._epoll.close()
            for pidfd in list(self._children.values()):
                if pidfd is not None:
                    pidfd.close()
            self._children.clear()
            self._unwatched.clear()
            self._numbers.clear()
        self._wake_waiters()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<reaper closed>" if self._epoll.closed else f"<reaper of {len(self)} children>"
