"""Shared memory without a name, for values in it: nobody closes it, it goes with the last who has it."""

from __future__ import annotations

from .. import _memfd, _pickling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._backend.protocol import Descriptor


class Block:
    """So many bytes, all zero at first, which do not grow or shrink; a forked child has them too.

    Raises:
        OutOfMemoryError: There are not that many.
        LimitError: RLIMIT_NOFILE.
    """

    __slots__ = ("_attachment", "_descriptor", "memory")

    def __init__(self, size: int) -> None:
        self._map(_memfd.made(size, size, f"make shared memory of {size} bytes"))

    def _map(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._attachment, self.memory, _ = _memfd.mapped(descriptor.fileno(), "take part in shared memory")

    @classmethod
    def _arrived(cls, owners: list[Descriptor]) -> Block:
        block = cls.__new__(cls)
        block._map(owners[0])
        return block

    def __del__(self) -> None:
        descriptor = getattr(self, "_descriptor", None)
        if descriptor is not None:
            descriptor._close()  # without the complaint that it was dropped

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _pickling.reduce_all(self, self._descriptor.fileno(), [])
