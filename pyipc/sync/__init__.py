"""What processes agree with each other by: locks and shared values.

`FileLock` is a lock with a name. `Counter` and `Counters` are numbers to count in together, `Latest` a
value of which the newest counts, `Value` and `Array` are those of `multiprocessing`.
"""

from .cell import Latest
from .counters import Counter, Counters
from .file_lock import FileLock

__all__ = ("Counter", "Counters", "FileLock", "Latest")
