"""Programs at the other end of pipes: "| cmd", "cmd |", open2 and open3, without a shell."""

from .command import DEVNULL, STDOUT, Command, Pipeline
from .environment import clean_environment
from .fork_pipe import fork_pipe
from .privileges import drop_privileges
from .running import Duplex, Reader, Running, Streams, Writer
from .sources import sources

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
