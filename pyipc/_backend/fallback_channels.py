"""Channels: without the compiled core there are none. See fallback.py."""

from __future__ import annotations

from errno import ENOTSUP

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    "channel_send",
    "channel_send_long",
    "channel_take",
    "channel_unplug",
    "channel_until",
    "channel_watch",
    "loan",
    "loans_face",
    "now_channel_counts",
    "now_channel_done",
    "now_channel_figures",
    "now_channel_receive",
    "now_channel_send",
    "objects_face",
)


def _unsupported(*_: Any) -> Any:
    return -ENOTSUP


channel_memory = _unsupported
channel_format = _unsupported
channel_open = _unsupported
channel_unplug = _unsupported
channel_face = _unsupported
now_channel_send = _unsupported
channel_send = _unsupported
channel_send_long = _unsupported
now_channel_receive = _unsupported
channel_receive = _unsupported
channel_receive_into = _unsupported
channel_reserve = _unsupported
channel_commit = _unsupported
channel_take = _unsupported
loan = _unsupported
loans_face = _unsupported
objects_face = _unsupported
channel_until = _unsupported
now_channel_done = _unsupported
channel_join = _unsupported
now_channel_counts = _unsupported
now_channel_figures = _unsupported
channel_watch = _unsupported
