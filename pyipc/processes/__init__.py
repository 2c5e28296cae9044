"""Programs at the other end of pipes: "| cmd", "cmd |", open2 and open3, without a shell."""

from .command import DEVNULL, STDOUT, Command, Pipeline
from .environment import clean_environment
from .running import Duplex, Reader, Running, Streams, Writer

__all__ = (
    "DEVNULL",
    "STDOUT",
    "Command",
    "Duplex",
    "Pipeline",
    "Reader",
    "Running",
    "Streams",
    "Writer",
    "clean_environment",
)
