"""Programs at the other end of pipes: "| cmd", "cmd |", open2 and open3, without a shell."""

from .._later import names_from as _names_from
from .command import DEVNULL, STDOUT, Command, Pipeline
from .environment import clean_environment
from .privileges import drop_privileges
from .running import Duplex, Reader, Running, Streams, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .argv import sources as sources
    from .forking import fork_pipe as fork_pipe

# What only some programs want, and takes modules to import.
__getattr__, __dir__ = _names_from(__name__, {"fork_pipe": "forking", "sources": "argv"})

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
