"""Keys of files."""

from __future__ import annotations

from _warnings import warn

from ... import sysv
from .arguments import c_int


def ftok(path: str, id: int, silence_warning: int = False) -> int:
    """Make a key of a file that exists and the lower 8 bits of *id*; warns unless told not to.

    `pyipc.sysv.ftok` says why two files may share a key.

    Raises:
        OSError: There is no such file.
    """
    if not isinstance(path, str):
        raise TypeError(f"a path is a str, not {type(path).__name__}")
    id = c_int(id)
    if not c_int(silence_warning):
        warn("Use of ftok() is not recommended: two files may share a key", Warning, 2)
    project = id & 0xFF
    key = sysv.ftok(path, project or 1)
    return key if project else key & 0xFFFFFF
