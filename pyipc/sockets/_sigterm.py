"""What signals do to a server while it serves (signal(7))."""

from __future__ import annotations

import os
from _signal import set_wakeup_fd
from _thread import get_native_id

from ..signals import handling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._loop import Bell

    Handlers = dict[int, Callable[[int, Any], object]]


def heeding_signals(bell: Bell, handlers: Callable[[], Handlers], serve: Callable[[], None]) -> None:
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
