"""More descriptors than one message can hold arrive as one; what is none, or was given up, does not."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import socket
import struct
import time

import pytest

import pyipc
from pyipc import fds

BUNDLE_KINDS = ["seqpacket", "stream"]
HEADER = struct.Struct("<4sIIIIQ")  # magic; part, of how many; its descriptors and bytes; whose part


@pytest.fixture(params=BUNDLE_KINDS)
def kind(request):
    return request.param


@pytest.fixture
def many_files():
    """Room for more descriptors than a process may have by default."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[0] < 2048:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (2048, max(2048, before[1])))
        except (ValueError, OSError):
            pytest.skip("this user may not have enough files open")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def send_bundles(say, hear, sock, sizes):
    import os
    import resource

    from pyipc import fds

    resource.setrlimit(
        resource.RLIMIT_NOFILE, (2048, max(2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    )
    null, zero = (os.open(name, os.O_RDONLY) for name in ("/dev/null", "/dev/zero"))
    for count, size in sizes:
        given = [null if place % 3 else zero for place in range(count)]
        fds.send_bundle(sock, bytes(place % 251 for place in range(size)), given, timeout=20)
    hear()


# ---- whole ----

SIZES = [
    (0, 0),
    (1, 0),
    (0, 1),
    (2, 10),
    (253, 32768),
    (254, 32769),
    (700, 5),
    (3, 3_000_000),
    (600, 100_000),
]


def test_bundles_arrive_whole_and_in_order(pair, kind, partner, many_files):
    ours, theirs = pair(kind)
    other = partner(send_bundles, theirs, SIZES)
    null, zero = (os.stat(name).st_rdev for name in ("/dev/null", "/dev/zero"))
    for count, size in SIZES:
        with fds.receive_bundle(ours, 20.0) as message:
            assert type(message) is fds.Message
            assert message.data == bytes(place % 251 for place in range(size))
            assert [os.fstat(handle.fileno()).st_rdev for handle in message.fds] == [
                null if place % 3 else zero for place in range(count)
            ]
            assert not any(os.get_inheritable(handle.fileno()) for handle in message.fds)
    other.say("end")
    assert other.end() == 0
    with pytest.raises(pyipc.PeerGoneError):
        fds.receive_bundle(ours)


def test_what_can_be_sent_can_be_bundled(pair, kind, keep, files):
    ours, theirs = pair(kind)
    handle = keep(fds.Handle(os.dup(0)))
    fds.send_bundle(ours, bytearray(b"abc"), (one for one in (files[0], handle, 0)))
    with fds.receive_bundle(theirs, timeout=0) as message:
        assert (message.data, len(message.fds)) == (b"abc", 3)


def test_both_ends_may_be_given_as_numbers_or_handles(pair, kind, keep):
    ours, theirs = pair(kind)
    fds.send_bundle(ours.fileno(), b"x", [0])
    fds.receive_bundle(theirs.fileno(), timeout=0).close()
    handle = keep(fds.Handle(os.dup(ours.fileno())))
    fds.send_bundle(handle, b"x", [0])
    with fds.receive_bundle(theirs, timeout=0) as message:
        assert len(message.fds) == 1


def test_datagrams_and_what_is_no_unix_socket_are_refused(pair, keep):
    ours, _ = pair("datagram")
    for call in lambda: fds.send_bundle(ours, b"x"), lambda: fds.receive_bundle(ours, 0):
        with pytest.raises(ValueError, match="seqpacket"):
            call()
    with socket.create_server(("127.0.0.1", 0)) as server:
        tcp = keep(socket.create_connection(server.getsockname()))
        with pytest.raises(ValueError, match="Unix"):
            fds.send_bundle(tcp, b"x", [0])


def test_what_is_not_open_or_no_descriptor_sends_nothing(pair, kind):
    ours, theirs = pair(kind)
    for wrong, problem in (None, TypeError), (-1, pyipc.ClosedError), ("x", TypeError), (1 << 40, ValueError):
        with pytest.raises(problem):
            fds.send_bundle(ours, b"x", [0] * 300 + [wrong])
    for data in "text", None, 5:
        with pytest.raises(TypeError):
            fds.send_bundle(ours, data)
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive(theirs, timeout=0)


# ---- in time ----


@pytest.mark.parametrize(("timeout", "error"), [(0, "WouldBlockError"), (0.1, "TimedOutError")])
def test_an_unfinished_bundle_is_not_waited_for_longer_than_that_and_leaves_nothing(
    pair, kind, opened, timeout, error
):
    ours, theirs = pair(kind)
    fds.send(ours, HEADER.pack(b"pyB1", 0, 2, 3, 4, 7) + b"half", [0] * 3)
    before, started = opened(), time.monotonic()
    with pytest.raises(getattr(pyipc, error)):
        fds.receive_bundle(theirs, timeout)
    assert timeout <= time.monotonic() - started < timeout + 0.5
    assert opened() == before


def test_a_timeout_is_for_all_of_it_however_often_something_comes(pair, kind, handling):
    ours, theirs = pair(kind)
    parts = iter(range(100))

    def one_more(*_):
        part = next(parts, None)
        if part is not None:
            fds.send(ours, HEADER.pack(b"pyB1", part, 1000, 0, 1, 7) + b"x")

    handling(signal.SIGALRM, one_more)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    started = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):
        fds.receive_bundle(theirs, 0.2)
    assert 0.2 <= time.monotonic() - started < 0.7
    assert next(parts, 100) > 5


@pytest.mark.parametrize(("timeout", "error"), [(0, "WouldBlockError"), (0.1, "TimedOutError")])
def test_a_sender_waits_for_room_no_longer_than_that_either(pair, kind, timeout, error):
    ours, _theirs = pair(kind)
    started = time.monotonic()
    with pytest.raises(getattr(pyipc, error)):
        fds.send_bundle(ours, bytes(10_000_000), [0] * 10, timeout)
    assert timeout <= time.monotonic() - started < timeout + 0.5


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_timeout_that_makes_no_sense_is_a_value_error(pair, kind, seconds):
    ours, theirs = pair(kind)
    with pytest.raises(ValueError, match="timeout"):
        fds.send_bundle(ours, b"x", [0], seconds)
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive(theirs, timeout=0)
    fds.send_bundle(ours, b"x")
    with pytest.raises(ValueError, match="timeout"):
        fds.receive_bundle(theirs, seconds)
    fds.receive_bundle(theirs, 0).close()


# ---- given up half-way ----


def send_twice(say, hear, sock):
    import pyipc
    from pyipc import fds

    hear()
    try:
        fds.send_bundle(sock, b"1" * 10_000_000, [0] * 300, timeout=0)
    except pyipc.WouldBlockError:
        say("given up")
    hear()
    fds.send_bundle(sock, b"2" * 100_000, [0] * 5, timeout=20)


def test_what_its_sender_gave_up_is_passed_over_on_packets(pair, partner, opened):
    ours, theirs = pair("seqpacket")
    other = partner(send_twice, theirs)
    before = opened()
    other.say("go")
    assert other.hear() == "given up"
    other.say("again")
    with fds.receive_bundle(ours, 20.0) as message:
        assert (message.data, len(message.fds)) == (b"2" * 100_000, 5)
    assert opened() == before
    assert other.end() == 0


def test_what_its_receiver_gave_up_is_passed_over_on_packets(pair, handling, ringing, opened):
    ours, theirs = pair("seqpacket")
    fds.send(ours, HEADER.pack(b"pyB1", 0, 3, 2, 1, 7) + b"a", [0] * 2)

    def late(*_):
        raise ZeroDivisionError

    handling(signal.SIGALRM, late)
    before = opened()
    with pytest.raises(ZeroDivisionError), ringing(0.05):
        fds.receive_bundle(theirs)
    assert opened() == before
    for part in 1, 2:
        fds.send(ours, HEADER.pack(b"pyB1", part, 3, 2, 1, 7) + b"a", [0] * 2)
    fds.send_bundle(ours, b"the next one", [0])
    with fds.receive_bundle(theirs, 0) as message:
        assert (message.data, len(message.fds)) == (b"the next one", 1)
    assert opened() == before


def test_a_bundle_of_more_bytes_than_asked_for_is_lost_and_the_next_one_comes(pair, opened):
    ours, theirs = pair("seqpacket")
    before = opened()
    fds.send_bundle(ours, bytes(100_000), [0] * 3)
    with pytest.raises(pyipc.LimitError, match="max_size is 99999") as caught:
        fds.receive_bundle(theirs, 0, max_size=99_999)
    assert (caught.value.limit, caught.value.value) == ("max_size", 99_999)
    assert opened() == before
    fds.send_bundle(ours, bytes(1000))
    assert fds.receive_bundle(theirs, 0, max_size=1000).data == bytes(1000)


def test_the_end_of_the_connection_in_the_middle_is_a_peer_gone_error(pair, kind, opened):
    ours, theirs = pair(kind)
    fds.send(ours, HEADER.pack(b"pyB1", 0, 2, 3, 4, 7) + b"half", [0] * 3)
    ours.close()
    before = opened()
    with pytest.raises(pyipc.PeerGoneError):
        fds.receive_bundle(theirs)
    assert opened() == before


def receive_and_leave(say, hear, sock):
    from pyipc import fds

    fds.receive(sock, timeout=20).close()


def test_a_receiver_that_leaves_in_the_middle_is_a_peer_gone_error(pair, kind, partner):
    ours, theirs = pair(kind)
    other = partner(receive_and_leave, theirs)
    with pytest.raises(pyipc.PeerGoneError):
        fds.send_bundle(ours, bytes(20_000_000), [0] * 10, 20.0)
    assert other.end() == 0


def test_a_table_too_small_for_the_bundle_loses_it_and_leaves_nothing(pair, kind, partner):
    def receive_in_a_small_table(say, hear, sock):
        import os
        import resource

        import pyipc
        from pyipc import fds

        before = os.listdir("/proc/self/fd")
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))
        try:
            fds.receive_bundle(sock, 20.0)
        except pyipc.DescriptorsLostError as problem:
            say((problem.limit, problem.value))
        say(os.listdir("/proc/self/fd") == before)

    ours, theirs = pair(kind)
    other = partner(receive_in_a_small_table, theirs)
    fds.send_bundle(ours, b"x", [0] * 600)
    assert other.hear() == ("RLIMIT_NOFILE", 300)
    assert other.hear() is True
    assert other.end() == 0


