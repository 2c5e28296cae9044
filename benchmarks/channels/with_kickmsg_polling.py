"""The rows of channels, by kickmsg, calling try_receive() again and again."""

from __future__ import annotations

from channels.with_kickmsg import ways

globals().update(ways(waiting=False))
