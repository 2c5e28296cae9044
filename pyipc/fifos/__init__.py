"""Named pipes (fifo(7))."""

__all__ = ()
