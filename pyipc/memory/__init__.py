"""Memory that processes share by a descriptor: no name, no leak, no surprise.

A `Memory` is made of a memfd (memfd_create(2)), which the kernel frees with the last process that has
it, however that ends. It cannot shrink under a reader, and can be frozen, so that readers know it will
not change. It goes to other processes by inheritance, by pickling, or by `fds.send`.
"""

from .memfd import Memory

__all__ = ("Memory",)
