"""Who takes part in shared memory, over the compiled core; see native.py."""

from __future__ import annotations

from .native_core import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("member_forked", "member_join")


def member_join(state: Any) -> int:
    me = state.me
    return lib.pyipc_member_join(ffi.addressof(state, "me"), me.roster, me.life)


def member_forked(state: Any) -> int:
    return lib.pyipc_member_forked(ffi.addressof(state, "me"))
