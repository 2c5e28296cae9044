"""Messages between processes through shared memory, that no death can spoil.

A `Channel` carries bytes, from any number of senders to any number of receivers.
"""

from .channel import Channel, Reader, Writer
from .ends import Message, Reservation, Statistics

__all__ = ("Channel", "Message", "Reader", "Reservation", "Statistics", "Writer")
