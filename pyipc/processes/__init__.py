"""Programs at the other end of pipes."""

__all__ = ()
