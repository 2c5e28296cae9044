"""What all servers have in common: they serve once, in one thread, until told to stop (signal(7))."""

from __future__ import annotations

import os
from _signal import set_wakeup_fd
from _thread import allocate_lock, get_ident, get_native_id
from errno import EBADF

from ..errors import ClosedError
from ..signals import handling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    from ._loop import Bell

    Handlers = dict[int, Callable[[int, Any], object]]
    Self = TypeVar("Self", bound="Serving")


class Serving:
    """Serves once; its bell wakes it, and is gone once it is closed."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._stops = 0
        self._served = self._closes = False
        self._serves_in: int | None = None  # which thread
        self._serving = allocate_lock()
        self._bell: Bell | None = None

    def _serve_once(self, handlers: Callable[[], Handlers], serve: Callable[[Bell], None]) -> None:
        """Call *serve*; in the main thread, with those handlers of signals.

        Raises:
            ClosedError: It was closed, or has served before.
        """
        if self._served or self._bell is None:
            raise ClosedError(EBADF, "the server has served, or was closed")
        self._served = True
        self._pid = os.getpid()  # it may have become a daemon since it was made
        bell = self._bell
        self._serving.acquire()
        try:
            self._serves_in = get_ident()
            _heeding_signals(bell, handlers, lambda: serve(bell))
        finally:
            self._serves_in = None
            self._serving.release()
            if self._closes:
                self.close()

    def stop(self) -> None:
        """Serve no more."""
        raise NotImplementedError  # each kind has its own

    def close(self) -> None:
        """Close the sockets, and remove their paths; `serve()` in another thread ends at once, before that.

        Called where it serves, in a handler say, it is closed when `serve()` ends, which is at once, too.
        """
        if self._serves_in is not None and os.getpid() == self._pid:
            self.stop()
            self.stop()
            if self._serves_in == get_ident():
                self._closes = True
                return
            with self._serving:  # it has come back
                pass
        try:
            self._close_sockets()
        finally:
            if self._bell is not None:
                self._bell.close()
                self._bell = None

    def _close_sockets(self) -> None:
        raise NotImplementedError  # each kind has its own

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _heeding_signals(bell: Bell, handlers: Callable[[], Handlers], serve: Callable[[], None]) -> None:
    """Call *serve*; in the main thread, with those handlers of signals, and every signal rings the bell.

    In other threads it is only called: Python handles signals in the main one.
    """
    # Not by `threading`: to import that costs each fork a third more, in what it does in the child.
    if get_native_id() != os.getpid():
        serve()
        return
    with handling(handlers()):
        before = bell.ring_at_signals()
        try:
            serve()
        finally:
            set_wakeup_fd(before)
