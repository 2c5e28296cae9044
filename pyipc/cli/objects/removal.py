"""Taking away what was seen, and nothing that has come in its place (unlink(2))."""

from __future__ import annotations

import os
from errno import ENOENT, ESTALE

from ... import _unix_path
from ...errors import error


def remove_file(path: str, seen: os.stat_result) -> None:
    """Unlink a file, if it still is the one that was *seen*.

    Raises:
        NotFoundError: It is gone.
        IPCError: Another is there by now (ESTALE).
        AccessError: Its directory forbids it.
    """
    try:
        if not os.path.samestat(os.lstat(path), seen):
            raise error(ESTALE, f"remove {path}: it is another by now")
        os.unlink(path)
    except FileNotFoundError:
        raise error(ENOENT, f"remove {path}") from None
    except PermissionError as problem:
        raise error(problem.errno or 0, f"remove {path}") from problem


def remove_dead_socket(path: str) -> None:
    """Unlink a Unix socket's name, if nobody has it bound.

    Raises:
        AlreadyExistsError: Somebody has, by now.
    """
    _unix_path.remove_dead(path)
