"""What happens at a signal during a block, and what comes back at its end."""

from __future__ import annotations

import ctypes
import faulthandler
import inspect
import os
import signal
import subprocess
import sys
import tempfile

import pytest

import pyipc
from pyipc import signals

pytestmark = [pytest.mark.needs("signals"), pytest.mark.timeout(20)]

USR1 = signal.SIGUSR1


def nothing(number, frame):
    pass


@pytest.fixture(params=["default", "ignored", "a function", "a function that restarts calls", "C"])
def before(request, handling):
    """What happens before the block; and a list of what a handler of C was called for."""
    came = []
    handling(USR1, {"default": signal.SIG_DFL, "ignored": signal.SIG_IGN}.get(request.param, nothing))
    if request.param == "a function that restarts calls":
        signal.siginterrupt(USR1, False)
    if request.param == "C":
        signal.signal(USR1, signal.SIG_DFL)
        callback = ctypes.CFUNCTYPE(None, ctypes.c_int)(came.append)
        ctypes.CDLL(None).signal(USR1, callback)
        came.append(callback)  # or it goes
    yield request.param
    if request.param == "C":
        signal.raise_signal(USR1)
        assert came[1:] == [USR1]


SCOPES = {
    "handling": lambda: signals.handling("USR1", lambda number, frame: None),
    "handling several": lambda: signals.handling({"USR1": lambda *_: None, "USR2": lambda *_: None}),
    "ignoring": lambda: signals.ignoring("USR1", signal.SIGUSR2),
    "default": lambda: signals.default("USR1"),
    "blocking": lambda: signals.blocking("USR1", "USR2"),
}


@pytest.mark.parametrize("how", SCOPES)
def test_what_was_before_comes_back_to_the_bit(how, before, now, blocked):
    was, mask = now(USR1), blocked()
    assert was[0][1] & 0x10000000 or before not in ("C", "a function that restarts calls")  # SA_RESTART
    with SCOPES[how]():
        assert how == "blocking" or before in ("default", "ignored") or now(USR1) != was
    assert now(USR1)[0] == was[0]
    assert now(USR1)[1] == was[1] or (before == "C" and how.startswith("handling"))
    assert blocked() == mask


@pytest.mark.parametrize("how", SCOPES)
def test_an_exception_leaves_it_as_the_end_does(how, before, now, blocked):
    was, mask = now(USR1)[0], blocked()
    with pytest.raises(ZeroDivisionError), SCOPES[how]():
        raise ZeroDivisionError
    assert (now(USR1)[0], blocked()) == (was, mask)


def test_blocks_within_blocks_come_back_in_their_order(before, now):
    seen = [now(USR1)[0]]
    first, second = [], []
    with signals.handling("USR1", lambda *_: first.append(1)):
        seen.append(now(USR1)[0])
        with signals.ignoring("USR1"):
            signal.raise_signal(USR1)
            seen.append(now(USR1)[0])
            with signals.handling("USR1", lambda *_: second.append(1)):
                signal.raise_signal(USR1)
            assert now(USR1)[0] == seen.pop()
            signal.raise_signal(USR1)
        assert now(USR1)[0] == seen.pop()
        signal.raise_signal(USR1)
    assert now(USR1)[0] == seen.pop()
    assert (first, second) == ([1], [1])


def test_a_handler_of_another_library_is_there_again(now):
    with tempfile.TemporaryFile() as file:
        faulthandler.register(USR1, file)
        try:
            was = now(USR1)[0]
            with signals.handling("USR1", nothing):
                signal.raise_signal(USR1)
            with signals.ignoring("USR1"), signals.default("USR2"):
                signal.raise_signal(USR1)
            assert now(USR1)[0] == was
            assert os.fstat(file.fileno()).st_size == 0
            signal.raise_signal(USR1)
            file.seek(0)
            assert b"test_a_handler_of_another_library_is_there_again" in file.read()
        finally:
            faulthandler.unregister(USR1)


def test_a_function_is_called_with_number_and_frame_and_may_raise():
    came = []

    def stop(number, frame):
        came.append((signals.name(number), frame.f_code.co_name))
        raise InterruptedError

    with pytest.raises(InterruptedError), signals.handling("USR1", stop):
        signal.raise_signal(USR1)
    assert came == [("SIGUSR1", "test_a_function_is_called_with_number_and_frame_and_may_raise")]


def test_what_the_block_sets_itself_goes_with_it(now, handling):
    handling(USR1, nothing)
    was = now(USR1)
    for scope in SCOPES["ignoring"], SCOPES["default"], SCOPES["handling"]:
        with scope():
            signal.signal(USR1, lambda *_: None)
        assert now(USR1) == was


def test_what_is_ignored_does_nothing_and_is_so_for_programs_too(handling):
    came = []
    handling(USR1, lambda *_: came.append(1))
    program = "import signal; print(signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN)"

    def more_functions():
        signal.raise_signal(USR1)
        return subprocess.run([sys.executable, "-c", program], stdout=-1, text=True, check=True).stdout

    with signals.ignoring("USR1"):
        assert more_functions() == "True\n"
    assert came == []
    assert more_functions() == "False\n"
    assert came == [1]


def test_the_default_may_be_the_end(fork):
    def end(side):
        signal.signal(USR1, nothing)
        with signals.default("USR1"):
            side.say("on")
            signal.raise_signal(USR1)

    one = fork(end)
    assert one.hear() == "on"
    assert one.end() == -USR1


# ---- blocking ----


