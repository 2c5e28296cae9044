"""The rows of locks, by multiprocessing."""

from __future__ import annotations

import multiprocessing

from sync.work import as_a_block, increments, there_and_back, uncontended

fork = multiprocessing.get_context("fork")

lock = uncontended(fork.Lock)
lock_with = as_a_block(fork.Lock)
rlock = uncontended(fork.RLock)
semaphore = uncontended(fork.Semaphore)
lock_across = increments(fork.Lock)
semaphore_across = there_and_back(lambda: fork.Semaphore(0))
