"""The rows of channels, by iceoryx2, calling receive() again and again."""

from __future__ import annotations

from channels.with_iceoryx2 import ways

globals().update(ways(waiting=False))
