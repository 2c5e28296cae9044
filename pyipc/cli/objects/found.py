"""One object, and what there is to say of it."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

IN_USE = "in use"
IDLE = "idle"
ORPHAN = "orphan"


class Found:
    """An object that is there.

    Attributes:
        kind: Such as "sysv shm" or "unix socket".
        id: What to call it: the number of System V, a name, a path, the inode of a memfd.
        key: Of System V: its key, 0 if it is private; else None.
        uid, mode: Whose it is, and its permissions; None of what has none.
        size: Bytes that it takes or holds; None where there is no telling.
        count: Messages in it, semaphores of it, or its value.
        moved: How many messages have gone into it so far, where somebody counts them.
        maker: The pid of who made it, where the kernel remembers that.
        holders: The pids of those who have it open, mapped or attached.
        waiters: How many wait for it, where there is a number.
        changed: Seconds since 1970: when it was made or its owner was changed.
        verdict: "in use"; "idle": nobody is seen who has it, but somebody may come for it; "orphan": nobody
            has it, and who made it is dead, or it is of no use without those who had it.
        remove: Takes it away; None if nothing does but the end of its holders.
    """

    __slots__ = (
        *("changed", "count", "holders", "id", "key", "kind", "maker", "mode", "moved", "remove", "size"),
        *("uid", "verdict", "waiters"),
    )

    def __init__(
        self,
        kind: str,
        id: int | str,
        verdict: str,
        *,
        key: int | None = None,
        uid: int | None = None,
        mode: int | None = None,
        size: int | None = None,
        count: int | None = None,
        maker: int | None = None,
        holders: Iterable[int] = (),
        waiters: int | None = None,
        changed: int | None = None,
        remove: Callable[[], None] | None = None,
    ) -> None:
        self.kind = kind
        self.id = id
        self.verdict = verdict
        self.key = key
        self.uid = uid
        self.mode = mode
        self.size = size
        self.count = count
        self.maker = maker
        self.moved: int | None = None
        self.holders = sorted(holders)
        self.waiters = waiters
        self.changed = changed
        self.remove = remove

    @property
    def age(self) -> int | None:
        """Seconds since it was made or changed hands."""
        return None if self.changed is None else max(0, int(time.time()) - self.changed)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        fields = {name: getattr(self, name) for name in sorted(self.__slots__) if name != "remove"}
        return {**fields, "age": self.age, "removable": self.remove is not None}
