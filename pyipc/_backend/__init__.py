"""Which implementation does the kernel calls; chosen once, at first use.

`PYIPC_BACKEND=native` or `=fallback` forces one; then a backend that cannot load is an error,
never a quiet change to the other. Without it the compiled core serves, or else the fallback.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .protocol import Backend

NAMES = ("native", "fallback")


def load(name: str) -> Backend:
    """The backend of this name.

    Raises:
        ImportError: It cannot be loaded; the message says why.
    """
    if name == "native":
        from . import native

        return native
    if name == "fallback":
        from . import fallback

        return fallback
    raise ImportError(f"PYIPC_BACKEND must be one of {', '.join(NAMES)}, not {name!r}")


def _choose() -> Backend:
    forced = os.environ.get("PYIPC_BACKEND")
    if forced:
        try:
            return load(forced)
        except ImportError as problem:
            raise ImportError(f"PYIPC_BACKEND={forced} cannot be had: {problem}") from problem
    try:
        return load("native")
    except ImportError as problem:
        try:
            return load("fallback")
        except ImportError as second:
            raise ImportError(
                f"pyipc has no backend: the compiled core does not load ({problem}), and neither "
                f"does the fallback ({second}); `pip install pyipc-linux[fallback]` brings the latter"
            ) from problem


ops = _choose()
