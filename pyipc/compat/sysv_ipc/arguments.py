"""Arguments, as functions written in C take them; and how an object is made or found by them."""

from __future__ import annotations

from _random import Random
from operator import index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

IPC_CREAT = 0o1000
IPC_EXCL = 0o2000
IPC_CREX = IPC_CREAT | IPC_EXCL
IPC_PRIVATE = 0

# Of a C long, which theirs takes a key for; the kernel gets its lower 32 bits.
KEY_MIN = -(1 << 63)
KEY_MAX = (1 << 63) - 1


def c_int(value: Any) -> int:
    """*value*, if it fits into a C int."""
    if value.__class__ is not int:
        value = int(index(value))
    if not -(1 << 31) <= value < 1 << 31:
        raise OverflowError(f"{value} does not fit into 32 bits")
    number: int = value
    return number


def c_long(value: Any) -> int:
    """*value*, if it fits into a C long."""
    value = index(value)
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError(f"{value} does not fit into 64 bits")
    return int(value)


def c_unsigned(value: Any) -> int:
    """*value* as a C unsigned long, of which theirs takes the lower bits unseen."""
    if not isinstance(value, int):
        raise TypeError(f"an int is needed, not {type(value).__name__}")
    return value & (1 << 64) - 1


def data_of(data: Any) -> Any:
    """The bytes of *data*; of a str, as UTF-8."""
    if isinstance(data, str):
        return data.encode()
    view = memoryview(data)
    if not view.c_contiguous:
        raise BufferError("the bytes do not lie one after the other")
    return data


def checked(key: Any, flags: Any, mode: Any) -> tuple[int | None, int, int]:
    """The key as the kernel has it, or None; *flags* and the permission bits of *mode*."""
    if key.__class__ is not int or not 0 <= key < 1 << 31:
        key = _key_t(key)
    if (flags | mode) >> 31:
        flags, mode = c_int(flags), c_int(mode)
    if flags & IPC_CREX == IPC_EXCL:
        raise ValueError("IPC_EXCL goes with IPC_CREAT only")
    if key is None and not flags & IPC_EXCL:
        raise ValueError("without a key there must be IPC_CREX")
    return key, flags, mode & 0o777


def _key_t(key: Any) -> int | None:
    if key is None:
        return None
    if not isinstance(key, int):
        raise TypeError(f"a key is an int or None, not {type(key).__name__}")
    if not KEY_MIN <= key <= KEY_MAX:
        raise TypeError(f"a key is {KEY_MIN}..{KEY_MAX}, not {key}")
    low = int(key) & (1 << 32) - 1
    return low - (1 << 32) if low >> 31 else low


_random = Random().random
_MOST_RANDOM = (1 << 31) - 1  # C and Perl see it as it is, whether they take it for signed or not


def new_key() -> int:
    """A key that hardly anybody has; whether somebody does, the kernel says."""
    return 1 + int(_random() * _MOST_RANDOM)
