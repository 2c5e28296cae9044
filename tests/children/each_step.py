"""What a signal handler does at the worst of moments: raise at each step of the interpreter, in turn."""

from __future__ import annotations

import gc
import os
import sys


def at_each_step(do, *modules):
    """Call *do* again and again, and raise at another step each time that it takes in these modules.

    Yields how many steps it had taken then, and what it gave, or None, as long as it has as many.
    """
    files = {module.__file__ for module in modules}
    wanted = "line" if sys.version_info[:2] == (3, 12) else "opcode"  # its first releases tell of no other
    done = steps = 0

    def local(frame, event, argument):
        nonlocal done
        if event == wanted:
            done += 1
            if done == steps:
                raise KeyboardInterrupt
        return local

    def enter(frame, event, argument):
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace = local  # before the next line, or a function's first call has no steps (3.13)
        return local

    given = do()  # so that all is imported
    finished = False
    while not (finished and done < steps):
        yield steps, given
        given, finished, done = None, False, 0
        steps += 1
        sys.settrace(enter)
        try:
            given = do()
            finished = True
        except KeyboardInterrupt:
            pass
        sys.settrace(None)
    yield steps, given


def at_each_step_run(prepare, do, handler, *modules):
    """Prepare and *do* again and again, and at another step each time call what a signal's handler would be.

    Yields how many steps had been taken then, and what *do* gave, as long as it has as many.
    """
    files = {module.__file__ for module in modules}
    wanted = "line" if sys.version_info[:2] == (3, 12) else "opcode"  # its first releases tell of no other
    done = steps = 0

    def local(frame, event, argument):
        nonlocal done
        if event == wanted:
            done += 1
            if done == steps:
                sys.settrace(None)
                frame.f_trace = None
                handler()
                return None
        return local

    def enter(frame, event, argument):
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace = local  # before the next line, or a function's first call has no steps (3.13)
        return local

    prepare()
    do()  # so that all is imported
    while done >= steps:
        done, steps = 0, steps + 1
        prepare()
        sys.settrace(enter)
        given = do()
        sys.settrace(None)
        yield steps, given


def open_files():
    """How many descriptors there are, once nobody holds what was dropped."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
