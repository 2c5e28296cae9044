"""Hypothesis plays: whatever the order of calls, memory, kernel and a small model say the same."""

from __future__ import annotations

import os

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import pyipc
from pyipc.memory import Memory

MOST = 20_000


class MemoryModel(RuleBasedStateMachine):
    """One memory, and some handles on it; each has mapped so much of it, and may write or only read.

    The model: its bytes, whether it is sealed or frozen; of each open handle its size and what it may.
    """

    @initialize(size=st.integers(1, 5000), reserve=st.booleans())
    def make(self, size, reserve):
        first = Memory(size, reserve=reserve)
        self.bytes = bytearray(size)
        self.sealed = self.frozen = False
        self.handles = [first]
        self.sizes = {first: size}
        self.reading = {first: False}
        self.views = []  # with the model's length of each

    def teardown(self):
        self.views = []
        for handle in getattr(self, "handles", []):
            handle.close()

    def one(self, which):
        return self.handles[which % len(self.handles)]

    which = st.integers(0, 5)

    @rule(which=which, data=st.binary(max_size=300), offset=st.integers(-5, MOST), array=st.booleans())
    def write(self, which, data, offset, array):
        handle = self.one(which)
        offset = offset % (self.sizes[handle] + 20) - 5
        if not 0 <= offset <= offset + len(data) <= self.sizes[handle]:
            with pytest.raises(ValueError, match=r"\d"):
                handle.write(data, offset)
        elif self.reading[handle]:
            with pytest.raises(pyipc.AccessError):
                handle.write(bytearray(data) if array else data, offset)
        else:
            handle.write(bytearray(data) if array else data, offset)
            self.bytes[offset : offset + len(data)] = data

    @rule(which=which, size=st.none() | st.integers(-2, 5000), offset=st.integers(-5, MOST))
    def read(self, which, size, offset):
        handle = self.one(which)
        offset = offset % (self.sizes[handle] + 20) - 5
        end = self.sizes[handle] if size is None else offset + size
        if not 0 <= offset <= end <= self.sizes[handle]:
            with pytest.raises(ValueError, match=r"\d"):
                handle.read(size, offset)
        else:
            assert handle.read(size, offset) == bytes(self.bytes[offset:end])

    @rule(which=which, more=st.integers(-3000, 5000))
    def grow(self, which, more):
        handle = self.one(which)
        size = max(1, min(MOST, self.sizes[handle] + more))
        if size > len(self.bytes):
            if self.sealed or self.frozen or self.reading[handle]:
                with pytest.raises(pyipc.AccessError):
                    handle.grow(size)
                return
            self.bytes.extend(bytes(size - len(self.bytes)))
        handle.grow(size)
        self.mapped_again(handle)

    def mapped_again(self, handle):
        self.sizes[handle] = len(self.bytes)
        self.reading[handle] = self.reading[handle] or self.frozen

    @rule(which=which)
    def seal(self, which):
        handle = self.one(which)
        if self.frozen or self.reading[handle]:
            with pytest.raises(pyipc.AccessError):
                handle.seal()
        else:
            handle.seal()
            self.sealed = True

    @rule(which=which)
    def freeze(self, which):
        handle = self.one(which)
        others = [other for other in self.handles if other is not handle and not self.reading[other]]
        if self.frozen:
            handle.freeze()
            return
        if self.reading[handle]:
            with pytest.raises(pyipc.AccessError):
                handle.freeze()
        elif others or not all(reading for _, _, reading in self.views):
            with pytest.raises(pyipc.InUseError):
                handle.freeze()
        else:
            handle.freeze()
            self.frozen = True
        self.mapped_again(handle)

    @precondition(lambda self: len(self.handles) < 4)
    @rule(which=which, read_only=st.booleans(), how=st.sampled_from(["number", "handle"]))
    def open_another(self, which, read_only, how):
        number = os.dup(self.one(which).fileno())
        given = number if how == "number" else pyipc.fds.Handle(number)
        handle = Memory.from_fd(given, read_only=read_only)
        self.sizes[handle] = len(self.bytes)
        self.reading[handle] = read_only or self.reading[self.one(which)] or self.frozen
        self.handles.append(handle)

    @precondition(lambda self: len(self.handles) > 1)
    @rule(which=which)
    def close(self, which):
        handle = self.one(which)
        handle.close()
        with pytest.raises(pyipc.ClosedError):
            handle.read(0)
        self.handles.remove(handle)

    @rule(which=which, array=st.booleans())
    def take_a_view(self, which, array):
        handle = self.one(which)
        view = handle.array("u1") if array else handle.buf
        self.views.append((view, self.sizes[handle], self.reading[handle]))

    @rule(which=which, place=st.integers(0, MOST), value=st.integers(0, 255))
    @precondition(lambda self: self.views)
    def write_through_a_view(self, which, place, value):
        view, size, reading = self.views[which % len(self.views)]
        if reading:
            with pytest.raises((TypeError, ValueError)):
                view[place % size] = value
        else:
            view[place % size] = value
            self.bytes[place % size] = value

    @rule(keep=st.integers(0, 3))
    def drop_views(self, keep):
        del self.views[keep:]

    @invariant()
    def everybody_shows_the_same_bytes(self):
        for handle in getattr(self, "handles", []):
            size = self.sizes[handle]
            assert (handle.size, handle.read_only) == (size, self.reading[handle])
            assert handle.read() == bytes(self.bytes[:size])
            assert (handle.frozen, handle.sealed) == (self.frozen, self.sealed or self.frozen)
            assert os.fstat(handle.fileno()).st_size == len(self.bytes)
        for view, size, _ in getattr(self, "views", []):
            assert bytes(view) == bytes(self.bytes[:size])


TestMemory = MemoryModel.TestCase
TestMemory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, database=None)