# ---- what is no bundle ----

LIES = {
    "another magic": (b"pyB2" + HEADER.pack(b"pyB1", 0, 1, 1, 1, 7)[4:] + b"x", 1),
    "no header": (b"garbage", 1),
    "a part of a header": (HEADER.pack(b"pyB1", 0, 1, 1, 1, 7)[:-1], 1),
    "more descriptors than came": (HEADER.pack(b"pyB1", 0, 1, 2, 1, 7) + b"x", 1),
    "fewer descriptors than came": (HEADER.pack(b"pyB1", 0, 1, 0, 1, 7) + b"x", 1),
    "more bytes than came": (HEADER.pack(b"pyB1", 0, 1, 1, 2, 7) + b"x", 1),
    "fewer bytes than came": (HEADER.pack(b"pyB1", 0, 1, 1, 0, 7) + b"x", 1),
    "a part behind the last": (HEADER.pack(b"pyB1", 1, 1, 1, 1, 7) + b"x", 1),
    "no parts": (HEADER.pack(b"pyB1", 0, 0, 1, 1, 7) + b"x", 1),
    "a huge size": (HEADER.pack(b"pyB1", 0, 1, 1, 2**32 - 1, 7) + b"x", 1),
    "huge everything": (b"pyB1" + b"\xff" * 24, 253),
    "a message of somebody else": (b"hello, this is a longer message than a header is", 3),
    "nothing but descriptors": (b"", 3),
}


