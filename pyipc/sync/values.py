"""Values and arrays of C types in shared memory, with the interface of `multiprocessing`'s.

What is in the memory is an object of `ctypes`, which is imported when the first one is made. Its class is
a subclass of the one that was asked for, so that it pickles as what it is: a place in shared memory.
"""

from __future__ import annotations

from ._block import Block
from .locks import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any

_TYPECODES = {
    "c": "c_char",
    "u": "c_wchar",
    "b": "c_byte",
    "B": "c_ubyte",
    "h": "c_short",
    "H": "c_ushort",
    "i": "c_int",
    "I": "c_uint",
    "l": "c_long",
    "L": "c_ulong",
    "q": "c_longlong",
    "Q": "c_ulonglong",
    "f": "c_float",
    "d": "c_double",
}

_shared_classes: dict[type, type] = {}


def Value(typecode_or_type: Any, *args: Any, lock: Any = True) -> Any:  # noqa: N802 (multiprocessing's name)
    """A value of a C type that processes share: a number, a character, a structure.

    `value.value` is its value, of a structure `value.field`; each reading and writing takes its lock. More
    than one in one step: `with value.get_lock(): value.value += 1` (a `Counter` does that faster).

    Its interface is that of `multiprocessing.Value`, but whoever is killed with its lock keeps nobody from
    it. It can be passed to processes that `multiprocessing` starts, and over its connections and queues; a
    forked child has it. Pointers in it mean nothing to others.

    Args:
        typecode_or_type: A typecode of the module `array`, "c" or "u"; or a type of `ctypes`.
        args: What its type is made from; else it is all zero.
        lock: True (or None): an `RLock` of this module; or any lock; False: none, and it is the `ctypes`
            object itself.

    Raises:
        UnsupportedError: This backend has no `RLock`; see `pyipc.capabilities()`.
        OutOfMemoryError, LimitError: There is no memory; RLIMIT_NOFILE: it takes a descriptor, and so does
            its lock.
    """
    kind = _type_of(typecode_or_type)
    guard = _lock_from(lock)
    shared = _in_block(kind, _block_for(kind))
    shared.__init__(*args)
    return _with_lock(shared, guard)


def Array(typecode_or_type: Any, size_or_initializer: Any, *, lock: Any = True) -> Any:  # noqa: N802 (its name)
    """An array of a C type that processes share.

    Items and slices of it, of one of "c" also `.value` and `.raw`, as `multiprocessing.Array` has them; each
    reading and writing takes its lock. The rest is as with `Value`.

    Args:
        typecode_or_type: As with `Value`, of each item.
        size_or_initializer: How many, all zero; or what is in it at first.
        lock: As with `Value`.

    Raises:
        UnsupportedError, OutOfMemoryError, LimitError: As with `Value`.
    """
    item = _type_of(typecode_or_type)
    guard = _lock_from(lock)
    if isinstance(size_or_initializer, int):
        kind, items = item * size_or_initializer, ()
    else:
        items = tuple(size_or_initializer)
        kind = item * len(items)
    shared = _in_block(kind, _block_for(kind))
    shared.__init__(*items)
    return _with_lock(shared, guard)


def _type_of(typecode_or_type: Any) -> Any:
    import ctypes

    if isinstance(typecode_or_type, str):
        try:
            return getattr(ctypes, _TYPECODES[typecode_or_type])
        except KeyError:
            raise ValueError(f"no typecode {typecode_or_type!r}; there are {', '.join(_TYPECODES)}") from None
    return typecode_or_type


def _lock_from(lock: Any) -> Any:
    """The lock, or None if there is to be none."""
    if lock is False:
        return None
    if lock is True or lock is None:
        return RLock()
    if not hasattr(lock, "acquire"):
        raise AttributeError(f"a lock has a method acquire, and {lock!r} has none")  # as multiprocessing
    return lock


# ---- objects of ctypes in shared memory ----


def _block_for(kind: Any) -> Block:
    import ctypes

    return Block(max(ctypes.sizeof(kind), 1))


def _in_block(kind: Any, block: Block) -> Any:
    shared = _shared_class(kind).from_buffer(block.memory)
    shared._pyipc_block = block
    return shared


