"""The rows of locks, by pyipc."""

from __future__ import annotations

from pyipc import sync
from sync.work import as_a_block, increments, there_and_back, uncontended

lock = uncontended(sync.Lock)
lock_with = as_a_block(sync.Lock)
rlock = uncontended(sync.RLock)
semaphore = uncontended(sync.Semaphore)
lock_across = increments(sync.Lock)
semaphore_across = there_and_back(lambda: sync.Semaphore(0, undo=False))