@pytest.mark.parametrize("lie", LIES)
def test_on_packets_what_is_no_bundle_is_an_error_that_leaves_nothing(pair, lie, opened):
    ours, theirs = pair("seqpacket")
    data, count = LIES[lie]
    before = opened()
    fds.send(ours, data, [0] * count)
    with pytest.raises(pyipc.IPCError, match="none") as caught:
        fds.receive_bundle(theirs, 0)
    assert caught.value.errno == errno.EPROTO
    assert opened() == before
    fds.send_bundle(ours, b"next", [0])
    with fds.receive_bundle(theirs, 0) as message:
        assert (message.data, len(message.fds)) == (b"next", 1)


@pytest.mark.parametrize("lie", [lie for lie in LIES if lie != "nothing but descriptors"])
def test_on_a_stream_what_is_no_bundle_is_an_error_that_leaves_nothing(pair, lie, opened):
    ours, theirs = pair("stream")
    data, count = LIES[lie]
    fds.send(ours, data, [0] * count)
    ours.close()
    before = opened()

    def receive_all():
        while True:  # bytes may be left over, and are no bundle either
            fds.receive_bundle(theirs, 0).close()

    with pytest.raises(pyipc.IPCError) as caught:
        receive_all()
    # With fewer bytes than were claimed comes the end.
    assert caught.value.errno in (errno.EPROTO, errno.EPIPE)
    assert opened() == before


