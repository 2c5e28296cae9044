"""Signals as data: who sent it, and what came along (signalfd(2))."""

from __future__ import annotations

from _thread import get_ident
from errno import EAGAIN, EBUSY, ENOENT, ESRCH, ETIMEDOUT
from time import monotonic_ns

from .. import _deadline
from .._backend import ops
from .._descriptor import WaitedHandle
from ..errors import ClosedError, check, error
from .identity import numbers_in
from .names import catchable, name, set_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeVar

    from .names import SignalName

    Self = TypeVar("Self", bound="SignalQueue")

# si_code of those that bring a value: sigqueue(3), timer_settime(2), mq_notify(3)
_WITH_VALUE = (-1, -2, -3)


class SignalInfo:
    """A signal that has come.

    Attributes:
        signal: Its number.
        pid: Who sent it, by the pid that this process sees: 0 of the kernel, and of who cannot be seen from
            here. Of SIGCHLD, whose end it tells.
        uid: The sender's real uid.
        value: What came along (sigqueue(3)); None if nothing did. The sender says all this itself: trust it
            as you trust whoever may send you signals.
        code: How it was sent: si_code of sigaction(2), 0 by kill(2), -1 by sigqueue(3).
        status: Of SIGCHLD, the child's exit status or signal.
    """

    __slots__ = ("code", "pid", "signal", "status", "uid", "value")

    def __init__(self, signal: int, code: int, pid: int, uid: int, value: int, status: int) -> None:
        self.signal = signal
        self.code = code
        self.pid = pid
        self.uid = uid
        self.value = value if code in _WITH_VALUE else None
        self.status = status

    @property
    def name(self) -> str:
        """Its name."""
        return name(self.signal)

    def __repr__(self) -> str:
        value = "" if self.value is None else f" with {self.value}"
        return f"<{self.name}{value} from process {self.pid} of user {self.uid}>"


class SignalQueue(WaitedHandle):
    """Signals that are read, one after the other, and interrupt nothing: `for signal in SignalQueue("HUP"):`.

    They are blocked from now on, in this thread and those that it starts; so make it before there are
    others. It is readable, for select(2) and the like, while one waits. Of each but those in real time, one
    waits, however many come. What `fork` makes has the queue, too, and reads its own signals there.
    Programs that `subprocess` starts have the signals blocked, too.

    `close()` in the same thread unblocks those that were not blocked before. What waits then happens then:
    its handler runs, or it does what it does by default. Closing in another thread unblocks nothing;
    nor does it if one is dropped without `close()` (ResourceWarning).

    Args:
        signals: Which.

    Raises:
        ValueError: There is no such signal, or it is SIGKILL or SIGSTOP.
        InUseError: Another thread does not block them, and would take them.
        LimitError: RLIMIT_NOFILE.
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
    """

    __slots__ = ("_blocked", "_numbers", "_thread")
    kind = "signal queue"
    _blocked: int
    _thread: int
    _numbers: list[int]

    def __new__(cls: type[Self], *signals: SignalName) -> Self:
        """One that has neither signals nor a descriptor yet."""
        self = super().__new__(cls)
        self._waiting, self._numbers, self._blocked, self._thread = [], [], 0, -1
        return self

    def __init__(self, *signals: SignalName) -> None:
        numbers = catchable(signals)
        if self._numbers:
            raise ValueError(f"{self} has its signals already")
        self._numbers = numbers
        wanted = set_of(numbers)
        self._thread = get_ident()
        try:
            self._blocked = wanted & ~check(
                ops.now_signal_mask(ops.BLOCK, 0), "look which signals are blocked"
            )
            check(ops.now_signal_mask(ops.BLOCK, wanted), "block signals")
            _refuse_others(numbers)
            check(ops.now_signalfd(self, wanted), f"make a queue of {text_of(numbers)}")
        except BaseException:  # a signal handler's too
            self.close()
            raise

    @property
    def signals(self) -> list[int]:
        """The numbers of its signals."""
        return list(self._numbers)

    def get(self, timeout: float | None = None) -> SignalInfo:
        """The next signal; of several that wait, the lowest, and of one in real time, what was sent first.

        Raises:
            WouldBlockError: With `timeout=0`: there is none.
            TimedOutError: None came in time.
        """
        if timeout is not None:
            _deadline.valid(timeout)
        found: Any = ops.now_signalfd_read(self)
        if found == -EAGAIN:
            found = self._wait(self._once, timeout, "wait for a signal of")
        if isinstance(found, int):
            raise self._error(found, "read a signal of")
        return SignalInfo(*found)

    def _once(self, deadline: int) -> Any:
        while True:
            result = ops.fd_wait(self._number, ops.READABLE, deadline)
            if result < 0:
                return result
            found: Any = ops.now_signalfd_read(self)
            if found != -EAGAIN:  # another thread was faster
                return found
            if monotonic_ns() >= deadline:
                return -ETIMEDOUT

    def __iter__(self: Self) -> Self:
        return self

    def __next__(self) -> SignalInfo:
        try:
            return self.get()
        except ClosedError:
            if self.closed:
                raise StopIteration from None
            raise

    def close(self) -> None:
        """Close it, and unblock its signals; what waits happens now, and a handler may raise here."""
        try:
            super().close()
        finally:
            if self._blocked and get_ident() == self._thread:
                ops.now_signal_mask(ops.UNBLOCK, self._blocked)
            self._blocked = 0

    def dup(self) -> NoReturn:
        """Not of this."""
        raise TypeError("a signal queue has one handle: it blocks its signals")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signal queue is of the process that made it")


def _refuse_others(numbers: list[int]) -> None:
    """Raise if there is a thread that does not block these."""
    wanted = set_of(numbers)
    for thread in numbers_in("/proc/self/task", f"look for threads that do not block {text_of(numbers)}"):
        blocked, who = _blocked_by(thread)
        lacking = [bit + 1 for bit in range(64) if (wanted & ~blocked) >> bit & 1]
        if lacking:
            doing = f"make a queue of {text_of(lacking)}: thread {thread} ({who}) does not block it"
            raise error(EBUSY, f"{doing}; make it before there are other threads")


def _blocked_by(thread: int) -> tuple[int, str]:
    blocked, who = -1, "?"
    try:
        with open(f"/proc/self/task/{thread}/status") as lines:
            for line in lines:
                label, _, rest = line.partition(":")
                if label == "Name":
                    who = rest.strip()
                elif label == "SigBlk":
                    blocked = int(rest, 16)
    except OSError as problem:
        if problem.errno in (ENOENT, ESRCH):  # it has ended: it takes nothing
            return -1, who
        if problem.filename is None:  # a signal handler's
            raise
        raise error(problem.errno or ESRCH, f"look what thread {thread} blocks") from problem
    return blocked, who
