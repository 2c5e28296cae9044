"""Everything processes on one Linux machine use to talk: exact, safe, fast.

Each chapter is a module of its own, loaded when it is first used: `pyipc.channels`, `pyipc.compat`,
`pyipc.fds`, `pyipc.fifos`, `pyipc.memory`, `pyipc.posix`, `pyipc.processes`, `pyipc.signals`,
`pyipc.sockets`, `pyipc.sync`, `pyipc.sysv`, `pyipc.terminals`.
"""

from __future__ import annotations

from sys import modules as _modules

from . import errors
from .errors import (
    AccessError,
    AlreadyExistsError,
    ClosedError,
    DescriptorsLostError,
    HalfMadeError,
    InUseError,
    IPCError,
    LimitError,
    NotFoundError,
    OutOfMemoryError,
    OwnerDiedError,
    PeerGoneError,
    ProcessGoneError,
    ProgramFailedError,
    RemovedError,
    StatusLostError,
    TimedOutError,
    UnsupportedError,
    WouldBlockError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from . import channels as channels
    from . import compat as compat
    from . import fds as fds
    from . import fifos as fifos
    from . import memory as memory
    from . import posix as posix
    from . import processes as processes
    from . import signals as signals
    from . import sockets as sockets
    from . import sync as sync
    from . import sysv as sysv
    from . import terminals as terminals
    from ._wait import wait as wait

__version__ = "0.1.0"

_CHAPTERS = (
    *("channels", "compat", "fds", "fifos", "memory", "posix"),
    *("processes", "signals", "sockets", "sync", "sysv", "terminals"),
)

__all__ = (
    "AccessError",
    "AlreadyExistsError",
    "ClosedError",
    "DescriptorsLostError",
    "HalfMadeError",
    "IPCError",
    "InUseError",
    "LimitError",
    "NotFoundError",
    "OutOfMemoryError",
    "OwnerDiedError",
    "PeerGoneError",
    "ProcessGoneError",
    "ProgramFailedError",
    "RemovedError",
    "StatusLostError",
    "TimedOutError",
    "UnsupportedError",
    "WouldBlockError",
    "backend",
    "capabilities",
    "channels",
    "compat",
    "errors",
    "fds",
    "fifos",
    "memory",
    "posix",
    "processes",
    "signals",
    "sockets",
    "sync",
    "sysv",
    "terminals",
    "wait",
)


def __getattr__(name: str) -> object:
    if name in _CHAPTERS:
        __import__(f"{__name__}.{name}")
        # Not from here, where it comes a moment later if it is another thread that has imported it.
        chapter: ModuleType = _modules[f"{__name__}.{name}"]
        return chapter
    if name == "wait":
        __import__(f"{__name__}._wait")
        globals()[name] = _modules[f"{__name__}._wait"].wait
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def backend() -> str:
    """Which implementation does the kernel calls: "native" (the compiled core) or "fallback"."""
    from ._backend import ops

    return ops.NAME


def capabilities() -> dict[str, bool]:
    """What this backend can do, by name; what it cannot raises `UnsupportedError` when used."""
    from ._backend import ops

    return ops.capabilities()
