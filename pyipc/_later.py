"""Names of chapters that are imported at their first use, with what only some programs want."""

from __future__ import annotations

from sys import modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def names_from(
    chapter: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """What a chapter has as its `__getattr__` and `__dir__` (PEP 562).

    Args:
        chapter: Its own `__name__`.
        homes: In which of its modules each name is. No module may have the name of something in it:
            an import anywhere would put the module there.
    """

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {chapter!r} has no attribute {name!r}")
        home = f"{chapter}.{homes[name]}"
        __import__(home)
        value: object = getattr(modules[home], name)
        setattr(modules[chapter], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(modules[chapter]), *homes})

    return find, names
