"""A peer that writes whatever it likes, wherever it can, while we go on: an error at worst, and in time."""

from __future__ import annotations

import contextlib
import os
import random
import struct
import time

import pytest

import pyipc
from pyipc import channels
from pyipc.channels import ends as roles

pytestmark = pytest.mark.needs("channels")

SECONDS = 1.0
TIMEOUT = 0.1

VALUES = [
    *(0, 1, 2, 3, 7, 8, 9, 64, 65, 127, 128, 255, 256, 257, 4096, 65535, 65536),
    *(1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 32, 1 << 32 | 1, 1 << 32 | 255, 1 << 32 | 256),
    *(1 << 33, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 8),
]


def scribble_bytes(memory, random, pipes):
    size = random.choice([1, 4, 8, 64, 4096])
    at = random.randrange(len(memory) - size)
    memory[at : at + size] = random.randbytes(size)


def scribble_values(memory, random, pipes):
    """At the places of words: the head, both sides, the arena, owners, extents, the ring."""
    begin, end = random.choice([(0, 128), (128, 1024), (128, 1024), (1024, 16384), (16384, len(memory) - 8)])
    width = random.choice([4, 8])
    at = random.randrange(begin, min(end, len(memory) - 8), width)
    value = random.choice(VALUES) & ((1 << 8 * width) - 1)
    memory[at : at + width] = value.to_bytes(width, "little")


def scribble_near(memory, random, pipes):
    """A little more, or less, than what was there."""
    at = random.randrange(128, 16384, 8)
    (value,) = struct.unpack_from("<Q", memory, at)
    struct.pack_into("<Q", memory, at, (value + random.choice([-2, -1, 1, 2, 8, 255])) % (1 << 64))


def scribble_tokens(memory, random, pipes):
    """Steals them, floods the pipes, and says that they lie there."""
    reading, writing = random.choice(pipes)
    with contextlib.suppress(OSError):
        if random.random() < 0.5:
            os.read(reading, random.choice([1, 65536]))
        else:
            os.write(writing, bytes(random.choice([1, 65536])))
    if random.random() < 0.3:
        scribble_values(memory, random, pipes)


def scribble_never_stops(memory, random, pipes):
    """The same words all the time: as if it held the guards, as whoever it likes to be."""
    value = random.choice([1, 2, 3, 1 << 10 | 1, 1 << 10 | 2, 1 << 11 | 2, 0xFFFFFFFF, 0x80000001])
    at = random.randrange(128, 1024, 4)
    for _ in range(2000):
        struct.pack_into("<I", memory, at, value)


MODES = {name[9:]: function for name, function in list(globals().items()) if name.startswith("scribble_")}


def scribbles(other, channel, mode, seed):
    memory = channel._part().memory
    dice = random.Random(seed)
    pipes = [
        (channel._pipe(roles.DATA_READ), channel._pipe(roles.DATA_WRITE)),
        (channel._pipe(roles.SPACE_READ), channel._pipe(roles.SPACE_WRITE)),
    ]
    other.say()
    while True:
        for _ in range(20):
            MODES[mode](memory, dice, pipes)
        time.sleep(0.0005)  # so that something happens in between


def calls_on(channel, dice):
    data = bytes(dice.choice([0, 10, 64, 65, 5000]))

    def reserves():
        with channel.reserve(len(data), TIMEOUT) as reserved:
            reserved.buf[:] = data
            reserved.commit(timeout=TIMEOUT)

    def keeps():
        message = channel.recv(TIMEOUT, ack=True)
        bytes(message)
        dice.choice([message.ack, message.reject])()

    return [
        lambda: channel.send(data, TIMEOUT),
        lambda: channel.send(data, 0),
        lambda: channel.send_many([data] * 5, TIMEOUT),
        reserves,
        lambda: channel.recv(TIMEOUT),
        lambda: channel.recv(0),
        lambda: channel.recv_many(9, TIMEOUT),
        lambda: channel.recv_into(bytearray(100), TIMEOUT),
        keeps,
        lambda: bytes(channel.peek(TIMEOUT).buf),
        channel.statistics,
        lambda: pyipc.wait([channel], TIMEOUT),
        lambda: channel.writer().close(),
    ]


