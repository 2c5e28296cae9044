"""Arguments, as functions written in C take them."""

from __future__ import annotations

import os
from operator import index

from ..._named import any_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

O_RDONLY = os.O_RDONLY
O_WRONLY = os.O_WRONLY
O_RDWR = os.O_RDWR
O_CREAT = os.O_CREAT
O_EXCL = os.O_EXCL
O_TRUNC = os.O_TRUNC
O_NONBLOCK = os.O_NONBLOCK
O_CREX = O_CREAT | O_EXCL


def c_int(value: Any) -> int:
    """*value*, if it fits into a C int."""
    if value.__class__ is not int:
        value = index(value)
    if not -(1 << 31) <= value < 1 << 31:
        raise OverflowError(f"{value} does not fit into 32 bits")
    return int(value)


def c_unsigned(value: Any, bits: int = 32) -> int:
    """The lower bits of *value*, as C takes an unsigned number."""
    return int(index(value)) & (1 << bits) - 1


def c_long(value: Any) -> int:
    """*value*, if it fits into a C long."""
    value = index(value)
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError(f"{value} does not fit into 64 bits")
    return int(value)


def checked(name: Any, flags: Any, mode: Any) -> tuple[str | None, bytes, int, int]:
    """A name as text and as bytes, flags and mode; None, which goes with O_EXCL, is a name to be chosen."""
    if flags.__class__ is not int or not 0 <= flags < 1 << 31:
        flags = c_unsigned(flags)
    if mode.__class__ is not int or not 0 <= mode < 1 << 31:
        mode = c_int(mode) & 0xFFFFFFFF
    if name.__class__ is str:
        plain = _encoded(name)
    elif name is None:
        plain = b""
    elif isinstance(name, bytes):
        plain, name = bytes(name), os.fsdecode(name)
    elif isinstance(name, str):
        plain = _encoded(name)
    else:
        raise TypeError(f"a name is a str, bytes or None, not {type(name).__name__}")
    if b"\0" in plain:
        raise ValueError(f"a name has no NUL in it: {name!r}")
    if flags & O_CREX == O_EXCL:
        raise ValueError("O_EXCL goes with O_CREAT only")
    if name is None and not flags & O_EXCL:
        raise ValueError("without a name there must be O_CREX")
    return name, plain, flags, mode


def _encoded(name: str) -> bytes:
    try:
        plain = name.encode()
    except UnicodeEncodeError:
        plain = os.fsencode(name)
    return plain


def chosen_name() -> tuple[str, bytes]:
    """One that nobody has."""
    name = any_name()
    return name, name.encode()


def name_to_unlink(name: Any) -> bytes:
    """A name, which is a str here."""
    if not isinstance(name, str):
        raise TypeError(f"a name is a str, not {type(name).__name__}")
    plain = name.encode()
    if b"\0" in plain:
        raise ValueError(f"a name has no NUL in it: {name!r}")
    return plain


def patience(timeout: Any) -> float | None:
    """A timeout, checked."""
    if timeout is None or (isinstance(timeout, (int, float)) and timeout >= 0):
        return timeout
    raise TypeError(f"a timeout is None or a number of seconds, at least 0, not {timeout!r}")


def data_of(data: Any) -> bytes:
    """The bytes of *data*; of a str, as UTF-8."""
    if isinstance(data, str):
        return data.encode()
    view = memoryview(data)
    if not view.c_contiguous:
        raise BufferError("the bytes do not lie one after the other")
    return view.tobytes()
