"""Who is at the other end, and who sent a message, as the kernel vouches for it."""

from __future__ import annotations

import errno
import os
import signal
import socket

import pytest

import pyipc
from pyipc import fds

NOBODY = 65534
UNKNOWN = 0, 65534, 65534


def facts(peer):
    return peer.pid, peer.uid, peer.gid


def me():
    return os.getpid(), os.getuid(), os.getgid()


@pytest.fixture
def pidfds(pair):
    """For what needs pidfds over sockets."""
    try:
        fds.peer(pair()[0], pidfd=True).close()
    except pyipc.UnsupportedError:
        pytest.skip("pidfds over sockets came with Linux 6.5")


def connect(say, hear, sock, address, kind, user):
    import os
    import socket

    from pyipc import fds

    with socket.socket(socket.AF_UNIX, kind) as connecting:
        connecting.connect(address)
        found = fds.peer(connecting)
        say((os.getpid(), os.getuid(), os.getgid()))
        say((found.pid, found.uid, found.gid, found.pidfd))
        hear()


@pytest.fixture(params=[socket.SOCK_STREAM, socket.SOCK_SEQPACKET], ids=["stream", "seqpacket"])
def connected(request, keep, pair, partner):
    """Our end of a connection that another process has made to us, and that process."""

    def start(user=None):
        listening = keep(socket.socket(socket.AF_UNIX, request.param))
        listening.bind(b"\0pyipc " + os.urandom(8))
        listening.listen()
        address = listening.getsockname()
        other = partner(connect, pair()[1], address, int(request.param), user, user=user)
        return keep(listening.accept()[0]), other

    return start


# ---- of a connection ----


@pytest.mark.parametrize("user", [None, NOBODY])
def test_a_peer_is_who_connected_and_over_there_who_listens(connected, user):
    ours, other = connected(user)
    claimed = other.hear()
    assert claimed == (other.pid, *([user] * 2 if user else me()[1:]))
    for given in ours, ours.fileno():
        found = fds.peer(given)
        assert (facts(found), found.pidfd) == (claimed, None)
        assert repr(found) == f"<peer pid {other.pid} uid {claimed[1]} gid {claimed[2]}>"
        found.close()  # of nothing, which is fine
    assert other.hear() == (*me(), None)
    other.kill()
    assert other.end() == -signal.SIGKILL
    assert facts(fds.peer(ours)) == claimed  # also once it has gone


def test_the_pidfd_of_a_peer_is_that_process(pidfds, connected):
    ours, other = connected()
    with fds.peer(ours, pidfd=True) as found:
        pidfd = found.pidfd
        assert type(pidfd) is fds.Pidfd
        assert not os.get_inheritable(pidfd.fileno())
        assert pidfd.pid == found.pid == other.pid
        with pytest.raises(pyipc.WouldBlockError):
            pidfd.wait(0)
        pidfd.send(signal.SIGTERM)
        assert pidfd.wait(20) == -signal.SIGTERM  # a child of this process
        other.end()
        assert pidfd.wait(0) is None
        assert pidfd.pid == -1
        with pytest.raises(pyipc.ProcessGoneError):
            pidfd.send(0)
    assert pidfd.closed


def test_a_pidfd_asked_for_after_the_process_has_ended_means_it_or_there_is_none(pidfds, connected):
    ours, other = connected()
    other.kill()
    other.end()
    with fds.peer(ours, pidfd=True) as found:
        assert found.pid == other.pid
        if found.pidfd is not None:  # kernels of late have them
            assert found.pidfd.wait(0) is None
            with pytest.raises(pyipc.ProcessGoneError):
                found.pidfd.send(0)


def look_at_the_peer(say, hear, sock):
    from pyipc import fds

    found = fds.peer(sock)
    say((found.pid, found.uid, found.gid))


def test_the_peer_of_a_pair_is_who_made_it(pair, kind, partner):
    ours, theirs = pair(kind)
    other = partner(look_at_the_peer, theirs)
    assert other.hear() == me() == facts(fds.peer(ours))
    assert other.end() == 0


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
@pytest.mark.parametrize("pidfd", [False, True])
def test_who_is_not_connected_has_no_peer(kind, pidfd):
    with socket.socket(socket.AF_UNIX, kind) as sock:
        with pytest.raises(pyipc.IPCError) as caught:
            fds.peer(sock, pidfd=pidfd)
        assert caught.value.errno == errno.ENOTCONN


def test_a_socket_that_is_no_unix_socket_has_no_peer(keep):
    with socket.create_server(("127.0.0.1", 0)) as server:
        connected = keep(socket.create_connection(server.getsockname()))
        with pytest.raises(pyipc.IPCError) as caught:
            fds.peer(connected)
        assert caught.value.errno == errno.ENOTCONN


def test_a_peer_without_a_pidfd_was_not_asked_for_one(pair):
    with fds.peer(pair()[0]) as found:
        assert found.pidfd is None
        with pytest.raises(AttributeError):
            found.nonsense = 1


# ---- of a message ----


def send_each_time(say, hear, sock):
    import os

    from pyipc import fds

    while hear():
        fds.send(sock, b"x", [0])
        say((os.getpid(), os.getuid(), os.getgid()))


