"""Hypothesis plays: whatever the order of calls, a queue and a small model say the same."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import pyipc
from pyipc import posix


class QueueModel(RuleBasedStateMachine):
    """A list, sorted by priority; two handles on it."""

    ROOM = 5

    @initialize()
    def make(self):
        self.first = posix.MessageQueue.create(None, max_messages=self.ROOM, max_size=16)
        self.second = posix.MessageQueue.open(self.first.name)
        self.messages = []

    def teardown(self):
        if hasattr(self, "first"):
            self.second.close()
            self.first.close()

    @rule(
        first=st.booleans(),
        data=st.binary(max_size=18),
        priority=st.integers(-1, 4) | st.sampled_from([32766, 32767, 32768]),
    )
    def send(self, first, data, priority):
        queue = self.first if first else self.second
        if not 0 <= priority < 32768:
            error = ValueError
        elif len(data) > 16:
            error = pyipc.LimitError
        else:
            error = pyipc.WouldBlockError if len(self.messages) == self.ROOM else None
        if error:
            with pytest.raises(error):
                queue.send(data, priority, timeout=0)
            return
        queue.send(data, priority, timeout=0)
        self.messages.append((data, priority))
        self.messages.sort(key=lambda message: -message[1])  # which keeps the order of equals

    @rule(first=st.booleans())
    def receive(self, first):
        queue = self.first if first else self.second
        if not self.messages:
            with pytest.raises(pyipc.WouldBlockError):
                queue.receive(timeout=0)
        else:
            assert queue.receive(timeout=0) == self.messages.pop(0)

    @rule()
    def look(self):
        assert self.first.stat().messages == len(self.messages)


@pytest.mark.needs("posix.message_queues")
class TestQueueModel(QueueModel.TestCase):
    settings = settings(max_examples=40, stateful_step_count=40, deadline=None, database=None)
