"""Signals while memory is made: they end nothing, and a handler that raises leaves nothing behind."""

from __future__ import annotations

import os
from errno import EINTR

from pyipc.memory import Memory, memfd


def make_in_a_storm(say, hear):
    import os
    import signal

    from pyipc.memory import Memory

    came = 0

    def count(number, frame):
        nonlocal came
        came += 1

    signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    sizes = []
    for _ in range(3):
        with Memory(64 << 20) as memory:
            memory.write(bytes(100_000), (64 << 20) - 100_000)
            sizes.append(os.fstat(memory.fileno()).st_blocks * 512)
        with Memory(4096) as memory:
            memory.grow(64 << 20)
            sizes.append(os.fstat(memory.fileno()).st_blocks * 512)
    signal.setitimer(signal.ITIMER_REAL, 0)
    say((sizes, came > 10))


def test_memory_is_made_and_grown_in_a_storm_of_signals(child):
    other = child(make_in_a_storm)
    assert other.hear() == ([64 << 20] * 6, True)
    assert other.end() == 0


def test_a_piece_that_a_signal_interrupted_is_reserved_again(monkeypatch):
    reserve = memfd.ops.memory_reserve
    asked = []

    def interrupted_twice_each(number, offset, size):
        done = reserve(number, offset, min(size, 1 << 20)) if len(asked) % 3 == 2 else -EINTR
        asked.append((offset, done))
        return done

    monkeypatch.setattr(memfd.ops, "memory_reserve", interrupted_twice_each)
    with Memory(4 << 20) as memory:
        assert os.fstat(memory.fileno()).st_blocks * 512 == 4 << 20
    for (offset, done), (following, _) in zip(asked, asked[1:]):
        assert following == offset + max(done, 0)
    assert sum(max(done, 0) for _, done in asked) == 4 << 20


def raise_at_any_moment(say, hear, rounds):
    """A handler raises once in each round, wherever it is just then."""
    import os
    import random
    import signal
    import warnings

    import pyipc
    from pyipc.memory import Memory

    warnings.simplefilter("ignore", ResourceWarning)  # what is dropped half-made, is dropped open

    class ZapError(Exception):
        pass

    armed = False

    def zap(number, frame):
        nonlocal armed
        if armed:
            armed = False  # what cleans up after it is not interrupted again
            raise ZapError

    def state():
        with open("/proc/self/maps") as maps:
            mapped = sum("memfd:pyipc" in line for line in maps)
        return len(os.listdir("/proc/self/fd")), mapped

    signal.signal(signal.SIGALRM, zap)
    standing = Memory(200_000)
    standing.write(b"stands")
    before = state()
    interrupted = {"make": 0, "grow": 0, "take": 0, "freeze": 0}
    unlike = 0
    while min(interrupted.values()) < rounds:
        what = random.choice(list(interrupted))
        own = os.dup(standing.fileno()) if what == "take" else -1
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.0005))
        try:
            armed = True
            if what == "make":
                with Memory(1 << 20) as memory:
                    memory.write(b"x")
            elif what == "grow":
                with Memory(4096) as memory:
                    memory.grow(1 << 20)
            elif what == "take":
                with Memory.from_fd(own) as memory:
                    memory.read(5)
            else:
                with Memory(4096) as memory:
                    memory.freeze()
                    memory.read(5)
            armed = False
        except ZapError:
            interrupted[what] += 1
        finally:
            armed = False
            memory = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        if what == "take":  # it is either taken over and closed, or left alone
            try:
                same = os.path.samestat(os.fstat(own), os.fstat(standing.fileno()))
                os.close(own) if same else None
            except OSError:
                pass
        unlike += state() != before
    assert standing.read(6) == b"stands"
    standing.close()
    say((unlike, pyipc.backend()))


def test_a_handler_that_raises_leaves_nothing_open_or_mapped(child):
    other = child(raise_at_any_moment, 25, measured=False)
    assert other.hear(timeout=40)[0] == 0
    assert other.end() == 0


def raise_while_freezing(say, hear, rounds):
    """Whatever a handler breaks off, the memory that it happened to can still be used."""
    import random
    import signal

    from pyipc.memory import Memory

    class ZapError(Exception):
        pass

    armed = False

    def zap(number, frame):
        if armed:
            raise ZapError

    signal.signal(signal.SIGALRM, zap)
    interrupted = unusable = 0
    while interrupted < rounds:
        with Memory(100_000) as memory:
            memory.write(b"kept")
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.000001, 0.00005))
                memory.freeze()
                armed = False
            except ZapError:
                armed = False
                interrupted += 1
            try:
                usable = memory.read(4) == bytes(memory.buf[:4]) == b"kept" and memory.size == 100_000
            except ValueError:
                usable = False
            unusable += not usable
    say(unusable)


def test_memory_can_be_used_after_a_handler_broke_its_freezing_off(child):
    other = child(raise_while_freezing, 300, measured=False)
    assert other.hear(timeout=40) == 0
    assert other.end() == 0
