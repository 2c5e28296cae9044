"""The rows of channels, by cloudtoid-interprocess, calling try_receive() again and again."""

from __future__ import annotations

from channels.with_cloudtoid import ways

globals().update(ways(waiting=False))
