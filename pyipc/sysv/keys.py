"""Keys: the numbers by which programs that know nothing else of each other meet."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Union

    Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

PRIVATE = 0  # IPC_PRIVATE


def ftok(path: Path, project: int) -> int:
    """Make a key of a file that exists and a project number, as ftok(3) does.

    It is made of 8 bits of *project*, 8 of the device number and 16 of the inode number, so two
    files of one file system in 65,536 share a key, and a file that was deleted and made again
    has another. A fixed number in the documentation of the programs is the better key.

    Raises:
        ValueError: *project* is not in 1..255 (ftok takes its low 8 bits, and 0 is undefined).
        FileNotFoundError: There is no such file.
    """
    if not 1 <= project <= 255:
        raise ValueError(f"project must be 1..255, not {project!r}")
    file = os.stat(path)
    return signed(project << 24 | (file.st_dev & 0xFF) << 16 | (file.st_ino & 0xFFFF))


def signed(key: int) -> int:
    """The same 32 bits as the kernel's key_t has them."""
    return key - (1 << 32) if key >= 1 << 31 else key


def valid(key: int) -> int:
    """*key* as a key_t.

    It may be written signed, as the kernel lists it, or unsigned, as ipcs(1) prints it.
    """
    if not isinstance(key, int):
        raise TypeError(f"a key is an int, not {type(key).__name__}")
    if not -(1 << 31) <= key < 1 << 32:
        raise ValueError(f"a key has 32 bits; {key} has more")
    if key == PRIVATE:
        raise ValueError("key 0 is IPC_PRIVATE: leave the key out for a private object")
    return signed(key)


def key_t(key: int | None) -> int:
    """*key* as a key_t, or IPC_PRIVATE for None."""
    return PRIVATE if key is None else valid(key)


def with_key(key: int) -> str:
    """*key* for a message, as ipcs(1) prints it."""
    return "" if key == PRIVATE else f" with key {key & 0xFFFFFFFF:#010x}"


def valid_mode(mode: int) -> int:
    """*mode*, if it is made of permission bits."""
    if not isinstance(mode, int):
        raise TypeError(f"a mode is an int, not {type(mode).__name__}")
    if not 0 <= mode <= 0o777:
        raise ValueError(f"a mode is 0..0o777, not {mode:#o}")
    return mode


def permissions(uid: int | None, gid: int | None, mode: int | None) -> tuple[int, int, int]:
    """What IPC_SET is to write, -1 for what it is to leave as it is."""
    return _valid_owner(uid), _valid_owner(gid), -1 if mode is None else valid_mode(mode)


def _valid_owner(number: int | None) -> int:
    if number is None:
        return -1
    if not isinstance(number, int):
        raise TypeError(f"a uid or gid is an int, not {type(number).__name__}")
    if not 0 <= number < (1 << 32) - 1:
        raise ValueError(f"a uid or gid is 0..2**32-2, not {number}")
    return number


def valid_id(id: int) -> int:
    """*id*, if the kernel could have given it out."""
    if not isinstance(id, int):
        raise TypeError(f"an id is an int, not {type(id).__name__}")
    if not 0 <= id < 1 << 31:
        raise ValueError(f"an id is 0..2**31-1, not {id}")
    return id
