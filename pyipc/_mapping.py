"""Mapped memory that lives until its last view dies.

`close()` must not unmap what a memoryview or an array still looks at, and it cannot find out: a
numpy array keeps its memory without keeping the memoryview it came from. The one who knows is the
exporter, the object at the bottom of every view. It unmaps in its own destructor, a C function
that works at interpreter shutdown too; closing a handle only lets go of it. So nothing here ever
raises `BufferError`, and nothing is unmapped under a reader.
"""

from __future__ import annotations

from errno import EACCES
from operator import index

from ._backend import ops
from .errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy


class Mapped:
    """Reading, writing and viewing mapped memory; a base of handles.

    The handle has `_memory` (None while there is none), `_map()` (which makes it, or raises),
    `size` and `read_only`.
    """

    __slots__ = ()
    size: int
    read_only: bool
    _memory: Any

    def _map(self) -> Any:
        raise NotImplementedError

    def read(self, size: int | None = None, offset: int = 0) -> bytes:
        """Copy *size* bytes from *offset* (None: all that follow), NULs included, as shmread does.

        Raises:
            ValueError: The range does not lie within the memory.
            ClosedError: The handle is closed.
        """
        end = self.size if size is None else offset + size
        if not 0 <= offset <= end <= self.size:
            raise ValueError(f"bytes {offset} to {end} do not lie within the {self.size} of {self}")
        memory = self._memory
        return ops.copy_out(self._map() if memory is None else memory, offset, end - offset)

    def write(self, data: Any, offset: int = 0, *, pad_to: int | None = None) -> None:
        """Copy the bytes of *data* (any bytes-like object) to *offset*.

        Args:
            data: What to write.
            offset: Where, in bytes from the start.
            pad_to: Write this many bytes, filling up with NULs, as perl's shmwrite does.

        Raises:
            ValueError: It does not fit, or is longer than *pad_to*.
            AccessError: The memory is attached read-only.
            ClosedError: The handle is closed.
        """
        if type(data) is not bytes:
            view = memoryview(data)
            data = view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes()
        size = len(data) if pad_to is None else pad_to
        if len(data) > size:
            raise ValueError(f"{len(data)} bytes are more than pad_to={pad_to}")
        end = offset + size
        if not 0 <= offset <= end <= self.size:
            raise ValueError(f"bytes {offset} to {end} do not lie within the {self.size} of {self}")
        if len(data) < size:
            data = bytes(data).ljust(size, b"\0")
        memory = self._memory
        if memory is None:
            memory = self._map()
        if self.read_only:
            raise error(EACCES, f"write to read-only {self}")
        ops.copy_in(memory, offset, data)

    @property
    def buf(self) -> memoryview:
        """The memory itself, without a copy; it outlives `close()`, as do its slices.

        Read-only if the memory is attached so.

        Raises:
            UnsupportedError: The memory is attached read-only, and this backend cannot keep Python
                from writing through a view, which would be a segmentation fault; `read()` copies.
            ClosedError: The handle is closed.
        """
        memory = self._memory
        view = ops.view(self._map() if memory is None else memory)
        if isinstance(view, int):
            raise error(-view, f"view the memory of read-only {self}")
        return view

    def array(
        self, dtype: Any, shape: int | tuple[int, ...] | None = None, offset: int = 0
    ) -> numpy.ndarray[Any, Any]:
        """The memory as a numpy array, without a copy; outlives `close()`, as `buf` does.

        Args:
            dtype: What numpy takes for a dtype, objects excepted: their pointers mean nothing to
                another process.
            shape: As numpy has it; None is one dimension with as many items as fit.
            offset: Where the array starts, in bytes.

        Raises:
            ValueError: Such an array does not lie within the memory.
        """
        import numpy

        kind = numpy.dtype(dtype)
        if kind.hasobject:
            raise ValueError(f"{kind} holds references, which mean nothing to another process")
        if kind.itemsize == 0:
            raise ValueError(f"items of {kind} have no size")
        if not 0 <= offset <= self.size:
            raise ValueError(f"offset {offset} does not lie within the {self.size} bytes of {self}")
        if shape is None:
            shape = (self.size - offset) // kind.itemsize
        lengths = tuple(shape) if hasattr(shape, "__iter__") else (index(shape),)
        items = 1
        for length in lengths:
            items *= length
        if min(lengths, default=0) < 0 or items * kind.itemsize > self.size - offset:
            raise ValueError(f"an array of {kind} of shape {lengths} at {offset} does not fit into {self}")
        array: numpy.ndarray[Any, Any] = numpy.ndarray(lengths, kind, self.buf, offset)
        return array