def test_what_is_blocked_waits_until_the_end(handling, blocked):
    came = []
    handling(USR1, lambda *_: came.append(blocked() & {USR1}))
    with signals.blocking("USR1", "USR2"):
        assert {USR1, signal.SIGUSR2} <= blocked()
        with signals.blocking("USR1"):
            signal.raise_signal(USR1)
        assert came == []
    assert came == [set()]


def test_a_handler_that_raises_at_the_end_finds_the_mask_as_it_was(handling, blocked):
    def late(*_):
        raise ZeroDivisionError

    handling(USR1, late)
    mask = blocked()
    with pytest.raises(ZeroDivisionError), signals.blocking("USR1"):
        signal.raise_signal(USR1)
    assert blocked() == mask


def test_only_the_signals_that_were_named_are_touched(blocked):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
    try:
        with signals.blocking("WINCH", "USR1"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGWINCH])
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        assert blocked() & {signal.SIGWINCH, USR1, signal.SIGUSR2} == {signal.SIGWINCH, signal.SIGUSR2}
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGWINCH, signal.SIGUSR2])


def test_each_thread_blocks_for_itself(in_thread, blocked):
    def there():
        with signals.blocking("USR1"):
            return USR1 in blocked()

    assert in_thread(there) is True
    with signals.blocking("USR1"):
        assert in_thread(blocked) == blocked()  # inherited
    assert USR1 not in blocked()


def test_it_cannot_end_in_another_thread(in_thread, blocked):
    scope = signals.blocking("USR1")
    scope.__enter__()
    try:
        problem = in_thread(lambda: scope.__exit__(None, None, None))
        assert type(problem) is pyipc.AccessError
        assert "SIGUSR1" in str(problem)
        assert USR1 in blocked()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [USR1])


# ---- other threads, and what is wrong ----


def test_a_handler_is_for_the_main_thread_and_nothing_changes_elsewhere(in_thread, now, before):
    was = now(USR1)

    def there():
        with signals.handling("USR1", nothing):
            pass

    problem = in_thread(there)
    assert type(problem) is pyipc.UnsupportedError
    assert "handle SIGUSR1" in str(problem)
    assert "main thread" in str(problem)
    assert now(USR1) == was


def test_ignoring_is_for_any_thread(in_thread, now, before):
    was = now(USR1)

    def there():
        with signals.ignoring("USR1"):
            return now(USR1)[0][0]

    assert in_thread(there) == 1
    assert now(USR1) == was


KINDS = {
    "handling": lambda one: signals.handling(one, nothing),
    "ignoring": signals.ignoring,
    "default": signals.default,
    "blocking": signals.blocking,
}


@pytest.mark.parametrize("how", KINDS)
@pytest.mark.parametrize("wrong", ["KILL", "SIGSTOP", 9, signal.SIGSTOP, 0, 65, "NOSUCH", 32])
def test_what_cannot_be_is_a_value_error(how, wrong):
    with pytest.raises(ValueError, match=r"SIGKILL|SIGSTOP|there is no signal"):
        KINDS[how](wrong)


@pytest.mark.parametrize("how", KINDS)
@pytest.mark.parametrize("wrong", [None, 1.5, b"HUP"])
def test_what_is_no_signal_is_a_type_error(how, wrong):
    with pytest.raises(TypeError):
        KINDS[how](wrong)


@pytest.mark.parametrize("wrong", [None, "IGNORE", signal.SIG_IGN, 7])
def test_a_handler_is_a_function(wrong):
    with pytest.raises(TypeError, match="a function"):
        signals.handling("USR1", wrong)


def test_a_scope_of_no_signals_is_a_mistake():
    for kind in signals.ignoring, signals.default, signals.blocking:
        with pytest.raises(ValueError, match="which signals"):
            kind()
    with pytest.raises(ValueError, match="which signals"):
        signals.handling({})


def test_a_scope_is_for_one_block(now):
    was = now(USR1)
    for scope in SCOPES.values():
        one = scope()
        with one:
            pass
        with pytest.raises(ValueError, match="one block"), one:
            pass
    assert now(USR1) == was


# ---- handlers that raise at any moment ----


def storm(say, hear, seconds):
    import random
    import signal
    import time

    from pyipc import signals
    from pyipc._backend import ops

    armed = False

    def late(*_):
        nonlocal armed
        if armed:
            armed = False
            raise ZeroDivisionError

    def work():
        handling, ignoring = signals.handling({"USR1": late, "USR2": late}), signals.ignoring("USR1", "HUP")
        with handling, ignoring, signals.blocking("USR2", "HUP"), signals.default("HUP"):
            pass

    def look():
        found = [(ops.now_signal_get(n), signal.getsignal(n)) for n in (1, signal.SIGUSR1, signal.SIGUSR2)]
        return found, ops.now_signal_mask(ops.BLOCK, 0)

    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGUSR1, say)
    chance = random.Random(1)
    was, raised, rounds = look(), 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rounds += 1
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 120e-6))
            work()
            armed = False
        except ZeroDivisionError:
            raised += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        if look() != was:
            say((rounds, look(), was))
            return
    say((rounds, raised))


def test_handlers_that_raise_leave_nothing_changed(child):
    if inspect.isfunction(signals.handling.__exit__):
        pytest.skip("Python alone cannot keep a handler from ending __exit__ as it begins")
    if sys.version_info < (3, 11):
        pytest.skip("CPython 3.9 and 3.10 run handlers between a block and its __exit__")
    other = child(storm, 1.5, measured=False)
    answer = other.hear()
    assert len(answer) == 2, answer
    rounds, raised = answer
    assert rounds >= raised > 100
    assert other.end() == 0