def test_parts_of_two_bundles_are_not_made_into_one(pair, files):
    ours, theirs = pair("seqpacket")
    for part, whose in (0, 1), (0, 2), (1, 1):
        fds.send(ours, HEADER.pack(b"pyB1", part, 2, 1, 1, whose) + b"x", [files[whose - 1]])
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive_bundle(theirs, 0)
    fds.send_bundle(ours, b"whole", [files[0]])
    with fds.receive_bundle(theirs, 0) as message:
        assert (message.data, len(message.fds)) == (b"whole", 1)


def test_many_lies_in_a_row_leave_nothing(pair, opened):
    ours, theirs = pair("seqpacket")
    chance = random.Random(1)
    before = opened()
    outcomes = set()
    for _ in range(3000):
        header = HEADER.pack(b"pyB1", *(chance.randrange(3) for _ in range(5)))
        if chance.random() < 0.1:
            header = header[: chance.randrange(HEADER.size)]
        fds.send(ours, header + b"x" * chance.randrange(3), [0] * chance.randrange(1, 3))
        try:
            fds.receive_bundle(theirs, 0).close()
            outcomes.add(0)
        except pyipc.IPCError as problem:
            outcomes.add(problem.errno)
    assert outcomes == {0, errno.EPROTO, errno.EAGAIN}
    assert opened() == before


# ---- whoever sends ----


def test_a_bundle_tells_its_sender_and_keeps_one_pidfd_of_it(pair, kind, opened):
    ours, theirs = pair(kind)
    try:
        fds.pass_credentials(ours, pidfd=True)
    except pyipc.UnsupportedError:
        pytest.skip("pidfds over sockets came with Linux 6.5")
    fds.send_bundle(theirs, bytes(100_000), [0])
    before = opened()
    with fds.receive_bundle(ours, timeout=20) as message:
        assert (message.peer.pid, message.peer.uid) == (os.getpid(), os.geteuid())
        assert message.peer.pidfd.pid == os.getpid()
        assert len(opened() - before) == 2
    assert opened() == before


def begin_bundles(say, hear, sock):
    import struct

    from pyipc import fds

    part = struct.pack("<4sIIIIQ", b"pyB1", 0, 2, 0, 1, 7) + b"x"
    say("begun")
    try:
        while True:
            fds.send(sock, part)
    except OSError:
        pass


def test_a_peer_that_begins_again_and_again_does_not_hold_a_timeout_up(pair, kind, partner):
    ours, theirs = pair(kind)
    other = partner(begin_bundles, theirs)
    assert other.hear() == "begun"
    started = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):
        fds.receive_bundle(ours, timeout=0.3)
    assert time.monotonic() - started < 2
    ours.close()
    assert other.end() == 0


@pytest.mark.parametrize(("size", "wrong"), [(None, TypeError), ("1", TypeError), (-1, ValueError)])
def test_a_wrong_bound_takes_nothing(pair, kind, size, wrong):
    ours, theirs = pair(kind)
    fds.send_bundle(ours, b"still here")
    with pytest.raises(wrong):
        fds.receive_bundle(theirs, 0, max_size=size)
    assert fds.receive_bundle(theirs, 0).data == b"still here"


class Fleeting:
    """A file that nobody else keeps."""

    def __init__(self, path):
        self.number = os.open(path, os.O_RDONLY)

    def fileno(self):
        return self.number

    def __del__(self):
        os.close(self.number)


def test_files_that_a_generator_opens_are_open_until_they_are_sent(pair, kind):
    ours, theirs = pair(kind)
    fds.send_bundle(ours, b"x", map(Fleeting, ["/dev/null", "/dev/zero"]))
    fds.send(ours, b"x", map(Fleeting, ["/dev/null", "/dev/zero"]))
    with fds.receive_bundle(theirs, 0) as bundle, fds.receive(theirs, timeout=0) as message:
        for came in bundle.fds, message.fds:
            assert [os.fstat(one.fileno()).st_rdev for one in came] == [
                os.stat("/dev/null").st_rdev,
                os.stat("/dev/zero").st_rdev,
            ]
