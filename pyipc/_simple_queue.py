"""The queue of the standard library, from where it costs least: the module `queue` brings threading along."""

try:
    from _queue import Empty, SimpleQueue
except ImportError:  # PyPy has it in Python alone
    from queue import Empty, SimpleQueue

__all__ = ("Empty", "SimpleQueue")