@pytest.mark.parametrize("user", [None, NOBODY])
def test_a_message_comes_with_who_sent_it_not_with_who_made_the_pair(pair, kind, partner, user):
    ours, theirs = pair(kind)
    fds.pass_credentials(ours)
    others = [partner(send_each_time, theirs.dup(), user=user) for _ in range(2)]
    fds.send(theirs, b"x")
    with fds.receive(ours) as message:
        assert facts(message.peer) == me()
    for other in others + others:
        other.say(True)
        with fds.receive(ours, timeout=20) as message:
            assert facts(message.peer) == other.hear()
            assert message.peer.pid == other.pid
            assert (message.peer.pidfd, len(message.fds)) == (None, 1)
    for other in others:
        other.say(False)
        assert other.end() == 0


def test_credentials_come_from_when_they_are_asked_for_until_they_are_not(pair, kind):
    ours, theirs = pair(kind)

    def received():
        peer = fds.receive(ours, timeout=0).peer
        return None if peer is None else facts(peer)

    fds.send(theirs, b"before")
    fds.pass_credentials(ours)
    fds.send(theirs, b"after")
    assert [received(), received()] == [UNKNOWN, me()]
    fds.pass_credentials(ours, False)
    fds.send(theirs, b"not any more")
    assert received() is None
    fds.pass_credentials(ours.fileno(), True)
    fds.send(theirs, b"again")
    assert received() == me()


def test_a_socket_that_was_not_asked_brings_no_peer(pair, kind):
    ours, theirs = pair(kind)
    fds.pass_credentials(theirs)  # the other end
    fds.send(theirs, b"x", [0])
    with fds.receive(ours) as message:
        assert message.peer is None


def test_messages_of_two_senders_on_a_stream_do_not_come_as_one(pair, partner):
    ours, theirs = pair("stream")
    fds.pass_credentials(ours)
    other = partner(send_each_time, theirs.dup())
    fds.send(theirs, b"mine")
    other.say(True)
    them = other.hear()
    fds.send(theirs, b"mine")
    seen = []
    while len(seen) < 3:
        with fds.receive(ours) as message:
            seen.append((message.data, facts(message.peer)))
    assert seen == [(b"mine", me()), (b"x", them), (b"mine", me())]
    other.say(False)
    assert other.end() == 0


def test_a_message_may_come_with_a_pidfd_of_who_sent_it(pidfds, pair, kind, partner):
    ours, theirs = pair(kind)
    fds.pass_credentials(ours, pidfd=True)
    other = partner(send_each_time, theirs)
    other.say(True)
    with fds.receive(ours, timeout=20) as message:
        assert facts(message.peer) == other.hear()
        pidfd = message.peer.pidfd
        assert pidfd.pid == other.pid
        assert not os.get_inheritable(pidfd.fileno())
        assert len(message.fds) == 1
        other.kill()
        assert pidfd.wait(20) == -signal.SIGKILL
    assert pidfd.closed
    other.end()
    fds.pass_credentials(ours, False)  # the pidfd too


def test_with_a_full_message_comes_its_pidfd_too(pidfds, pair, kind):
    ours, theirs = pair(kind)
    fds.pass_credentials(ours, pidfd=True)
    fds.send(theirs, b"x", [0] * 253, credentials=me())
    with fds.receive(ours, timeout=0) as message:
        assert len(message.fds) == 253
        assert facts(message.peer) == me()
        assert message.peer.pidfd.pid == os.getpid()


def test_asking_for_no_credentials_ends_pidfds_too(pidfds, pair, kind):
    ours, theirs = pair(kind)
    fds.pass_credentials(ours, pidfd=True)
    fds.pass_credentials(ours, False, pidfd=True)
    fds.send(theirs, b"x")
    assert fds.receive(ours, timeout=0).peer is None


# ---- that are claimed ----


def claim(say, hear, sock):
    import os

    import pyipc
    from pyipc import fds

    for claimed in (
        (os.getpid(), os.getuid(), os.getgid()),
        (os.getppid(), 0, 0),
        (os.getpid(), 0, os.getgid()),
    ):
        try:
            fds.send(sock, b"x", [0], credentials=claimed)
        except pyipc.AccessError as problem:
            say(str(problem))
        else:
            say((os.getpid(), os.getuid(), os.getgid()))


def test_a_plain_user_may_claim_to_be_itself_and_nobody_else(pair, kind, partner):
    ours, theirs = pair(kind)
    fds.pass_credentials(ours)
    other = partner(claim, theirs, user=NOBODY)
    itself = other.hear()
    assert itself == (other.pid, NOBODY, NOBODY)
    assert "Operation not permitted" in other.hear()
    assert "Operation not permitted" in other.hear()
    assert other.end() == 0
    with fds.receive(ours, timeout=0) as message:
        assert (facts(message.peer), len(message.fds)) == (itself, 1)
    with pytest.raises((pyipc.WouldBlockError, pyipc.PeerGoneError)):
        fds.receive(ours, timeout=0)


def test_root_may_claim_to_be_anybody(pair, kind):
    if os.geteuid() != 0:
        pytest.skip("only root may")
    ours, theirs = pair(kind)
    fds.pass_credentials(ours)
    for claimed in (os.getppid(), 5, 7), (1, 0, 0), (os.getpid(), 2**32 - 2, 1):
        fds.send(theirs, b"x", credentials=claimed)
        assert facts(fds.receive(ours, timeout=0).peer) == claimed


def test_who_does_not_exist_cannot_be_claimed(pair):
    ours, _theirs = pair()
    with pytest.raises((pyipc.ProcessGoneError, pyipc.AccessError)):
        fds.send(ours, b"x", credentials=(2**22 + 1, os.getuid(), os.getgid()))
