"""Doors for programs that were written for other packages: the same names, over pyipc's objects.

`import pyipc.compat.sysv_ipc as sysv_ipc` is all that such a program has to change; so it is of `posix_ipc`.
"""

from __future__ import annotations

_DOORS = ("posix_ipc", "sysv_ipc")

__all__ = ("posix_ipc", "sysv_ipc")


def __getattr__(name: str) -> object:
    if name in _DOORS:
        __import__(f"{__name__}.{name}")
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
