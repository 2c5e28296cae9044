"""What happens at a signal, and who blocks it, for as long as a `with` block lasts.

CPython runs handlers between two steps of its own loop, and they may raise there. So what a scope changes is
noted before it is changed, to undo it is safe to repeat, and `__exit__` is in C where it can be
(csrc/python_scopes.c). The alarm of a `deadline` is ours, so it looks where it is: in a function of
`UNDISTURBED` it waits.
"""

from __future__ import annotations

import _signal
from _thread import get_ident
from errno import EINVAL, ENOTSUP, EPERM

from .._backend import ops
from ..errors import check, error
from .names import catchable, name, set_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, FrameType, TracebackType
    from typing import Any, Optional, TypeVar

    from .._backend.protocol import Disposition as Fields
    from .names import SignalName

    Handler = Callable[[int, Optional[FrameType]], Any]
    Function = TypeVar("Function", bound=Callable[..., Any])
    Self = TypeVar("Self", bound="Scope")

UNDISTURBED: set[CodeType] = set()


def undisturbed(function: Function) -> Function:
    """A decorator: no deadline ends this function, or what it calls."""
    UNDISTURBED.add(function.__code__)
    return function


@ops.sure_exit
class Scope:
    """A `with` block that changes something, and changes it back: `_enter`, then `_leave`.

    `_leave` may be called again until it sets `_left`.
    """

    __slots__ = ("_entered", "_left")

    def __init__(self) -> None:
        self._entered = self._left = False

    def _enter(self) -> None:
        raise NotImplementedError  # each kind has its own

    def _leave(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError  # each kind has its own

    @undisturbed
    def __enter__(self: Self) -> Self:
        if self._entered:
            raise ValueError(f"a {type(self).__name__} is for one block")
        self._entered = True
        try:
            self._enter()
        except BaseException:  # a signal handler's too
            self.__exit__(None, None, None)
            raise
        return self

    @undisturbed
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._leave(kind, value, trace)
        except BaseException:  # a signal handler's too
            if not self._left:
                self._leave(kind, value, trace)
            raise


class Disposition:
    """What happened at a signal: Python's part of it, and the kernel's."""

    __slots__ = ("function", "kernel", "number")

    @undisturbed
    def __init__(self, number: int, kernel: Fields) -> None:
        self.number = number
        self.function = _signal.getsignal(number)
        self.kernel = kernel

    @undisturbed
    def restore(self) -> None:
        """Let that happen again; the kernel's part to the bit."""
        try:
            # Not where the handler is one of C, which Python does not know of: for a moment it would be
            # the default, which may end the process. Then Python's table stays as it is.
            if _signal.getsignal(self.number) is not self.function and self._is_python_s():
                _signal.signal(self.number, self.function)
        finally:
            check(ops.now_signal_set(self.number, self.kernel), "restore what happens at a signal")

    @undisturbed
    def _is_python_s(self) -> bool:
        return callable(self.function) or self.function == self.kernel[0]


@undisturbed
def disposition(number: int) -> Disposition:
    """What happens at this signal just now."""
    kernel = ops.now_signal_get(number)
    if isinstance(kernel, int):
        raise error(-kernel, f"learn what happens at {name(number)}")
    return Disposition(number, kernel)


class _Dispositions(Scope):
    __slots__ = ("_before", "_numbers")

    def __init__(self, numbers: list[int]) -> None:
        super().__init__()
        self._numbers = numbers
        self._before: list[Disposition] = []

    def _change(self, number: int) -> None:
        raise NotImplementedError  # each kind has its own

    @undisturbed
    def _enter(self) -> None:
        for number in self._numbers:
            self._before.append(disposition(number))
            self._change(number)

    @undisturbed
    def _leave(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for before in reversed(self._before):
            before.restore()
        self._left = True


class handling(_Dispositions):  # noqa: N801  # it reads as a verb: `with handling(...)`
    """Let a function handle a signal in this block: `with handling("INT", stop):`.

    It is called as those of `signal.signal` are, with the signal's number and the frame; `name()` has the
    name. It may raise. What happened at the signal before comes back at the end of the block, also if that
    was a handler of C; only `signal.getsignal` may go on to show ours then.

    Args:
        what: A signal; or a dict of signals and functions.
        function: For that one signal.

    Raises:
        ValueError: There is no such signal, or it is SIGKILL or SIGSTOP.
        UnsupportedError: Not in the main thread: Python runs no handlers elsewhere. Or not on this
            backend; see `pyipc.capabilities()`.
    """

    __slots__ = ("_handlers",)

    def __init__(self, what: SignalName | Mapping[Any, Handler], function: Handler | None = None) -> None:
        given = {what: function} if isinstance(what, (int, str)) else dict(what)
        for one in given.values():
            if not callable(one):
                raise TypeError(f"a function, not {one!r}; see ignoring() and default()")
        self._handlers = {catchable((signal,))[0]: one for signal, one in given.items()}
        super().__init__(catchable(tuple(given)))

    @undisturbed
    def _change(self, number: int) -> None:
        set_handler(number, self._handlers[number])


class _KernelAlone(_Dispositions):
    """Python's part stays as it is: so any thread may do it, in one step."""

    __slots__ = ()
    _kernel: Fields

    def __init__(self, *signals: SignalName) -> None:
        super().__init__(catchable(signals))

    @undisturbed
    def _change(self, number: int) -> None:
        check(ops.now_signal_set(number, self._kernel), f"change what happens at {name(number)}")


class ignoring(_KernelAlone):  # noqa: N801  # as above
    """Ignore these signals in this block, in all threads: `with ignoring("INT", "HUP"):`.

    What comes meanwhile is discarded, and so is what waits to be taken; to have it later, use `blocking`.
    Programs that are started in the block ignore them, too. `signal.getsignal` shows what comes back.

    Raises:
        ValueError: There is no such signal, or it is SIGKILL or SIGSTOP.
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
    """

    __slots__ = ()
    _kernel = (1, 0, 0, 0)  # SIG_IGN


class default(_KernelAlone):  # noqa: N801  # as above
    """Let these signals do in this block what they do by default, in all threads (signal(7)).

    `signal.getsignal` shows what comes back.

    Raises:
        ValueError: There is no such signal, or it is SIGKILL or SIGSTOP.
        UnsupportedError: Not on this backend; see `pyipc.capabilities()`.
    """

    __slots__ = ()
    _kernel = (0, 0, 0, 0)  # SIG_DFL


class blocking(Scope):  # noqa: N801  # as above
    """Block these signals in this thread during this block: they wait until its end.

    Of each but those in real time, one waits, however many come. Another thread that does not block it takes
    what is sent to the process.

    Raises:
        ValueError: There is no such signal, or it is SIGKILL or SIGSTOP.
        AccessError: At the end: that is in another thread.
    """

    __slots__ = ("_before", "_numbers", "_thread")

    def __init__(self, *signals: SignalName) -> None:
        self._numbers = catchable(signals)
        self._before = -1
        super().__init__()

    @undisturbed
    def _enter(self) -> None:
        self._thread = get_ident()
        self._before = check(ops.now_signal_mask(ops.BLOCK, 0), "look which signals are blocked")
        check(ops.now_signal_mask(ops.BLOCK, set_of(self._numbers)), "block signals")

    @undisturbed
    def _leave(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before < 0:
            self._left = True
            return
        if get_ident() != self._thread:
            self._left = True
            raise error(EPERM, f"unblock {text_of(self._numbers)}, which another thread blocks")
        ours = set_of(self._numbers)
        check(ops.now_signal_mask(ops.BLOCK, ours & self._before), "block signals again")
        check(ops.now_signal_mask(ops.UNBLOCK, ours & ~self._before), "unblock signals")
        self._left = True


@undisturbed
def set_handler(number: int, function: Any) -> None:
    """signal.signal, with an error of ours where it cannot be."""
    try:
        _signal.signal(number, function)
    except (ValueError, OSError) as problem:
        if problem.__traceback__ is None or problem.__traceback__.tb_next is not None:
            raise  # a signal handler's
        if isinstance(problem, OSError):
            raise error(problem.errno or EINVAL, f"handle {name(number)}") from None
        raise error(ENOTSUP, f"handle {name(number)} here: Python does in its main thread alone") from None
