"""Programs on a pseudo-terminal (pty(7))."""

__all__ = ()
