"""What a signal handler does at the worst of moments: raise at each step of the interpreter, in turn."""

from __future__ import annotations

import gc
import os
import sys


class _Steps:
    """Counts the steps that are taken in these modules, and calls something at one of them."""

    # The first releases of 3.12 tell of no other.
    _event = "line" if sys.version_info[:2] == (3, 12) else "opcode"

    def __init__(self, modules):
        self._files = {module.__file__ for module in modules}
        self.done = 0

    def run(self, do, step, act):
        """What *do* gives, with *act* called at that step; tracing is over by then."""
        self.done, self._step, self._act = 0, step, act
        sys.settrace(self._enter)
        try:
            return do()
        finally:
            sys.settrace(None)

    def _enter(self, frame, event, argument):
        if frame.f_code.co_filename not in self._files:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace = self._local  # before the next line, or a function's first call has no steps (3.13)
        return self._local

    def _local(self, frame, event, argument):
        if event != self._event:
            return self._local
        self.done += 1
        if self.done != self._step:
            return self._local
        sys.settrace(None)
        frame.f_trace = None
        self._act()
        return None


def _interrupt():
    raise KeyboardInterrupt


def at_each_step(do, *modules):
    """Call *do* again and again, and raise at another step each time that it takes in these modules.

    Yields how many steps it had taken then, and what it gave, or None, as long as it has as many.
    """
    each, step, finished = _Steps(modules), 0, False
    given = do()  # so that all is imported
    while not (finished and each.done < step):
        yield step, given
        given, finished = None, False
        step += 1
        try:
            given = each.run(do, step, _interrupt)
            finished = True
        except KeyboardInterrupt:
            pass
    yield step, given


def at_each_step_run(prepare, do, handler, *modules):
    """Prepare and *do* again and again, and at another step each time call what a signal's handler would be.

    Yields how many steps had been taken then, and what *do* gave, as long as it has as many.
    """
    each, step = _Steps(modules), 0
    prepare()
    do()  # so that all is imported
    reached = True
    while reached:
        step += 1
        prepare()
        given = each.run(do, step, handler)
        reached = each.done >= step
        yield step, given


def open_files():
    """How many descriptors there are, once nobody holds what was dropped."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
