"""What the three kinds of objects have in common."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class Kind:
    """What has a name, and the mode that it was asked for with."""

    if not TYPE_CHECKING:  # their own slots, since some have a base in C
        __slots__ = ()
    _name: str
    _mode: int

    @property
    def name(self) -> str:
        """Its name, as it was given or chosen."""
        return self._name

    @property
    def mode(self) -> int:
        """The mode that was asked for, whatever it has."""
        return self._mode

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f'posix_ipc.{type(self).__name__}("{self._name}", mode=0{self._mode:o})'
