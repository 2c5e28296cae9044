"""Programs at the other end of pipes: "| cmd", "cmd |", open2 and open3, without a shell."""

from .command import DEVNULL, STDOUT, Command, Pipeline
from .environment import clean_environment
from .privileges import drop_privileges
from .running import Duplex, Reader, Running, Streams, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .argv import sources as sources
    from .forking import fork_pipe as fork_pipe

# What only some programs want, and takes modules to import.
_ELSEWHERE = {"fork_pipe": "forking", "sources": "argv"}

__all__ = (  # noqa: RUF022 (as Python sorts)
    "Command",
    "DEVNULL",
    "Duplex",
    "Pipeline",
    "Reader",
    "Running",
    "STDOUT",
    "Streams",
    "Writer",
    "clean_environment",
    "drop_privileges",
    "fork_pipe",
    "sources",
)


def __getattr__(name: str) -> object:
    if name in _ELSEWHERE:
        from importlib import import_module

        value: object = getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
