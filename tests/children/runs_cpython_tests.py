"""Runs CPython's own tests of multiprocessing, with ours in their place; says what came of each.

They come with the interpreter, as its module test._test_multiprocessing. Arguments: the start method, and
the class of tests; and the names of those to leave out.
"""

from __future__ import annotations

import multiprocessing
import sys
import unittest
from functools import partial

import handshake
from test import _test_multiprocessing as theirs

from pyipc import channels, sync


class Condition(sync.Condition):
    """What only a condition made of semaphores has; the tests do without where it is not implemented."""

    __slots__ = ()

    @property
    def _sleeping_count(self):
        raise NotImplementedError


class Ours(theirs.ProcessesMixin):
    Lock = sync.Lock
    RLock = sync.RLock
    Semaphore = sync.Semaphore
    BoundedSemaphore = sync.BoundedSemaphore
    Condition = Condition
    Event = sync.Event
    Barrier = sync.Barrier
    Value = staticmethod(sync.Value)
    Array = staticmethod(sync.Array)
    RawValue = staticmethod(partial(sync.Value, lock=False))
    RawArray = staticmethod(partial(sync.Array, lock=False))
    Queue = channels.Queue
    JoinableQueue = channels.JoinableQueue
    Pipe = staticmethod(channels.Pipe)


# The functions that other processes run are looked up here by the names of these classes.
TESTS = (
    "Lock",
    "Semaphore",
    "Condition",
    "Event",
    "Barrier",
    "Value",
    "Array",
    "Queue",
    "Connection",
    "Poll",
)
for _name in TESTS:
    globals()[_name + "Tests"] = type(
        _name + "Tests", (Ours, getattr(theirs, f"_Test{_name}"), unittest.TestCase), {}
    )


class Result(unittest.TestResult):
    said: list

    def addSuccess(self, test):  # noqa: N802
        self.said.append((test._testMethodName, "passed", ""))

    def addSkip(self, test, reason):  # noqa: N802
        self.said.append((test._testMethodName, "skipped", reason))

    def addError(self, test, problem):  # noqa: N802
        self.said.append((test._testMethodName, "failed", self._exc_info_to_string(problem, test)))

    addFailure = addError  # noqa: N815


def main() -> None:
    handshake.begin()
    multiprocessing.set_start_method(sys.argv[1], force=True)
    # Some of the tests take them from there.
    multiprocessing.Queue, multiprocessing.JoinableQueue = channels.Queue, channels.JoinableQueue  # type: ignore
    result = Result()
    result.said = []
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(globals()[sys.argv[2] + "Tests"])
    unittest.TestSuite(test for test in tests if test._testMethodName not in sys.argv[3:]).run(result)
    handshake.say(result.said)


if __name__ == "__main__":
    main()
