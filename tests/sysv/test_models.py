"""Hypothesis plays: whatever the order of calls, the kernel and a small model say the same."""

from __future__ import annotations

import contextlib

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import pyipc
from pyipc import sysv

ABLE = pyipc.capabilities()
PLAY = settings(max_examples=30, stateful_step_count=30, deadline=None, database=None)


class SegmentModel(RuleBasedStateMachine):
    """A segment by key: bytes; two handles, attached or not, closed or not, one of them reading only."""

    SIZE = 300

    @initialize()
    def make(self):
        self.writer = sysv.SharedMemory.create(self.SIZE, persist=True)
        self.reader = sysv.SharedMemory.attach(self.writer.id, read_only=True)
        self.bytes = bytearray(self.SIZE)
        self.attached = {self.writer: True, self.reader: True}
        self.removed = False
        self.views = []

    def teardown(self):
        if not hasattr(self, "writer"):
            return
        self.views.clear()
        with contextlib.suppress(pyipc.RemovedError, pyipc.ClosedError):
            if not self.removed:
                self.writer.remove()
        self.writer.close()
        self.reader.close()

    def choose(self, first):
        return self.writer if first else self.reader

    @rule(data=st.binary(max_size=320), offset=st.integers(-5, 310), pad=st.none() | st.integers(0, 320))
    def write(self, data, offset, pad):
        length = len(data) if pad is None else pad
        fits = offset >= 0 and offset + length <= self.SIZE and len(data) <= length
        if not fits:
            with pytest.raises(ValueError, match=r"\d"):
                self.writer.write(data, offset, pad_to=pad)
        elif not self.attached[self.writer]:
            with pytest.raises(pyipc.ClosedError):
                self.writer.write(data, offset, pad_to=pad)
        else:
            self.writer.write(data, offset, pad_to=pad)
            self.bytes[offset : offset + length] = data.ljust(length, b"\0")

    @rule(first=st.booleans(), size=st.none() | st.integers(-2, 310), offset=st.integers(-2, 310))
    def read(self, first, size, offset):
        handle = self.choose(first)
        end = self.SIZE if size is None else offset + size
        if not 0 <= offset <= end <= self.SIZE:
            with pytest.raises(ValueError, match=r"\d"):
                handle.read(size, offset)
        elif not self.attached[handle]:
            with pytest.raises(pyipc.ClosedError):
                handle.read(size, offset)
        else:
            assert handle.read(size, offset) == bytes(self.bytes[offset:end])

    # The fallback may keep a segment mapped that was looked at, so it is not gone when it should.
    @precondition(lambda self: pyipc.backend() == "native" and self.attached[self.writer])
    @rule(offset=st.integers(0, 299), value=st.integers(0, 255))
    def write_through_a_view(self, offset, value):
        view = self.writer.buf
        view[offset] = value
        self.bytes[offset] = value
        self.views.append(view)

    @rule(first=st.booleans())
    def detach(self, first):
        handle = self.choose(first)
        handle.detach()
        self.attached[handle] = False

    @rule(first=st.booleans())
    def reattach(self, first):
        handle = self.choose(first)
        gone = self.removed and not any(self.attached.values()) and not self.views
        if gone:
            with pytest.raises(pyipc.RemovedError):
                handle.reattach(read_only=not first)
        else:
            handle.reattach(read_only=not first)
            self.attached[handle] = True

    @rule()
    def drop_views(self):
        self.views.clear()

    @rule()
    def write_where_one_may_only_read(self):
        with pytest.raises(pyipc.AccessError if self.attached[self.reader] else pyipc.ClosedError):
            self.reader.write(b"x")

    @precondition(lambda self: not self.removed)
    @rule()
    def remove(self):
        self.writer.remove()
        self.removed = True

    @invariant()
    def the_views_show_the_same_bytes(self):
        if hasattr(self, "views"):
            for view in self.views:
                assert bytes(view) == bytes(self.bytes)


