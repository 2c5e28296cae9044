"""Named pipes (fifo(7))."""

from .ends import Reader, Writer
from .fifo import Fifo

__all__ = ("Fifo", "Reader", "Writer")
