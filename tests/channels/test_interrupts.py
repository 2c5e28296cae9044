"""Signal handlers that raise, at any moment of a call: nothing is held by nobody."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.needs("channels"), pytest.mark.timeout(60)]


def is_interrupted(say, hear, what, seconds):
    import contextlib
    import gc
    import random
    import signal
    import time

    import pyipc
    from pyipc import channels

    class ZapError(Exception):
        pass

    armed = [False]

    def zap(number, frame):
        if armed[0]:
            armed[0] = False
            raise ZapError

    signal.signal(signal.SIGALRM, zap)
    channel = channels.Channel(8, 64, 1 << 16)
    sent = channel.writer()
    rounds = zapped = acknowledged = 0

    def recv_ack():
        nonlocal acknowledged
        message = channel.recv(timeout=1, ack=True)
        data = bytes(message)
        armed[0] = False
        message.ack()
        acknowledged += 1
        return data

    def reserve():
        with channel.reserve(1 << 15, timeout=1) as reserved:
            reserved.buf[:4] = b"data"
            reserved.cancel()

    def send_long():
        channel.send(bytes(1 << 14), timeout=1)
        channel.recv(timeout=1)

    def queue():
        with contextlib.suppress(pyipc.WouldBlockError):
            objects.send(channel, *objects.dumps([bytearray(20_000)]), 0)
        with contextlib.suppress(pyipc.WouldBlockError):
            objects.loads(channel._recv_data(0))

    def make():
        with channel.reader() as reader:
            reader.statistics()

    from pyipc.channels import objects

    call = {"recv ack": recv_ack, "reserve": reserve, "send long": send_long, "queue": queue, "make": make}[
        what
    ]
    end = time.monotonic() + seconds
    data = [b"short", b"long" * 100]
    given = 0
    # On a busy machine few of them strike in that time.
    while time.monotonic() < end or (zapped <= 100 and time.monotonic() < end + 15):
        rounds += 1
        if what == "recv ack" and channel.statistics().depth == 0:
            with contextlib.suppress(pyipc.WouldBlockError):
                sent.send(data[rounds % 2], timeout=0)
                given += 1
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1.2e-4))
        try:
            armed[0] = True
            try:
                call()
            finally:
                armed[0] = False
        except ZapError:
            zapped += 1
        except pyipc.IPCError:
            pass
        if what != "recv ack":
            with contextlib.suppress(pyipc.WouldBlockError):
                while True:
                    channel.recv(timeout=0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    gc.collect()
    left = 0
    with contextlib.suppress(pyipc.WouldBlockError):
        while True:
            channel.recv(timeout=0)
            left += 1
    try:
        channel.reserve(1 << 16, timeout=0).cancel()
        free = True
    except pyipc.WouldBlockError:
        free = False
    say({"rounds": rounds, "zapped": zapped, "free": free, "given": given, "came": acknowledged + left})
    sent.close()
    channel.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("what", ["recv ack", "reserve", "send long", "queue", "make"])
def test_no_message_and_no_memory_is_held_by_nobody(child, what):
    other = child(is_interrupted, what, 0.6, measured=False)
    facts = other.hear()
    assert facts["zapped"] > 100, facts
    assert facts["free"], facts
    assert facts["came"] >= facts["given"], facts
    assert other.end() == 0
