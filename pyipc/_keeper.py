"""A thread that lasts as long as the process, for what is bound to the life of the thread that asked."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Result = TypeVar("Result")

# By the process that it is a thread of: a child of fork(2) has none.
_jobs: dict[int, Any] = {}


def _run(jobs: Any) -> None:
    while True:
        jobs.get()()


def _jobs_of_this_process() -> Any:
    from _queue import SimpleQueue
    from _thread import start_new_thread

    here = os.getpid()
    if here not in _jobs:
        jobs = _jobs.setdefault(here, SimpleQueue())  # one step: two threads may be here
        start_new_thread(_run, (jobs,))  # two of them would be one too many, and do no harm
    return _jobs[here]


def in_a_lasting_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call it there, and give back what it gives.

    It waits for ever, in C, and so does not end with the interpreter either, but with the process.
    """
    from _thread import allocate_lock

    done = allocate_lock()
    results: list[Result] = []
    problems: list[BaseException] = []

    def job() -> None:
        try:
            results.append(function(*arguments))
        except BaseException as problem:  # the caller's
            problems.append(problem)
        done.release()

    done.acquire()
    _jobs_of_this_process().put(job)
    done.acquire()
    if problems:
        raise problems[0]
    return results[0]