def _shared_class(kind: Any) -> Any:
    if kind not in _shared_classes:
        names = {"__module__": kind.__module__, "__reduce__": _reduce_shared, "_pyipc_kind": kind}
        _shared_classes[kind] = type(kind)(kind.__name__, (kind,), names)
    return _shared_classes[kind]


def _reduce_shared(shared: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    return _arrived, (_described(shared._pyipc_kind), shared._pyipc_block)


def _described(kind: Any) -> Any:
    """A type in a form that can be pickled: types of arrays have no names."""
    import ctypes

    if issubclass(kind, ctypes.Array) and kind._type_ * kind._length_ is kind:
        return _described(kind._type_), kind._length_
    return kind


def _arrived(described: Any, block: Block) -> Any:
    return _in_block(_kind_of(described), block)


def _kind_of(described: Any) -> Any:
    if isinstance(described, tuple):
        item, length = described
        return _kind_of(item) * length
    return described


# ---- with a lock ----


def _with_lock(shared: Any, lock: Any) -> Any:
    import ctypes

    if lock is None:
        return shared
    if isinstance(shared, ctypes._SimpleCData):
        return Synchronized(shared, lock)
    if not isinstance(shared, ctypes.Array):
        return SynchronizedStructure(shared, lock)
    if shared._type_ is ctypes.c_char:
        return SynchronizedString(shared, lock)
    return SynchronizedArray(shared, lock)


def _locked(name: str) -> property:
    def get(self: SynchronizedBase) -> Any:
        self.acquire()  # which is faster than a `with`
        try:
            return getattr(self._shared, name)
        finally:
            self.release()

    def put(self: SynchronizedBase, value: Any) -> None:
        self.acquire()
        try:
            setattr(self._shared, name, value)
        finally:
            self.release()

    return property(get, put, doc=f"Its {name}, under the lock.")


class SynchronizedBase:
    """A `ctypes` object in shared memory and the lock that goes with it."""

    __slots__ = ("__weakref__", "_lock", "_shared", "acquire", "release")
    _lock: Any
    _shared: Any
    acquire: Any
    release: Any

    def __init__(self, shared: Any, lock: Any) -> None:
        set_own = object.__setattr__
        set_own(self, "_shared", shared)
        set_own(self, "_lock", lock)
        set_own(self, "acquire", lock.acquire)
        set_own(self, "release", lock.release)

    def get_obj(self) -> Any:
        """The `ctypes` object, whose use takes no lock."""
        return self._shared

    def get_lock(self) -> Any:
        """The lock."""
        return self._lock

    def __enter__(self) -> Any:
        return self._lock.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> Any:
        return self._lock.__exit__(kind, value, trace)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (self._shared, self._lock)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._shared!r}>"


class Synchronized(SynchronizedBase):
    """A simple value."""

    __slots__ = ()

    @property  # written out, since a getattr() takes longer
    def value(self) -> Any:
        """Its value, under the lock."""
        self.acquire()
        try:
            return self._shared.value
        finally:
            self.release()

    @value.setter
    def value(self, value: Any) -> None:
        self.acquire()
        try:
            self._shared.value = value
        finally:
            self.release()


class SynchronizedArray(SynchronizedBase):
    """An array."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._shared)

    def __getitem__(self, place: Any) -> Any:
        self.acquire()
        try:
            return self._shared[place]
        finally:
            self.release()

    def __setitem__(self, place: Any, value: Any) -> None:
        self.acquire()
        try:
            self._shared[place] = value
        finally:
            self.release()

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(len(self)))


class SynchronizedString(SynchronizedArray):
    """An array of characters."""

    __slots__ = ()
    value = _locked("value")
    raw = _locked("raw")


class SynchronizedStructure(SynchronizedBase):
    """A structure or union, whose fields are attributes."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name in SynchronizedBase.__slots__:  # not there yet
            raise AttributeError(name)
        with self._lock:
            return getattr(self._shared, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(type(self._shared), name):
            raise AttributeError(f"{self._shared!r} has no field {name!r}")
        with self._lock:
            setattr(self._shared, name, value)
