"""Whatever the sender of a descriptor does to the memory behind it: never a signal, and an answer by name."""

from __future__ import annotations

import contextlib
import itertools
import os
from fcntl import fcntl

import pytest

from pyipc import fds

F_ADD_SEALS = 1033
SEAL, SHRINK, GROW, WRITE, FUTURE_WRITE = SEALS = 1, 2, 4, 8, 16
SIZE = 100_000


def use_what_came(say, hear, end):
    """Map what comes, and use it in every way while the sender does what it wants."""
    import os

    import pyipc
    from pyipc import fds
    from pyipc.memory import Memory

    def use(memory, view, array, call):
        try:
            if call == "write":
                memory.write(b"mine" * 20_000)
            elif call == "view":
                if not view.readonly:
                    view[:] = bytes([7]) * len(view)
            elif call == "grow":
                memory.grow(memory.size + 5000)
            elif call:
                getattr(memory, call)()
        except pyipc.IPCError as problem:
            return type(problem).__name__
        assert len(bytes(view)) == len(view)
        assert int(array.sum()) >= 0
        assert len(memory.read()) == memory.size
        return None

    while True:
        message = fds.receive(end)
        if message.data == b"the end":
            break
        before = len(os.listdir("/proc/self/fd"))
        try:
            memory = Memory.from_fd(message.fds[0])
        except pyipc.IPCError as problem:
            message.close()
            say(type(problem).__name__)
            continue
        with memory:
            view, array = memory.buf, memory.array("u1")
            say("mapped")
            while True:
                call = hear()
                if call == "close":
                    break
                say(use(memory, view, array, call))
        assert bytes(view[:5]) == bytes(array[:5])
        del view, array
        say(len(os.listdir("/proc/self/fd")) - before)
    say("unharmed")


@pytest.fixture
def victim(partner):
    """A process that maps what it is sent; `attempt(number, *calls)` gives its answers."""
    other, sock = partner(use_what_came)

    class Victim:
        def takes(self, number):
            fds.send(sock, b"it", [number])
            return other.hear()

        def does(self, call=""):
            other.say(call)
            return other.hear()

        def lets_go(self):
            other.say("close")
            assert other.hear() == -1, "descriptors are left open there"

    yield Victim()
    fds.send(sock, b"the end")
    assert other.hear() == "unharmed"
    assert other.end() == 0


def test_a_sender_that_truncates_is_refused_by_the_kernel(foreign, victim):
    number = foreign(SHRINK)
    assert victim.takes(number) == "mapped"
    for size in (0, 1, SIZE // 2, SIZE - 1):
        with pytest.raises(PermissionError):
            os.ftruncate(number, size)
        assert victim.does() is None
    victim.lets_go()


def test_a_sender_that_grows_it_changes_nothing_that_is_mapped(foreign, victim):
    number = foreign(SHRINK)
    assert victim.takes(number) == "mapped"
    for size in (SIZE + 1, 2 * SIZE, 1 << 40):
        os.ftruncate(number, size)
        assert victim.does() is None
    assert victim.does("write") is None
    victim.lets_go()


def punch(number, offset, size):
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    keep_size, punch_hole = 1, 2
    words = [ctypes.c_int(number), ctypes.c_int(keep_size | punch_hole)]
    return libc.fallocate(*words, ctypes.c_longlong(offset), ctypes.c_longlong(size))


def test_a_sender_that_punches_holes_makes_them_zeros(foreign, victim):
    number = foreign(SHRINK, b"x" * SIZE)
    assert victim.takes(number) == "mapped"
    for offset, size in ((0, 4096), (8192, 50_000), (0, 1 << 40)):
        assert punch(number, offset, size) == 0
        assert victim.does() is None
        assert victim.does("view") is None
    victim.lets_go()


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_seals_in_every_combination_are_answers_and_never_signals(foreign, victim, when):
    outcomes = set()
    for chosen in itertools.product([False, True], repeat=len(SEALS)):
        seals = sum(itertools.compress(SEALS, chosen))
        number = foreign(seals if when == "before" else SHRINK)
        answer = victim.takes(number)
        assert answer == ("mapped" if seals & SHRINK or when == "meanwhile" else "AccessError")
        if answer == "mapped":
            if when == "meanwhile":
                for one in itertools.compress(SEALS, chosen):
                    with contextlib.suppress(OSError):  # EBUSY: it is mapped for writing; EPERM: after SEAL
                        fcntl(number, F_ADD_SEALS, one)
            for call in ("", "write", "view", "grow", "seal", "freeze", "write"):
                outcomes.add((call, victim.does(call)))
                with contextlib.suppress(OSError):
                    os.ftruncate(number, 0)
                punch(number, 0, SIZE)
            victim.lets_go()
        os.close(number)
    answers = {answer for _, answer in outcomes}
    assert answers == {None, "AccessError", "InUseError"}
    assert {answer for call, answer in outcomes if call in ("", "view")} == {None}
