"""Channels: without the compiled core there are none. See fallback.py."""

from __future__ import annotations

from errno import ENOTSUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = (
    "channel_commit",
    "channel_face",
    "channel_format",
    "channel_join",
    "channel_memory",
    "channel_open",
    "channel_receive",
    "channel_receive_into",
    "channel_reserve",
    "channel_return",
    "channel_send",
    "channel_send_long",
    "channel_take",
    "channel_unplug",
    "channel_until",
    "loan",
    "now_channel_acknowledge",
    "now_channel_counts",
    "now_channel_done",
    "now_channel_figures",
    "now_channel_receive",
    "now_channel_release",
    "now_channel_send",
    "now_pipe",
)


def now_pipe(read: Any, write: Any) -> int:
    return -ENOTSUP


def channel_memory(slots: int, slot_size: int, capacity: int) -> int:
    return -ENOTSUP


def channel_format(memory: Any, size: int, slots: int, slot_size: int, space_write: int) -> int:
    return -ENOTSUP


def channel_open(memory: Any, size: int, life: int, pipes: Sequence[int], spins: int) -> Any:
    return -ENOTSUP


def channel_unplug(state: Any) -> None:
    pass


def channel_face(keeps: Any, state: Any) -> Any:
    return -ENOTSUP


def now_channel_send(state: Any, messages: Sequence[Any]) -> int:
    return -ENOTSUP


def channel_send(state: Any, messages: Sequence[Any], deadline: int) -> int:
    return -ENOTSUP


def channel_send_long(state: Any, data: Any, deadline: int) -> int:
    return -ENOTSUP


def now_channel_receive(state: Any, room: int, most: int) -> Any:
    return -ENOTSUP


def channel_receive(state: Any, room: int, most: int, deadline: int) -> Any:
    return -ENOTSUP


def channel_receive_into(state: Any, buffer: Any, deadline: int) -> int:
    return -ENOTSUP


def channel_reserve(state: Any, size: int, deadline: int) -> Any:
    return -ENOTSUP


def channel_commit(state: Any, taken: Any, size: int, deadline: int) -> int:
    return -ENOTSUP


def channel_take(state: Any, kept: bool, deadline: int) -> Any:
    return -ENOTSUP


def loan(keeps: Any, state: Any, taken: Any) -> Any:
    return -ENOTSUP


def now_channel_acknowledge(state: Any, extent: int) -> int:
    return -ENOTSUP


def channel_return(state: Any, extent: int) -> int:
    return -ENOTSUP


def now_channel_release(state: Any, extent: int) -> int:
    return -ENOTSUP


def channel_until(state: Any, for_data: bool, deadline: int) -> int:
    return -ENOTSUP


def now_channel_done(state: Any) -> int:
    return -ENOTSUP


def channel_join(state: Any, deadline: int) -> int:
    return -ENOTSUP


def now_channel_counts(state: Any) -> Any:
    return -ENOTSUP


def now_channel_figures(state: Any) -> Any:
    return -ENOTSUP
