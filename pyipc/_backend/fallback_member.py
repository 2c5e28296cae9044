"""Who takes part in shared memory: nobody, without the compiled core. See fallback.py."""

from __future__ import annotations

from errno import ENOTSUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("member_forked", "member_join")


def member_join(state: Any) -> int:
    return -ENOTSUP


def member_forked(state: Any) -> int:
    return -ENOTSUP
