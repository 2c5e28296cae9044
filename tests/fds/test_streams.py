"""Streams, which take a part of a message at a time; and other sockets than Unix ones."""

from __future__ import annotations

import hashlib
import os
import signal
import socket

import pytest

import pyipc
from pyipc import fds

LONG = 3_000_000  # more than a pair's buffers hold


def count_what_comes(say, hear, sock, most):
    """Until the end, or until there are so many bytes."""
    import hashlib
    import os

    import pyipc
    from pyipc import fds

    hear()
    digest, size, files = hashlib.sha256(), 0, []
    try:
        while size < most:
            with fds.receive(sock, timeout=20) as message:
                facts = [os.fstat(handle.fileno()) for handle in message.fds]
                files += [(size, one.st_dev, one.st_ino) for one in facts]
                digest.update(message.data)
                size += len(message.data)
    except pyipc.PeerGoneError:
        pass
    sock.close()
    say((size, digest.hexdigest(), files))
    hear()


@pytest.fixture
def data():
    return os.urandom(LONG)


def told(data, files=()):
    """What `count_what_comes` says of these."""
    facts = [os.fstat(file.fileno()) for file in files]
    return len(data), hashlib.sha256(data).hexdigest(), [(0, one.st_dev, one.st_ino) for one in facts]


@pytest.fixture
def other(partner, pair):
    """Our end of a stream, and a process that counts once it is told to."""
    ours, theirs = pair("stream")

    def start(most=LONG):
        return ours, partner(count_what_comes, theirs, most)

    return start


def ended(process):
    """What it said at last."""
    answer = process.hear()
    process.say("end")
    assert process.end() == 0
    return answer


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_a_long_message_is_sent_whole_while_the_other_side_takes_it(
    other, data, files, timeout, waiter, until, asleep
):
    ours, receiver = other()
    sending = waiter(lambda: fds.send(ours, data, files, timeout))
    until(lambda: asleep(os.getpid(), sending.native_id))
    receiver.say("go")
    sending.join()
    assert sending.outcome is None
    assert ended(receiver) == told(data, files)


@pytest.mark.parametrize(("timeout", "error"), [(0, "WouldBlockError"), (0.05, "TimedOutError")])
def test_of_a_message_that_went_in_part_the_error_says_how_much(other, data, files, timeout, error):
    ours, receiver = other()
    with pytest.raises(getattr(pyipc, error), match="3000000 bytes") as caught:
        fds.send(ours, data, files, timeout)
    went = caught.value.characters_written
    assert 0 < went < LONG
    ours.close()
    receiver.say("go")
    assert ended(receiver) == told(data[:went], files)


def test_the_rest_of_a_message_can_be_sent_later_and_the_descriptors_went_once(other, data, files):
    ours, receiver = other()
    with pytest.raises(pyipc.WouldBlockError) as caught:
        fds.send(ours, data, files, 0)
    with pytest.raises(pyipc.WouldBlockError) as again:
        fds.send(ours, b"no room", files, 0)
    assert again.value.characters_written == 0
    receiver.say("go")
    fds.send(ours, data[caught.value.characters_written :])
    assert ended(receiver) == told(data, files)


def test_the_error_of_a_message_in_part_says_what_was_asked_for(pair, data, files):
    ours, _theirs = pair("stream")
    with pytest.raises(pyipc.WouldBlockError, match="send 3000000 bytes and 2 descriptors"):
        fds.send(ours, data, files, 0)


def test_what_went_before_a_handler_raised_arrives(other, data, files, handling, ringing, opened):
    ours, receiver = other()

    def late(*_):
        raise ZeroDivisionError

    handling(signal.SIGALRM, late)
    before = opened()
    with pytest.raises(ZeroDivisionError), ringing(0.05):
        fds.send(ours, data, files)
    assert opened() == before
    ours.close()
    receiver.say("go")
    size, digest, came = ended(receiver)
    assert (size, digest, came) == told(data[:size], files)
    assert 0 < size < LONG


