"""The rows of locks, by a System V semaphore with SEM_UNDO: what else lets nobody wait for the dead."""

from __future__ import annotations

from functools import partial

from pyipc.sysv import Semaphore
from sync.work import as_a_block, increments, there_and_back


class _Undone:
    """For the calls that a block does not make."""

    def __init__(self):
        self._semaphore = Semaphore.create(1)

    def __enter__(self):
        return self._semaphore.__enter__()

    def __exit__(self, *how):
        self._semaphore.__exit__(*how)

    def __del__(self):
        self._semaphore.close()


lock_with = as_a_block(_Undone)
lock_across = increments(_Undone)
semaphore_across = there_and_back(partial(Semaphore.create, 0))
