"""A limit on the time of a block of code, whatever it waits in (setitimer(2)).

One timer and one handler serve all deadlines that are under way, and what the program had there before. What
must not happen, and why it does not:

- *An alarm that comes as the kernel is entered ends no wait.* So the timer goes on, every `_AGAIN` seconds,
  until the block is left.
- *What the handler raises may be swallowed*, by a destructor or a bare `except`. The next alarm finds that
  nobody handles it any more, and raises again; while somebody does, cleaning up takes as long as it takes.
- *An alarm that always comes in our own code*, when short blocks follow one another in a long one: each sets
  the timer anew. So who enters a block looks for what is due.
- *An alarm that comes too late.* The handler raises only for a deadline that is on the list, and never in a
  function of ours: those that change the list or the timer (`UNDISTURBED`) leave both right when they end.
- *An outer block's expiry, taken for the inner's.* What is raised is a `BaseException` that names its
  deadline; the `__exit__` of that one makes a TimedOutError of it.
- *An instruction from which no exception gets to `__exit__`.* CPython has some in a `with` block: the jump at
  the end of a loop, in 3.13; the first step out of the block, in 3.9; the step from an exception to
  `__exit__`, in 3.9 and 3.10. The handler waits for another one; if there is none, in `while True: pass`, it
  does what `__exit__` would.
"""

from __future__ import annotations

import _signal
import sys
from errno import EBUSY, ENOTSUP, ETIMEDOUT
from os import getpid
from time import monotonic_ns

from .. import _deadline
from .._backend import ops
from ..errors import check, error
from .scopes import UNDISTURBED, Scope, disposition, set_handler, undisturbed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType
    from typing import Any

_AGAIN = 0.02
_WHILE_HANDLED = 0.5
_AT_ONCE = 1e-6
_DEEPEST = 8  # of what functions of ours call
_SOON = 0.0005
_MOST_WAITS = 20
_POP_BLOCK = 87  # the instruction, in Python 3.9
_ALARM: int = _signal.SIGALRM

_running: list[deadline] = []  # outermost first
_before: list[_Before] = []  # none, or one


class Expired(BaseException):
    """How a deadline leaves its block. It becomes a TimedOutError there, so nobody needs to catch it."""

    def __init__(self, deadline: deadline) -> None:
        super().__init__(f"{deadline} is over")
        self.deadline = deadline


