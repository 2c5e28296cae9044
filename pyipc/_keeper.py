"""A thread that lasts as long as the process, for what ends with the thread that asked for it."""

from __future__ import annotations

import os
from _signal import SIG_BLOCK, pthread_sigmask, valid_signals
from errno import EAGAIN

from .errors import limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Result = TypeVar("Result")

# By the process that it is a thread of: a child of fork(2) has none.
_jobs: dict[int, Any] = {}


def _run(jobs: Any) -> None:
    # A signal to the process is for the program's threads; else this may be the one that does not block it.
    pthread_sigmask(SIG_BLOCK, valid_signals())
    while jobs.get()():  # of which nothing is kept here
        pass


def _jobs_of_this_process() -> Any:
    here = os.getpid()
    if here not in _jobs:
        from _thread import start_new_thread

        from ._simple_queue import SimpleQueue

        jobs: Any = SimpleQueue()
        try:
            start_new_thread(_run, (jobs,))
        except RuntimeError:
            raise limit_error(EAGAIN, "start a thread", "RLIMIT_NPROC", None, None) from None
        if _jobs.setdefault(here, jobs) is not jobs:  # another thread was faster: one is enough
            jobs.put(bool)  # gives False
    return _jobs[here]


def in_a_lasting_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call it there, and give back what it gives; one call at a time.

    The thread waits for ever, in C, and so does not end with the interpreter either, but with the process.
    """
    from _thread import allocate_lock

    done = allocate_lock()
    results: list[Result] = []
    problems: list[BaseException] = []

    def job() -> bool:
        try:
            results.append(function(*arguments))
        except BaseException as problem:  # the caller's
            problems.append(problem)
        done.release()
        return True

    done.acquire()
    _jobs_of_this_process().put(job)
    done.acquire()
    if problems:
        raise problems.pop()  # which has this frame: else the frame had it, and neither would go
    return results[0]