def test_a_handler_that_returns_does_not_hurt_a_long_message(other, data, files, handling):
    ours, receiver = other()
    came = []
    handling(signal.SIGALRM, lambda *_: came.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    receiver.say("go")
    fds.send(ours, data, files, 20)
    assert came
    assert ended(receiver) == told(data, files)


def test_a_reader_that_leaves_half_way_is_a_peer_gone_error_that_says_how_much_went(
    other, data, files, waiter, until, asleep
):
    ours, receiver = other(most=1)
    sending = waiter(lambda: fds.send(ours, data, files))
    until(lambda: asleep(os.getpid(), sending.native_id))
    receiver.say("go")
    sending.join()
    assert type(sending.outcome) is pyipc.PeerGoneError
    assert 0 < sending.outcome.characters_written < LONG
    size, _, came = ended(receiver)
    assert (size > 0, len(came)) == (True, 2)


def test_one_read_of_a_stream_takes_at_most_64_kib(pair):
    ours, theirs = pair("stream")
    fds.send(ours, bytes(100_000))
    sizes = []
    while sum(sizes) < 100_000:
        with fds.receive(theirs, timeout=0) as message:
            sizes.append(len(message.data))
    assert max(sizes) <= 65536


# ---- other sockets ----


@pytest.fixture
def tcp(keep):
    """Two connected TCP sockets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = keep(socket.create_connection(server.getsockname()))
        return one, keep(server.accept()[0])


@pytest.mark.parametrize("as_number", [False, True])
def test_over_tcp_descriptors_and_credentials_are_refused_and_nothing_goes(tcp, as_number):
    ours, theirs = tcp
    given = ours.fileno() if as_number else ours
    me = os.getpid(), os.getuid(), os.getgid()
    for what in {"descriptors": [0]}, {"credentials": me}:
        with pytest.raises(ValueError, match="Unix sockets only"):
            fds.send(given, b"x", **what)
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive(theirs, timeout=0)


@pytest.mark.parametrize("as_number", [False, True])
def test_over_tcp_bytes_come_as_they_were_sent(tcp, as_number):
    ours, theirs = (sock.fileno() for sock in tcp) if as_number else tcp
    fds.send(ours, b"0123456789")
    with fds.receive(theirs, 4, timeout=20) as message:
        assert message.data == b"0123"
    with fds.receive(theirs, timeout=20) as message:
        assert (message.data, message.fds, message.peer, message.address) == (b"456789", [], None, None)


def test_a_long_message_over_tcp_arrives_whole_and_then_comes_the_end(tcp, data, partner):
    ours, theirs = tcp
    receiver = partner(count_what_comes, theirs, LONG + 1)
    receiver.say("go")
    fds.send(ours, data, timeout=20)
    ours.close()
    assert ended(receiver) == told(data)


def test_who_sends_over_tcp_to_somebody_who_has_gone_is_told(tcp):
    ours, theirs = tcp
    theirs.close()

    def send_on():
        while True:  # the first may get away before the answer comes
            fds.send(ours, b"x" * 100, timeout=20)

    with pytest.raises(pyipc.PeerGoneError):
        send_on()


def test_a_tcp_socket_that_is_not_connected_says_so():
    with socket.socket() as sock:
        with pytest.raises(pyipc.IPCError):
            fds.send(sock, b"x", timeout=1)
        with pytest.raises(pyipc.IPCError, match="not connected"):
            fds.receive(sock, timeout=0)


def test_datagrams_of_the_internet_come_whole_or_stay(keep):
    ours, theirs = (keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
    theirs.bind(("127.0.0.1", 0))
    ours.connect(theirs.getsockname())
    fds.send(ours, b"0123456789")
    with pytest.raises(ValueError, match="Unix sockets only"):
        fds.send(ours, b"x", [0])
    with pytest.raises(pyipc.LimitError, match="still there"):
        fds.receive(theirs, 4, timeout=20)
    with fds.receive(theirs, timeout=20) as message:
        assert (message.data, message.address) == (b"0123456789", None)
    fds.send(ours, b"")
    with fds.receive(theirs, timeout=20) as message:
        assert message.data == b""