class deadline(Scope):  # noqa: N801  # it reads as a noun: `with deadline(10):`
    """Let this block take so many seconds, and no more: `with deadline(10): fcntl.flock(...)`.

    When they are over, the block ends with TimedOutError, also in the middle of a call that waits in the
    kernel. It ends as if an exception were raised there: `finally` and `__exit__` run, and take the time
    that they need; `except Exception` does not catch it. What the block itself raises is not replaced.
    Blocks may be nested, whichever is the shorter. A handler of SIGALRM and a timer that were there before
    are there again afterwards, with the time that is left; if that is over sooner, the handler is called in
    this block.

    It works by SIGALRM (setitimer(2)). A call that tries again by itself after a signal cannot be ended: some
    libraries do. The block must not change the timer, the handler or the mask of SIGALRM; nor hand over to
    code outside it by `await`, or by a `yield` to a loop, which would get the exception. (That of a
    `contextlib.contextmanager` is fine.)

    Args:
        seconds: More than 0; None for no limit.

    Raises:
        TimedOutError: At the end of the block: it took longer.
        UnsupportedError: Not in the main thread: Python runs no handlers elsewhere. Or not on this
            backend; see `pyipc.capabilities()`.
        InUseError: This thread blocks SIGALRM.
    """

    __slots__ = ("_end", "_frame", "_raised", "_seconds", "_waits")

    def __init__(self, seconds: float | None) -> None:
        _deadline.valid(seconds)
        if seconds == 0:
            raise ValueError("a deadline is more than 0 seconds away")
        super().__init__()
        self._seconds = seconds
        self._end = 0
        self._raised = False
        self._frame = 0  # the id of the frame that the block is in
        self._waits = 0  # for an instruction

    @undisturbed
    def _enter(self) -> None:
        _refuse_other_threads()  # before anything changes: the list and the timer are the main thread's
        frame = sys._getframe(2)
        self._frame = id(frame)
        if _running:
            _look(frame)
        else:
            _take_over()
        self._end = _deadline.after(self._seconds)
        _running.append(self)
        _set_timer()

    @undisturbed
    def _leave(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._frame:
            self._end_it()
        self._left = True
        if isinstance(value, Expired) and value.deadline is self:
            raise error(ETIMEDOUT, f"{self}") from value
        if value is None and self._raised:  # somebody has swallowed it
            raise error(ETIMEDOUT, f"{self}")

    @undisturbed
    def _end_it(self) -> None:
        if self in _running:
            _running.remove(self)
        if _running:
            _set_timer()
        else:
            _give_back()

    def __repr__(self) -> str:
        return f"<deadline after {self._seconds} s>"

    __str__ = __repr__


class _Before:
    """The program's own timer, and what it does at SIGALRM."""

    __slots__ = ("due", "every", "pid", "what")

    @undisturbed
    def __init__(self) -> None:
        self.what = disposition(_ALARM)
        left, self.every = _signal.getitimer(_signal.ITIMER_REAL)
        self.due = _deadline.after(left) if left else _deadline.FOREVER
        self.pid = getpid()

    @undisturbed
    def stop(self) -> None:
        """Stop the timer: what it had left then is what counts."""
        left, _ = _signal.setitimer(_signal.ITIMER_REAL, 0)
        self.due = _deadline.after(left) if left else _deadline.FOREVER

    def ring(self, frame: FrameType | None) -> None:
        """What it would do now."""
        self.due = self.due + int(self.every * 1e9) if self.every else _deadline.FOREVER
        if callable(self.what.function):
            self.what.function(_ALARM, frame)
            return
        # The kernel's default, or a handler of C.
        check(ops.now_signal_set(_ALARM, self.what.kernel), "let SIGALRM do what it did")
        try:
            ops.now_signal_send(getpid(), _ALARM)
        finally:
            set_handler(_ALARM, _on_alarm)

    @undisturbed
    def restore(self) -> None:
        """Have it again."""
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        self.what.restore()
        if self.due < _deadline.FOREVER and self.pid == getpid():  # a forked child has no timers
            _signal.setitimer(_signal.ITIMER_REAL, max(_deadline.left(self.due), _AT_ONCE), self.every)


@undisturbed
def _refuse_other_threads() -> None:
    # signal.signal alone knows which thread is the main one; in that, the kernel refuses.
    try:
        _signal.signal(_signal.SIGKILL, _signal.SIG_DFL)
    except (ValueError, OSError) as problem:
        if getattr(problem.__traceback__, "tb_next", None) is not None:
            raise  # a signal handler's
        if isinstance(problem, ValueError):
            doing = "set a deadline here: Python runs handlers in its main thread alone"
            raise error(ENOTSUP, doing) from None


@undisturbed
def _take_over() -> None:
    if check(ops.now_signal_mask(ops.BLOCK, 0), "look at the mask") >> (_ALARM - 1) & 1:
        raise error(EBUSY, "set a deadline: this thread blocks SIGALRM")
    _give_back()  # what an exception in our own code may have left
    _before.append(_Before())
    _before[0].stop()
    set_handler(_ALARM, _on_alarm)


@undisturbed
def _give_back() -> None:
    if _before:
        _before[0].restore()
        _before.clear()


@undisturbed
def _set_timer() -> None:
    nearest = _before[0].due if _before else _deadline.FOREVER
    for one in _running:
        nearest = min(nearest, one._end)
    if nearest >= _deadline.FOREVER:
        _signal.setitimer(_signal.ITIMER_REAL, 0)
    else:
        _signal.setitimer(_signal.ITIMER_REAL, max(_deadline.left(nearest), _AT_ONCE), _AGAIN)


def _on_alarm(number: int, frame: FrameType | None) -> None:
    if _is_ours(frame):
        return  # it sets the timer before it ends, or the next alarm comes soon
    _look(frame)


@undisturbed
def _look(frame: FrameType | None) -> None:
    """Do what is due; *frame* is what the program is at."""
    now = monotonic_ns()
    if _before and now >= _before[0].due:
        _before[0].ring(frame)
    for one in _running:
        if now >= one._end:
            if one._raised and _is_handled(one):
                _signal.setitimer(_signal.ITIMER_REAL, _WHILE_HANDLED, _WHILE_HANDLED)
                return
            inside = [other for other in _running if frame is not None and other._frame == id(frame)]
            if inside and _is_exposed(frame):
                one._waits += 1
                if one._waits < _MOST_WAITS:
                    _signal.setitimer(_signal.ITIMER_REAL, _SOON, _AGAIN)
                    return
                for other in inside:
                    other._end_it()
                if one in inside:
                    raise error(ETIMEDOUT, f"{one}")
            one._raised = True
            raise Expired(one)
    if _running:
        _set_timer()


def _is_ours(frame: FrameType | None) -> bool:
    """Whether a function of ours is interrupted, or what it has called."""
    for _ in range(_DEEPEST):
        if frame is None:
            break
        if frame.f_code in UNDISTURBED:
            return True
        frame = frame.f_back
    return False


def _is_exposed(frame: Any) -> bool:
    """Whether what is raised here passes by the frame's own `with` and `try`."""
    code, at = frame.f_code, frame.f_lasti
    if sys.version_info < (3, 11):
        trace = sys.exc_info()[2]
        caught_just_now = trace is not None and trace.tb_frame is frame and trace.tb_lasti == at
        return caught_just_now or (sys.version_info < (3, 10) and code.co_code[at] == _POP_BLOCK)
    table = getattr(code, "co_exceptiontable", b"")  # PyPy has none
    numbers = _numbers_in(table)
    for start, length, _, _ in zip(numbers, numbers, numbers, numbers):
        if start <= at // 2 < start + length:
            return False
    return bool(table)


def _numbers_in(table: bytes) -> Iterator[int]:
    """Of six bits each byte, the highest first; the next bit says that there are more."""
    number = 0
    for byte in table:
        number = number << 6 | byte & 63
        if not byte & 64:
            yield number
            number = 0


def _is_handled(one: deadline) -> bool:
    """Whether somebody is at what was raised for it: in an `except`, a `finally`, an `__exit__`."""
    problem = sys.exc_info()[1]
    seen = 0
    while problem is not None and seen < 1000:  # a chain of them may be a ring
        if isinstance(problem, Expired) and problem.deadline is one:
            return True
        problem, seen = problem.__context__ or problem.__cause__, seen + 1
    return False


UNDISTURBED.add(_on_alarm.__code__)
