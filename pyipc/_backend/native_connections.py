"""Connections, and children for them, over the compiled core; see native.py."""

from __future__ import annotations

from . import standard_fork
from .native_core import HOT, core, lib
from .native_descriptors import Descriptor, now_pidfd_open

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

__all__ = ("connection_finish", "fork")


def _finish(connection: socket) -> int:
    return lib.pyipc_connection_finish(connection.fileno())


def _fork(born: list[int]) -> int:
    return standard_fork.fork(born, Descriptor(), now_pidfd_open)


connection_finish = core.connection_finish if HOT else _finish
fork = core.fork if HOT else _fork
