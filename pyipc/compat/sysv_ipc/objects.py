"""What the three kinds of objects have in common, and their attributes."""

from __future__ import annotations

from ...errors import IPCError, error
from .arguments import c_long
from .exceptions import CONTROL, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


class Shown(property):
    """A property that cannot be set, and says so as a class written in C does."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, instance: object, value: object) -> NoReturn:
        if self._name == "id":
            raise AttributeError("readonly attribute")
        cls = type(instance)
        where = f"{cls.__module__}.{cls.__qualname__}"
        raise AttributeError(f"attribute {self._name!r} of {where!r} objects is not writable")

    def __delete__(self, instance: object) -> NoReturn:
        self.__set__(instance, None)


def number(value: object, name: str) -> int:
    """*value*, which somebody sets an attribute to."""
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    return c_long(value)


class Kind:
    """What the three have in common. `_held` is the object of `pyipc.sysv` behind it."""

    __slots__ = ("_held", "_id", "_key")
    _name = ""
    _held: Any
    _id: int
    _key: int
    _kinds = CONTROL
    _remove: Callable[[int], int]

    id = Shown(lambda self: self._id, doc="The kernel's id.")
    key = Shown(lambda self: self._key, doc="The key, as the kernel has it.")

    def _make_held(self) -> Any:
        raise NotImplementedError  # each kind has its own

    def _handle(self) -> Any:
        """What is held, made when it is first needed: most objects are made and operated on, no more."""
        try:
            return self._held
        except AttributeError:
            self._held = self._make_held()
            return self._held

    def _stat(self) -> Any:
        try:
            return self._handle().stat()
        except IPCError as problem:
            refuse(problem, self._kinds)

    def _set(self, name: str, value: int) -> None:
        try:
            self._handle().set(**{name: value})
        except IPCError as problem:
            refuse(problem, self._kinds)

    def remove(self) -> None:
        """Remove the object for everybody."""
        result = self._remove(self._id)
        if result < 0:
            refuse(error(-result, f"remove {self!r}"), self._kinds)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self._name!r} object")

    def __repr__(self) -> str:
        return f"sysv_ipc.{self._name}({self._key})"

    def __str__(self) -> str:
        return f"Key={self._key}, id={self._id}"


def stat_field(name: str, doc: str) -> Any:
    """An attribute that shows one field of `stat()`."""
    return Shown(lambda self: getattr(self._stat(), name), doc=doc)


def owner_field(name: str, mask: int, doc: str) -> Any:
    """An attribute that shows one field of `stat()`, and sets it; higher bits are dropped, as in C."""

    def show(self: Kind) -> Any:
        return getattr(self._stat(), name)

    def change(self: Kind, value: object) -> None:
        self._set(name, number(value, name) & mask)

    return property(show, change, doc=doc)


class Quiet:
    """A handle that nobody closes: it owns nothing, and its memory goes with its last view."""

    __slots__ = ()

    def __del__(self) -> None:
        pass
