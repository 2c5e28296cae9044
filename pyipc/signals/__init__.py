"""Signals (signal(7))."""

__all__ = ()
