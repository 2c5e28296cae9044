"""This process becomes another program, which has our listeners (execve(2), sd_listen_fds(3))."""

from __future__ import annotations

import os
from _signal import SIG_DFL, SIGPIPE, SIGXFSZ, signal
from _thread import get_native_id
from errno import ENOENT
from fcntl import fcntl

from .. import _fork
from .._linux import F_DUPFD_CLOEXEC
from ..errors import error
from ._state import arrived, saved
from .activation import FIRST, activated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .._descriptor import HasNumber
    from ..memory import Memory
    from ._state import Save
    from .listening import Listener

_STATE = "state"  # the name of its descriptor
_NOT_TRUE_ANY_MORE = ("LISTEN_PIDFDID",)  # of newer systemd


def find(program: str, env: Mapping[str, str]) -> str:
    """Where that program is.

    Raises:
        NotFoundError: It is not in the PATH.
    """
    from shutil import which

    found = which(program, path=env.get("PATH", os.defpath))
    if found is None:
        raise error(ENOENT, f"become {program!r}")
    return os.path.abspath(found)


def become(
    program: str,
    words: Sequence[str],
    env: Mapping[str, str],
    listeners: Sequence[Listener],
    save: Save | None,
    stopped: Callable[[], bool],
) -> None:
    """Let that program be in our place, with the listeners as its descriptors 3, 4 and so on; then the state.

    Of all others it gets those that are not close-on-exec. Comes back if the server was stopped meanwhile.

    Raises:
        OSError: It cannot be executed; all is as it was.
    """
    given: list[HasNumber] = [*listeners]
    names = [_name_of(listener) for listener in listeners]
    for listener in listeners:
        listener.setblocking(True)  # as systemd's are
    state = saved(save)
    if state is not None:
        given.append(state)
        names.append(_STATE)
    variables = {name: value for name, value in env.items() if name not in _NOT_TRUE_ANY_MORE}
    variables["LISTEN_PID"] = str(os.getpid())
    variables["LISTEN_FDS"] = str(len(given))
    variables["LISTEN_FDNAMES"] = ":".join(names)
    try:
        with _Placed(given), _Signals():
            _fork.flush()
            if not stopped():
                os.execve(program, [*words], variables)
    finally:
        if state is not None:
            state.close()


def _name_of(listener: Listener) -> str:
    """The name that it had when it was given to us in the same way."""
    asked = listener._asked or ""
    return asked[3:] if asked.startswith("fd:") and not asked[3:].isdecimal() and asked[3:] else "listener"


class _Placed:
    """In its block, descriptors are at 3, 4 and so on, to be inherited; then, what was there before.

    Other threads find them there instead of their own, for the moment that it takes.
    """

    def __init__(self, given: Sequence[HasNumber]) -> None:
        self._given = given
        self._targets = range(FIRST, FIRST + len(given))
        self._copies: list[int] = []
        self._before: dict[int, int] = {}  # copies of what was there
        self._inheritable: dict[int, bool] = {}
        self._placed: list[int] = []

    # After each step of the interpreter a signal handler may raise: what a step makes, it writes down.

    def __enter__(self) -> None:
        try:
            for one in self._given:
                any(map(self._copies.append, self._copy(one)))
            for target in filter(_is_open, self._targets):
                self._inheritable[target] = os.get_inheritable(target)
                any(map(self._before.__setitem__, (target,), self._copy(target)))
            for copy, target in zip(self._copies, self._targets):
                any(map(self._placed.append, map(os.dup2, (copy,), (target,))))
        except BaseException:  # a signal handler's too
            self.__exit__()
            raise

    def _copy(self, one: HasNumber) -> Iterable[int]:
        """Makes a copy when it is asked for it, close-on-exec, and past where they are put."""
        return map(fcntl, (one,), (F_DUPFD_CLOEXEC,), (self._targets.stop,))

    def __exit__(self, *exception: object) -> None:
        try:
            self._restore()
        except BaseException:  # a signal handler's: go on where it was
            self._restore()
            raise

    def _restore(self) -> None:
        while self._placed:
            target = self._placed[-1]
            if target in self._before:
                os.dup2(self._before[target], target, self._inheritable[target])
                self._placed.remove(target)
            else:
                any(map(os.close, map(self._placed.pop, (-1,))))
        while self._copies:
            any(map(os.close, map(self._copies.pop, (-1,))))
        for target in list(self._before):
            any(map(os.close, map(self._before.pop, (target,))))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


class _Signals:
    """In its block, the signals that Python ignores do what they do by default, which a program inherits."""

    def __enter__(self) -> None:
        self._before = {}
        if get_native_id() == os.getpid():  # others may not change it
            self._before = {number: signal(number, SIG_DFL) for number in (SIGPIPE, SIGXFSZ)}

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal(number, handler)


def state_by_exec() -> Memory | None:
    """What the program has saved that has become this one; or the service manager has kept (FDSTORE=1)."""
    number = dict(activated()).get(_STATE)
    return None if number is None else arrived(number)
