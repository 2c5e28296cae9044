"""Rounds of passing descriptors under random limits, signals and kills; says what happened.

Arguments: a seed, and how many rounds at the least.

An episode is a pair of sockets, a sender, a receiver, and one of them killed in the end. Each message
says its number and how many descriptors go with it, all of them copies of the write end of one pipe.
So when both have gone, the read end is at its end: the kernel's word that no copy is left, in no
process and on no way.
"""

from __future__ import annotations

import errno
import os
import random
import resource
import select
import signal
import struct
import sys
import time
import warnings

import handshake

import pyipc
from pyipc import fds

MESSAGE = struct.Struct("<III")  # number, descriptors, how often the sender was interrupted so far
COUNTERS = ("rounds", "passed", "lost", "interrupted")
PATIENCE = 20.0


class ZapError(Exception):
    """A signal handler raises this, at any moment."""


armed = False


def zap(number, frame):
    """Raise once for each time it was armed: clean-up is not interrupted again."""
    global armed
    if armed:
        armed = False
        raise ZapError


def begin(seed):
    random.seed(seed)
    interval = random.choice([0.0003, 0.001, 0.003])  # seconds; a round takes 0.03 to 0.1
    signal.setitimer(signal.ITIMER_REAL, interval, interval)


def open_now():
    return len(os.listdir("/proc/self/fd"))


def attempt(operation):
    """What it returns or raises; None if it was zapped, which may be at any moment of it."""
    global armed
    try:
        try:
            armed = True
            outcome = operation()
        except pyipc.IPCError as problem:
            outcome = problem
        armed = False
    except ZapError:
        return None
    return outcome


def send_rounds(sock, pipe):
    """Until nobody receives any more."""
    pipe = fds.Handle(pipe)
    number = interrupted = 0
    before = open_now()

    def send():
        with pipe.dup() as another:
            fds.send(sock, data, [random.choice([pipe, another]) for _ in range(count)])
        return True

    while True:
        number += 1
        count = random.choice([0, 1, 1, 2, 5, 40, 253])
        data = MESSAGE.pack(number, count, interrupted) + bytes(random.choice([0, 10, 5000]))
        outcome = attempt(send)
        # A datagram socket says once that its other end has gone; then it is not connected any more.
        if isinstance(outcome, pyipc.PeerGoneError) or getattr(outcome, "errno", 0) == errno.ENOTCONN:
            break
        assert outcome in (True, None), repr(outcome)
        interrupted += outcome is None
        assert open_now() == before, "the sender has left some open"


def look_at(message):
    """The descriptors of a message must be all there, and close-on-exec; gives its numbers."""
    numbers = MESSAGE.unpack_from(message.data)
    assert len(message.fds) == numbers[1], f"{len(message.fds)} descriptors of {numbers[1]}"
    for handle in message.fds[:3] + message.fds[-3:]:
        assert not os.get_inheritable(handle.fileno())
    if message.fds and random.random() < 0.2:
        os.close(message.fds[0].detach())
    message.close()
    return numbers


def receive_rounds(sock, add):
    """Until nobody sends any more."""
    last = theirs = mine = 0
    before = open_now()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    while True:
        limit = before + random.choice([3, 10, 60, 300])
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most[1]))
        outcome = attempt(lambda: fds.receive(sock))
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
        add("rounds", 1)
        if isinstance(outcome, pyipc.PeerGoneError):
            break
        if outcome is None:
            mine += 1
            add("interrupted", 1)
        else:
            if isinstance(outcome, pyipc.DescriptorsLostError):
                number, count, interrupted = MESSAGE.unpack_from(outcome.data)
                assert outcome.arrived < count
                assert outcome.limit == "RLIMIT_NOFILE"
                add("lost", 1)
            else:
                number, count, interrupted = look_at(outcome)
                add("passed", count)
            missing = number - last - 1
            assert 0 <= missing <= mine + interrupted - theirs, f"{missing} messages are missing"
            last, theirs, mine = number, interrupted, 0
        outcome = None
        assert open_now() == before, "the receiver has left some open"


def forked(part):
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        part()
        status = 0
    except BaseException as problem:  # it must not go on as if it were the parent
        sys.stderr.write(f"{type(problem).__name__}: {problem}\n")
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def episode(seed, counters):
    random.seed(seed)
    kind = random.choice(["seqpacket", "datagram"])
    here, there = fds.socketpair(kind)
    reading, writing = os.pipe()

    def sender():
        there.close()
        os.close(reading)
        begin(seed + 1)
        send_rounds(here, writing)

    def receiver():
        here.close()
        os.close(reading)
        os.close(writing)
        begin(seed + 2)

        def add(name, amount):
            counters[COUNTERS.index(name)] += amount

        receive_rounds(there, add)

    pids = [forked(sender), forked(receiver)]
    here.close()
    there.close()
    os.close(writing)
    enough = counters[0] + random.choice([1, 20, 100, 200])
    give_up = time.monotonic() + PATIENCE
    while counters[0] < enough and time.monotonic() < give_up:
        for pid in pids:
            if random.random() < 0.01:
                os.kill(pid, signal.SIGUSR1)
    killed = random.choice(pids)
    os.kill(killed, signal.SIGKILL)
    survivor = pids[1 - pids.index(killed)]
    # A datagram socket has no end: whoever only receives is told by a signal that it does not survive.
    if kind == "datagram" and survivor == pids[1]:
        os.kill(survivor, signal.SIGTERM)
    statuses = {pid: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids}
    fine = statuses[killed] == -signal.SIGKILL and statuses[survivor] in (0, -signal.SIGTERM)
    gone = select.poll()
    gone.register(reading, select.POLLIN)
    events = gone.poll(PATIENCE * 1000)
    at_end = bool(events) and os.read(reading, 1) == b""
    os.close(reading)
    return fine, at_end, statuses


def main(seed, rounds):
    from pyipc.memory import Memory

    warnings.simplefilter("ignore", ResourceWarning)  # what a zap drops, it drops open
    signal.signal(signal.SIGALRM, zap)
    signal.signal(signal.SIGUSR1, zap)
    before = open_now()
    with Memory(8 * len(COUNTERS)) as memory:
        counters = memory.buf.cast("Q")
        episodes = 0
        while counters[0] < rounds:
            fine, at_end, statuses = episode(seed + 10 * episodes, counters)
            episodes += 1
            if not (fine and at_end):
                break
        facts = dict(zip(COUNTERS, counters))
        counters.release()
    facts.update(episodes=episodes, fine=fine, at_end=at_end, left=open_now() - before, statuses=statuses)
    handshake.say(facts)


handshake.begin()
main(int(sys.argv[1]), int(sys.argv[2]))