class SetModel(RuleBasedStateMachine):
    """A set: numbers 0..32767; operations all or none; undo by the same process is just arithmetic."""

    COUNT = 3 if ABLE["sysv.semaphore_sets"] else 1

    @initialize(values=st.lists(st.integers(0, 5), min_size=COUNT, max_size=COUNT))
    def make(self, values):
        self.set = sysv.SemaphoreSet.create(self.COUNT, initial=values)
        self.values = values

    def teardown(self):
        if hasattr(self, "set"):
            self.set.close()

    places = st.integers(0, COUNT - 1)
    deltas = st.integers(-4, 4) | st.sampled_from([32767, -32767])

    @rule(steps=st.lists(st.tuples(places, deltas, st.booleans()), min_size=1, max_size=4))
    def operate(self, steps):
        if not ABLE["sysv.atomic_operations"]:
            steps = [(place, delta, False) for place, delta, _ in steps[:1]]
        after, outcome = list(self.values), None
        for place, delta, _ in steps:
            if delta == 0:
                outcome = outcome or (pyipc.WouldBlockError if after[place] else None)
            elif after[place] + delta < 0:
                outcome = outcome or pyipc.WouldBlockError
            elif after[place] + delta > 32767:
                outcome = outcome or pyipc.LimitError
            if outcome:
                break
            after[place] += delta
        operations = []
        for place, delta, nowait in steps:
            operation = self.set[place] + delta if delta else self.set[place].wait_zero
            operations.append(operation.nowait if nowait else operation)
        if outcome:
            with pytest.raises(outcome):
                self.set.op(*operations, timeout=0)
        else:
            self.set.op(*operations, timeout=0)
            self.values = after

    @rule(place=places, value=st.integers(0, 32767))
    def set_one(self, place, value):
        self.set[place].value = value
        self.values[place] = value

    @rule(values=st.lists(st.integers(-1, 32768), min_size=1, max_size=COUNT + 1))
    def set_all(self, values):
        if len(values) == self.COUNT and all(0 <= value <= 32767 for value in values):
            self.set.values = values
            self.values = list(values)
        else:
            with pytest.raises(ValueError, match=r"\d"):
                self.set.values = values

    @invariant()
    def the_kernel_agrees(self):
        if hasattr(self, "set"):
            assert self.set.values == self.values
            with sysv.SemaphoreSet.attach(self.set.id) as other:
                assert [member.value for member in other] == self.values


class QueueModel(RuleBasedStateMachine):
    """A queue: a list of (bytes, type), and a bound on their bytes."""

    @initialize(bound=st.integers(10, 60))
    def make(self, bound):
        self.queue = sysv.MessageQueue.create(max_bytes=bound)
        self.bound = bound
        self.messages = []

    def teardown(self):
        if hasattr(self, "queue"):
            self.queue.close()

    def held(self):
        return sum(len(data) for data, _ in self.messages)

    most = 2**63 - 1 if ABLE["sysv.wide_message_types"] else 2**31 - 1

    @rule(data=st.binary(max_size=70), type=st.integers(1, 4) | st.just(most))
    def send(self, data, type):
        if len(data) > self.bound:
            expected = pyipc.LimitError
        elif self.held() + len(data) > self.bound or len(self.messages) + 1 > self.bound:
            expected = pyipc.WouldBlockError
        else:
            self.queue.send(data, type, timeout=0)
            self.messages.append((data, type))
            return
        # What never fits is a LimitError once it would have to wait.
        with pytest.raises(expected):
            self.queue.send(data, type, timeout=0)

    def pick(self, type, excepted=None):
        if excepted is not None:
            fitting = [m for m in self.messages if m[1] != excepted]
        elif type == 0:
            fitting = self.messages
        elif type > 0:
            fitting = [m for m in self.messages if m[1] == type]
        else:
            fitting = [m for m in self.messages if m[1] <= -type]
            lowest = min((m[1] for m in fitting), default=None)
            fitting = [m for m in fitting if m[1] == lowest]
        return next(iter(fitting), None)

    @rule(type=st.integers(-4, 4) | st.sampled_from([most, -most]))
    def receive(self, type):
        expected = self.pick(type)
        if expected is None:
            with pytest.raises(pyipc.WouldBlockError):
                self.queue.receive(type, timeout=0)
        else:
            assert self.queue.receive(type, timeout=0) == expected
            self.messages.remove(expected)

    @precondition(lambda self: ABLE["sysv.receive_except"])
    @rule(type=st.integers(1, 4))
    def receive_except(self, type):
        expected = self.pick(0, excepted=type)
        if expected is None:
            with pytest.raises(pyipc.WouldBlockError):
                self.queue.receive(except_type=type, timeout=0)
        else:
            assert self.queue.receive(except_type=type, timeout=0) == expected
            self.messages.remove(expected)

    @rule(size=st.integers(0, 20), truncate=st.booleans())
    def receive_at_most(self, size, truncate):
        truncate = truncate and ABLE["sysv.receive_truncated"]
        expected = self.pick(0)
        if expected is None:
            with pytest.raises(pyipc.WouldBlockError):
                self.queue.receive(timeout=0, max_size=size, truncate=truncate)
        elif len(expected[0]) > size and not truncate:
            with pytest.raises(pyipc.LimitError):
                self.queue.receive(timeout=0, max_size=size)
        else:
            got = self.queue.receive(timeout=0, max_size=size, truncate=truncate)
            assert got == (expected[0][:size], expected[1])
            self.messages.pop(0)

    @rule(bound=st.integers(1, 60))
    def change_the_bound(self, bound):
        self.queue.set(max_bytes=bound)
        self.bound = bound

    @invariant()
    def the_kernel_agrees(self):
        if hasattr(self, "queue"):
            stat = self.queue.stat()
            assert (stat.messages, stat.bytes, stat.max_bytes) == (
                len(self.messages),
                self.held(),
                self.bound,
            )


TestSegments = SegmentModel.TestCase
TestSets = SetModel.TestCase
TestQueues = QueueModel.TestCase
TestSegments.settings = TestSets.settings = TestQueues.settings = PLAY
