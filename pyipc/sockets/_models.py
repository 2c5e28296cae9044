"""Which model serves; each is imported only where it does."""

from __future__ import annotations

from .._linux import processors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._model import Job, Model

_SERVED_AT_ONCE = 64


def choose(name: str, handler: Any, concurrency: int | None) -> tuple[Callable[[Job], Model], int]:
    """What makes it, and how many it serves at once."""
    if concurrency is not None and (not isinstance(concurrency, int) or concurrency < 1):
        raise ValueError(f"concurrency is at least 1, not {concurrency!r}")
    if hasattr(handler, "commands"):
        from ._children import Programs

        if len(handler.commands) != 1:
            raise ValueError("a connection is for one program, not for a pipeline")
        return Programs, concurrency or _SERVED_AT_ONCE
    if not callable(handler):
        raise TypeError(f"a function or a Command serves, not {handler!r}")
    if name == "serial":
        from ._inside import Serial

        return Serial, 1
    if name == "thread":
        from ._inside import Threads

        return Threads, concurrency or _SERVED_AT_ONCE
    if name == "fork":
        from ._children import Forks

        return Forks, concurrency or _SERVED_AT_ONCE
    if name == "prefork":
        from ._prefork import Prefork

        return Prefork, concurrency or processors()
    if name == "dispatch":
        from ._dispatch import Dispatch

        return Dispatch, concurrency or processors()
    raise ValueError(f'model is "serial", "thread", "fork", "prefork" or "dispatch", not {name!r}')