def goes_on(other, channel, seed):
    dice = random.Random(seed)
    longest, which, answers, errors = 0.0, "", 0, {}
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        calls = calls_on(channel, dice)
        number = dice.randrange(len(calls))
        begun = time.monotonic()
        try:
            calls[number]()
            answers += 1
        except (OSError, ValueError) as problem:
            errors[type(problem).__name__] = errors.get(type(problem).__name__, 0) + 1
        took = time.monotonic() - begun
        if took > longest:
            longest, which = took, number
    other.say((longest, which, answers, errors))


@pytest.mark.parametrize("mode", MODES)
def test_a_peer_that_scribbles_costs_errors_and_no_more(fork, mode):
    seed = random.randrange(1 << 32)
    channel = channels.Channel(8, 64, 1 << 16)
    victim_of = channels.Channel(2, 64, 0)  # that another channel is none the worse is looked at as well
    enemy = fork(scribbles, channel, mode, seed)
    enemy.hear()
    victims = [fork(goes_on, channel, seed + i) for i in range(2)]
    told = [victim.hear(timeout=SECONDS + 15) for victim in victims]
    statuses = [victim.end() for victim in victims]
    enemy.kill()
    assert statuses == [0, 0], (seed, told)  # no crash
    for longest, which, answers, errors in told:
        # Some calls are two of them, one to reserve and one to commit.
        assert longest < 2 * TIMEOUT + 1, (seed, which, told)
        assert answers + sum(errors.values()) > 5, (seed, told)
    victim_of.send(b"x")
    assert victim_of.recv() == b"x"
    victim_of.close()
    channel.close()


def test_a_peer_that_is_stopped_with_a_guard(fork, until):
    """It lives, so its guard cannot be taken; calls with a timeout end."""
    import signal

    channel = channels.Channel(4, 64, 1 << 16)

    def works(other):
        other.say()
        while True:
            with contextlib.suppress(pyipc.WouldBlockError):
                channel.send(bytes(64), timeout=0)
            with contextlib.suppress(pyipc.WouldBlockError):
                channel.recv(timeout=0)

    other = fork(works)
    other.hear()
    for _ in range(40):
        os.kill(other.pid, signal.SIGSTOP)
        for call in lambda: channel.send(b"x", 0.02), lambda: channel.recv(0.02):
            begun = time.monotonic()
            with contextlib.suppress(pyipc.TimedOutError):
                call()
            assert time.monotonic() - begun < 0.5
        os.kill(other.pid, signal.SIGCONT)
        time.sleep(0.001)  # so that it goes on somewhere else
    other.kill()
    channel.close()


@pytest.mark.parametrize("size", [0, 1, 4096, 1 << 20])
@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_memory_that_is_no_channel(channel, size, byte):
    """What a peer passes as one is looked at before it is believed."""
    from pyipc.memory import Memory

    with Memory(max(size, 1)) as memory:
        memory.write(bytes([byte]) * size)
        with pytest.raises((pyipc.IPCError, OSError)):
            channels.Reader._attach(memory.fileno(), [channel._pipe(role) for role in channels.Reader.roles])
    with open("/dev/zero", "r+b") as zero, pytest.raises((pyipc.IPCError, OSError)):
        channels.Reader._attach(zero.fileno(), [channel._pipe(role) for role in channels.Reader.roles])


def test_a_head_that_lies(channel):
    """Whatever one byte of the head is, a handle is made of it, or refused; and then it works or fails."""
    member = channel._part()
    numbers = [channel._pipe(role) for role in channels.Channel.roles]
    good = bytes(member.memory[:128])
    for at in range(64):
        for byte in 0x00, 0x01, 0x7F, 0xFF:
            member.memory[:128] = good
            member.memory[at] = byte
            try:
                made = channels.Channel._attach(member.life.fileno(), numbers)
            except OSError:
                continue
            with made, contextlib.suppress(OSError):
                made.send(b"x", 0)
                made.send(bytes(100), 0)
                made.recv_many(timeout=0)
                made.recv(timeout=0)
    member.memory[:128] = good
