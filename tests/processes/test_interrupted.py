"""A signal handler that raises, at any moment: nothing is lost, sent twice, or left open."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest

from pyipc import _keeper, _waiters
from pyipc.processes import _ends

pytestmark = pytest.mark.timeout(60)


def test_what_goes_through_a_program_is_neither_lost_nor_doubled(child):
    def main(say, hear):
        import os
        import random
        import signal

        from pyipc.processes import Command

        armed = False

        def late(*_):
            nonlocal armed
            if armed:
                armed = False
                raise ZeroDivisionError

        signal.signal(signal.SIGALRM, late)
        chance = random.Random(2)
        parts = [os.urandom(chance.randrange(40000)) for _ in range(400)]
        rounds = interrupted = wrong = 0

        def turn(streams):
            nonlocal armed
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(20e-6, 400e-6))
                while streams._turn(1 << 62, {"out": 1 << 62}, "serve"):
                    pass
            finally:
                armed = False

        while interrupted < 2000:
            with Command("cat").streams(iter(parts)) as streams:
                over = False
                while not over:
                    try:
                        turn(streams)
                        over = True
                    except ZeroDivisionError:
                        interrupted += 1
                output = streams._ends.outputs["out"]
                wrong += output.take(len(output)) != b"".join(parts)
                rounds += 1
        say((wrong, rounds > 1))

    other = child(main, measured=False)
    assert other.hear(50) == (0, True)
    assert other.end() == 0


class Thing:
    """What one can refer to weakly."""


@pytest.mark.parametrize(
    "call", [lambda fail: _ends.each([fail]), _keeper.in_a_lasting_thread], ids=["each", "keeper"]
)
def test_what_a_raising_call_held_is_let_go_without_a_collection(call, until):
    if call is _keeper.in_a_lasting_thread and not getattr(sys, "_is_gil_enabled", lambda: True)():
        pytest.skip("without a GIL, what that thread has made goes when it runs again")
    things = []

    def fail():
        thing = Thing()
        things.append(weakref.ref(thing))
        raise ZeroDivisionError

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError):
            call(fail)
        until(lambda: [thing() for thing in things] == [None])  # the other thread may still be at its end
    finally:
        gc.enable()


class Waited(_waiters.Waited):
    closed = False

    def __init__(self):
        self._waiting = []


def test_who_was_interrupted_waits_no_more():
    """Raised before each line of the wait."""
    function = _waiters.Waited._wait_until
    raised = 0
    for number in range(function.__code__.co_firstlineno, function.__code__.co_firstlineno + 20):
        waited = Waited()

        def trace(frame, event, _, number=number):
            if frame.f_code is function.__code__ and frame.f_lineno == number and event == "line":
                raise ZeroDivisionError
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            waited._wait_until(lambda deadline: deadline, 7, "wait for")
        except ZeroDivisionError:
            raised += 1
        finally:
            sys.settrace(before)
        # Before the last line of it, nothing can be done.
        assert waited._waiting == [] or number > function.__code__.co_firstlineno + 8
    assert raised >= 4
