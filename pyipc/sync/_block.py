"""Shared memory without a name, for values in it: nobody closes it, it goes with the last who has it."""

from __future__ import annotations

from errno import EACCES

from .. import _pickling
from .._backend import ops
from .._member import reserve
from ..errors import check, error

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
        doing = f"make shared memory of {size} bytes"
        descriptor: Descriptor = ops.Descriptor()
        check(ops.memory_create(descriptor, size, 0), doing)
        reserve(descriptor, size, doing)
        check(ops.memory_seal(descriptor.fileno(), ops.SEAL_GROW), doing)
        self._map(descriptor)

    def _map(self, descriptor: Descriptor) -> None:
        doing = "map shared memory"
        fields = ops.now_memory_stat(descriptor.fileno())
        if isinstance(fields, int):
            raise error(-fields, doing)
        size, seals = fields[:2]
        if not seals & ops.SEAL_SHRINK:
            raise error(EACCES, f"{doing} that is not sealed against shrinking")
        mapped = ops.map_memory(descriptor.fileno(), size, ops.MAP_WRITABLE)
        if isinstance(mapped, int):
            raise error(-mapped, doing)
        self._descriptor = descriptor
        self._attachment, self.memory = mapped

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
