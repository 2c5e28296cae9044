"""Random sequences of messages beside a model in Python: the same bytes, the same files, the same end."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import settings, stateful, strategies

import pyipc
from pyipc import fds

PLAY = settings(max_examples=60, stateful_step_count=40)


def opened():
    return len(os.listdir("/proc/self/fd"))


class MessageModel(stateful.RuleBasedStateMachine):
    """Packets between two ends: what is sent at one waits, in order, until it is received at the other."""

    def __init__(self):
        super().__init__()
        self.before = opened()
        self.ends = fds.socketpair()
        self.files = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
        self.pipes = [os.pipe() for _ in range(2)]
        self.queues = [[], []]  # by who receives: (data, the inodes)
        self.gone = [False, False]
        self.held = []
        # With more packets than these it may have to wait, as the kernel likes.
        for end in self.ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    def teardown(self):
        for handle in self.held:
            handle.close()
        for end in self.ends:
            end.close()
        for number in self.files + [end for pipe in self.pipes for end in pipe]:
            os.close(number)
        assert opened() == self.before

    def numbers(self):
        return self.files + [end for pipe in self.pipes for end in pipe] + [one.fileno() for one in self.held]

    @stateful.rule(
        who=strategies.integers(0, 1),
        data=strategies.binary(max_size=30) | strategies.integers(2000, 5000).map(bytes),
        picks=strategies.lists(strategies.integers(0, 20), max_size=5),
        whole=strategies.booleans(),
    )
    def send(self, who, data, picks, whole):
        given = [self.numbers()[pick % len(self.numbers())] for pick in picks]
        inodes = [os.fstat(number).st_ino for number in given]
        other = 1 - who

        def call():
            fds.send(self.ends[who], data if whole else bytearray(data), given, timeout=0)

        if self.gone[who]:
            with pytest.raises(pyipc.ClosedError):
                call()
        elif not data and not picks:
            with pytest.raises(ValueError, match="end of the connection"):
                call()
        elif self.gone[other]:
            with pytest.raises(pyipc.PeerGoneError):
                call()
        else:
            try:
                call()
            except pyipc.WouldBlockError:
                assert len(self.queues[other]) >= 10  # net.unix.max_dgram_qlen, the least there is
            else:
                self.queues[other].append((data, inodes))

    @stateful.rule(
        who=strategies.integers(0, 1), keep=strategies.integers(0, 2), bound=strategies.integers(0, 40)
    )
    def receive(self, who, keep, bound):
        most = bound or None

        def call():
            return fds.receive(self.ends[who], most, timeout=0)

        if self.gone[who]:
            with pytest.raises(pyipc.ClosedError):
                call()
        elif self.queues[who] and most and len(self.queues[who][0][0]) > most:
            with pytest.raises(pyipc.LimitError):
                call()
        elif self.queues[who]:
            data, inodes = self.queues[who].pop(0)
            with call() as message:
                assert message.data == data
                assert [os.fstat(one.fileno()).st_ino for one in message.fds] == inodes
                if len(self.held) < 10:
                    self.held += map(fds.Handle, message.fds[:keep])  # taken over
        elif self.gone[1 - who]:
            with pytest.raises(pyipc.PeerGoneError):
                call()
        else:
            with pytest.raises(pyipc.WouldBlockError):
                call()

    @stateful.precondition(lambda self: self.held)
    @stateful.rule(what=strategies.integers(0, 3), which=strategies.integers(0, 9))
    def do_something_with_a_handle(self, what, which):
        handle = self.held.pop(which % len(self.held))
        if what == 0:
            self.held.append(handle.dup())
        elif what == 1:
            self.held.append(fds.Handle(handle.detach()))
        elif what == 2:
            self.held.append(fds.Handle(handle))
        handle.close()

    @stateful.precondition(lambda self: not all(self.gone))
    @stateful.rule(who=strategies.integers(0, 1), luck=strategies.integers(0, 9))
    def close_an_end(self, who, luck):
        if luck == 0 and not self.gone[who]:
            self.ends[who].close()
            self.gone[who] = True
            self.queues[who].clear()

    @stateful.invariant()
    def nothing_is_open_that_is_not_held(self):
        ours = len(self.files) + 2 * len(self.pipes) + len(self.held) + 2 - sum(self.gone)
        assert opened() == self.before + ours


TestMessages = MessageModel.TestCase
TestMessages.settings = PLAY


def test_what_the_model_sends_ends_where_its_last_holder_ends(pair, pipes):
    """The kernel's side of the model: a file on its way is held by the message alone."""
    ours, theirs = pair()
    reading, writing = pipes()
    for _ in range(3):
        fds.send(ours, b"x", [writing, writing])
    writing.close()
    for _ in range(3):
        assert reading.read(1) is None
        fds.receive(theirs, timeout=0).close()
    assert reading.read(1) == b""
