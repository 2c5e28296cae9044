"""Named pipes (fifo(7))."""

from .ends import LONGEST_RECORD, Reader, Writer
from .fifo import Fifo

__all__ = ("LONGEST_RECORD", "Fifo", "Reader", "Writer")
