"""Descriptors over Unix sockets; the kernel says which file a number means and who still holds it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import random
import resource
import select
import signal
import socket
import sys
import threading
import time
import warnings
from errno import (
    EAGAIN,
    EBADF,
    ECONNREFUSED,
    EINVAL,
    EMFILE,
    ENOENT,
    ENOMEM,
    ENOTCONN,
    ENOTSOCK,
    ENOTSUP,
    EPERM,
    EPIPE,
    EPROTONOSUPPORT,
)
from fcntl import F_GETFD, F_GETFL, FD_CLOEXEC, fcntl

import pytest

from pyipc._backend import load

NOBODY = 65534
SIZE = 1000
KINDS = ("STREAM", "DATAGRAM", "SEQPACKET")
PYTHON_KIND = {
    "STREAM": socket.SOCK_STREAM,
    "DATAGRAM": socket.SOCK_DGRAM,
    "SEQPACKET": socket.SOCK_SEQPACKET,
}
NOTHING_ELSE = [], None, None, None, None  # handles, credentials, pidfd, address, what was lost


def owners(backend):
    """A type of owners, as the chapters have them."""

    class Owner(backend.Descriptor):
        __slots__ = ()

    return Owner


@pytest.fixture
def sockets():
    """Two connected sockets of a kind; closed in the end, as are more that are given to it."""
    kept = contextlib.ExitStack()

    def make(kind="STREAM"):
        return [kept.enter_context(sock) for sock in socket.socketpair(socket.AF_UNIX, PYTHON_KIND[kind])]

    make.keep = kept.enter_context
    with kept:
        yield make


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def file_of(number):
    facts = os.fstat(number)
    return facts.st_dev, facts.st_ino


def is_cloexec(number):
    return bool(fcntl(number, F_GETFD) & FD_CLOEXEC)


def opened():
    """What is open; asked one by one, since a full table has no room to list them."""
    found = set()
    for number in range(256):
        with contextlib.suppress(OSError):
            os.fstat(number)
            found.add(number)
    return found


def at_its_end(reading_end):
    """Whether the last descriptor of the other end is closed."""
    os.set_blocking(reading_end, False)
    try:
        return os.read(reading_end, 1) == b""
    except BlockingIOError:
        return False


def fill_table(leave):
    """Lower the limit, and take all numbers but so many."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.dup(0))
    for number in taken[len(taken) - leave :]:
        os.close(number)
    return taken[: len(taken) - leave]


def send(backend, sock, data, numbers=(), credentials=None, address=None):
    return backend.now_send(sock.fileno(), data, list(numbers), credentials, address)


def receive(backend, sock, size=SIZE):
    return backend.now_receive(sock.fileno(), size, owners(backend))


def plain(data, size=None):
    return (data, len(data) if size is None else size, *NOTHING_ELSE)


def pid_in(number):
    """Whose pidfd it is, says the kernel."""
    with open(f"/proc/self/fdinfo/{number}") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))


# ---- pairs and kinds ----


def test_a_pair_is_connected_close_on_exec_and_of_its_kind(backend, kind):
    one, other = owners(backend)(), owners(backend)()
    assert backend.now_socketpair(getattr(backend, kind), one, other) == 0
    assert one.fileno() != other.fileno()
    assert is_cloexec(one.fileno())
    assert is_cloexec(other.fileno())
    ours, theirs = socket.socket(fileno=one._take()), socket.socket(fileno=other._take())
    with ours, theirs:
        assert (ours.family, ours.type) == (socket.AF_UNIX, PYTHON_KIND[kind])
        ours.send(b"there")
        assert theirs.recv(10) == b"there"
        theirs.send(b"back")
        assert ours.recv(10) == b"back"
        assert backend.now_socket_kind(ours.fileno()) == getattr(backend, kind)
        assert backend.now_socket_is_unix(ours.fileno()) == 1


@pytest.mark.parametrize(("number", "answer"), [(4711, -EINVAL), (4, -EPROTONOSUPPORT)])
def test_a_kind_that_does_not_exist_makes_no_pair(backend, number, answer):
    one, other = owners(backend)(), owners(backend)()
    result = backend.now_socketpair(number, one, other)
    assert result in (answer, -94)  # ESOCKTNOSUPPORT, which Python has no name for
    assert (one._number, other._number) == (-1, -1)


@pytest.mark.parametrize("leave", [0, 1])
def test_a_table_without_room_for_two_has_no_room_for_a_pair(backend, forked, leave):
    def make():
        one, other = owners(backend)(), owners(backend)()
        fill_table(leave)
        before = opened()
        result = backend.now_socketpair(backend.STREAM, one, other)
        return [result, one._number, other._number, opened() == before]

    assert forked(make)() == [-EMFILE, -1, -1, True]


def test_other_sockets_are_told_from_unix_sockets(backend):
    for family, kind in (socket.AF_INET, "STREAM"), (socket.AF_INET, "DATAGRAM"), (socket.AF_NETLINK, None):
        with socket.socket(family, PYTHON_KIND.get(kind, socket.SOCK_RAW)) as other:
            assert backend.now_socket_is_unix(other.fileno()) == 0
            assert backend.now_socket_kind(other.fileno()) == other.type


def test_what_is_no_socket_or_not_open_is_told_so_by_every_call(backend, pipe):
    for number, answer in (pipe[0], -ENOTSOCK), (-1, -EBADF), (1 << 20, -EBADF):
        owner = owners(backend)()
        answers = {
            backend.now_socket_kind(number),
            backend.now_socket_is_unix(number),
            backend.now_send(number, b"x", [], None, None),
            backend.now_receive(number, SIZE, owners(backend)),
            backend.now_message_size(number),
            backend.now_pass_credentials(number, True, False),
            backend.now_peer(number),
            backend.now_peer_pidfd(owner, number),
        }
        assert answers == {answer}
        assert owner._number == -1


def test_a_socket_is_left_as_it_was_by_every_call(backend, sockets, pipe):
    """The fallback uses socket objects, which would close it, or change its flags."""
    ours, theirs = sockets("SEQPACKET")
    number = ours.fileno()
    before = file_of(number), fcntl(number, F_GETFL), fcntl(number, F_GETFD)
    socket.setdefaulttimeout(5)
    try:
        backend.now_socket_kind(number)
        backend.now_socket_is_unix(number)
        assert send(backend, ours, b"x", pipe) == 1
        assert send(backend, theirs, b"x") == 1
        assert backend.now_message_size(number) == 1
        assert receive(backend, ours) == plain(b"x")
        assert receive(backend, ours) == -EAGAIN
        backend.now_pass_credentials(number, False, False)
        backend.now_peer(number)
    finally:
        socket.setdefaulttimeout(None)
    assert (file_of(number), fcntl(number, F_GETFL), fcntl(number, F_GETFD)) == before


# ---- descriptors that arrive ----


def test_what_one_sends_the_other_receives_as_the_same_open_files(pair, sockets, kind, tmp_path):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(path.name.encode() * 10)
    files = [sockets.keep(path.open("rb", buffering=0)) for path in paths]
    for file in files:
        os.set_inheritable(file.fileno(), True)
    numbers = [files[i].fileno() for i in (2, 0, 1, 0)]
    assert send(sender, ours, b"four", numbers) == 4
    data, size, handles, *others = receive(receiver, theirs)
    assert (data, size, others) == (b"four", 4, [None] * 4)
    assert [file_of(handle.fileno()) for handle in handles] == list(map(file_of, numbers))
    assert all(is_cloexec(handle.fileno()) for handle in handles)
    arrived = {handle.fileno() for handle in handles}
    assert len(arrived | set(numbers)) == 4 + 3
    files[0].seek(7)  # the offset is one for all of them
    assert os.read(handles[1].fileno(), 100) == b"aaa"
    assert os.read(handles[3].fileno(), 100) == b""
    receiver.close_all(handles)
    assert not arrived & opened()


def test_handles_are_of_the_type_that_was_asked_for(backend, sockets):
    class Handle(owners(backend)):
        __slots__ = ("more",)

    ours, theirs = sockets()
    assert send(backend, ours, b"x", [0]) == 1
    handles = backend.now_receive(theirs.fileno(), SIZE, Handle)[2]
    assert [type(handle) for handle in handles] == [Handle]
    backend.close_all(handles)


def test_a_file_stays_open_on_its_way_and_until_its_last_handle_is_closed(pair, sockets, kind):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    reading, writing = os.pipe()
    assert send(sender, ours, b"x", [writing, writing]) == 1
    os.close(writing)
    assert not at_its_end(reading)
    _, _, (first, second), *_ = receive(receiver, theirs)
    assert first._close() == 0
    assert not at_its_end(reading)
    assert second._close() == 0
    assert at_its_end(reading)
    os.close(reading)


def test_handles_that_are_dropped_close(backend, sockets):
    ours, theirs = sockets()
    reading, writing = os.pipe()
    assert send(backend, ours, b"x", [writing, writing]) == 1
    os.close(writing)
    with pytest.warns(ResourceWarning, match="was dropped without"):
        assert receive(backend, theirs)[0] == b"x"
    assert at_its_end(reading)
    os.close(reading)


def test_another_process_receives(pair, sockets, kind, forked):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    reading, writing = os.pipe()

    def answer():
        os.close(writing)
        while (got := receive(receiver, theirs)) == -EAGAIN:
            receiver.fd_wait(theirs.fileno(), receiver.READABLE, 2**63 - 1)
        handle = got[2][0]
        return [
            got[0],
            is_cloexec(handle.fileno()),
            os.write(handle.fileno(), b"from the child"),
            handle._close(),
        ]

    answered = forked(answer)
    assert send(sender, ours, b"take it", [writing]) == 7
    assert answered() == [b"take it", True, 14, 0]
    os.close(writing)
    assert os.read(reading, 100) == b"from the child"
    assert at_its_end(reading)
    os.close(reading)


def test_as_many_as_the_kernel_lets_pass_and_no_more(pair, sockets, kind):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    assert sender.MOST_FDS == 253
    assert send(sender, ours, b"x", [0] * 254) == -EINVAL
    assert receive(receiver, theirs) == -EAGAIN
    sent = send(sender, ours, b"x", [0] * 253)
    if sent == -ENOMEM and sender.__name__.endswith("fallback"):
        pytest.skip("musl's own sendmsg(3) has room for 252")
    assert sent == 1
    _, _, handles, *others = receive(receiver, theirs)
    assert others == [None] * 4
    assert {file_of(handle.fileno()) for handle in handles} == {file_of(0)}
    assert len({handle.fileno() for handle in handles}) == 253
    receiver.close_all(handles)


@pytest.mark.parametrize("number", [-1, 1 << 20])
def test_of_a_number_that_is_not_open_nothing_is_sent(pair, sockets, kind, number):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    assert send(sender, ours, b"x", [0, number]) == -EBADF
    assert receive(receiver, theirs) == -EAGAIN


def test_on_a_stream_descriptors_come_with_the_first_of_their_bytes(pair, sockets, pipe):
    sender, receiver = pair
    ours, theirs = sockets("STREAM")
    assert send(sender, ours, b"one") == 3
    assert send(sender, ours, b"two", [pipe[0]]) == 3
    assert send(sender, ours, b"three", [ours.fileno()]) == 5
    seen = []
    while (got := receive(receiver, theirs, 2)) != -EAGAIN:
        data, _, handles, *_ = got
        seen.append((data, [file_of(handle.fileno()) for handle in handles]))
        receiver.close_all(handles)
    first, second = [file_of(pipe[0])], [file_of(ours.fileno())]
    # A read goes on over the bounds of messages, but not past the first bytes with descriptors.
    assert seen == [(b"on", []), (b"et", first), (b"wo", []), (b"th", second), (b"re", []), (b"e", [])]


# ---- messages and their bounds ----


def test_bytes_arrive_as_they_were_sent(pair, sockets, kind):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    data = os.urandom(50_000)
    assert send(sender, ours, data) == len(data)
    assert receive(receiver, theirs, 100_000) == plain(data)
    assert receive(receiver, theirs) == -EAGAIN


@pytest.mark.parametrize("blocking", [True, False])
def test_nothing_ever_waits(backend, sockets, kind, blocking):
    ours, theirs = sockets(kind)
    ours.setblocking(blocking)
    theirs.setblocking(blocking)
    assert receive(backend, theirs) == -EAGAIN
    assert backend.now_message_size(theirs.fileno()) == -EAGAIN
    while send(backend, ours, bytes(5000)) > 0:
        pass
    assert send(backend, ours, bytes(5000)) == -EAGAIN
    assert send(backend, ours, b"x", [0]) == -EAGAIN


@pytest.mark.parametrize("kind", ["DATAGRAM", "SEQPACKET"])
def test_a_message_that_is_longer_than_asked_is_cut_and_says_so(pair, sockets, kind, pipe):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    assert send(sender, ours, b"0123456789", [pipe[0]]) == 10
    assert send(sender, ours, b"next") == 4
    data, size, handles, *others = receive(receiver, theirs, 4)
    assert (data, size, others) == (b"0123", 5, [None] * 4)
    assert [file_of(handle.fileno()) for handle in handles] == [file_of(pipe[0])]
    receiver.close_all(handles)
    assert receive(receiver, theirs, 4) == plain(b"next")  # which just fits


@pytest.mark.parametrize("kind", ["DATAGRAM", "SEQPACKET"])
def test_room_for_nothing_takes_a_message_all_the_same(pair, sockets, kind):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    assert send(sender, ours, b"0123456789") == 10
    assert receive(receiver, theirs, 0) == plain(b"", 1)
    assert receive(receiver, theirs) == -EAGAIN


def test_on_a_stream_what_was_not_asked_for_stays(pair, sockets):
    sender, receiver = pair
    ours, theirs = sockets("STREAM")
    assert send(sender, ours, b"0123456789") == 10
    assert receive(receiver, theirs, 0) == plain(b"")
    assert receive(receiver, theirs, 4) == plain(b"0123")
    assert receive(receiver, theirs) == plain(b"456789")


@pytest.mark.parametrize("kind", ["DATAGRAM", "SEQPACKET"])
def test_the_size_of_the_next_message_is_told_and_it_stays(pair, sockets, kind, pipe):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    assert send(sender, ours, b"0123456789", pipe) == 10
    before = opened()
    assert [receiver.now_message_size(theirs.fileno()) for _ in range(3)] == [10, 10, 10]
    assert opened() == before
    data, _, handles, *_ = receive(receiver, theirs)
    assert (data, len(handles)) == (b"0123456789", 2)
    receiver.close_all(handles)


def test_of_a_stream_both_say_the_same_of_the_next_message(both, sockets):
    ours, theirs = sockets("STREAM")
    for data in b"", b"x", b"0123456789":
        ours.sendall(data)
        assert len({load(name).now_message_size(theirs.fileno()) for name in ("native", "fallback")}) == 1
    assert theirs.recv(100) == b"x0123456789"


@pytest.mark.parametrize("kind", ["DATAGRAM", "SEQPACKET"])
def test_a_message_longer_than_the_buffer_is_refused(both, sockets, kind):
    ours, _theirs = sockets(kind)
    answers = {send(load(name), ours, bytes(10_000_000)) for name in ("native", "fallback")}
    assert len(answers) == 1
    assert answers.pop() < 0


# ---- empty messages, and the end ----


@pytest.mark.parametrize("kind", ["STREAM", "SEQPACKET"])
@pytest.mark.parametrize("how", ["close", "shutdown"])
def test_a_connection_ends_after_all_that_was_sent(pair, sockets, kind, how, pipe):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    assert send(sender, ours, b"last", [pipe[0]]) == 4
    if how == "close":
        ours.close()
    else:
        ours.shutdown(socket.SHUT_WR)
    data, _, handles, *_ = receive(receiver, theirs)
    assert (data, len(handles)) == (b"last", 1)
    receiver.close_all(handles)
    assert receive(receiver, theirs) == receive(receiver, theirs) == -EPIPE


def test_datagrams_have_no_end(backend, sockets):
    ours, theirs = sockets("DATAGRAM")
    assert send(backend, ours, b"last") == 4
    ours.close()
    assert receive(backend, theirs) == plain(b"last")
    assert receive(backend, theirs) == -EAGAIN


@pytest.mark.parametrize("kind", ["DATAGRAM", "SEQPACKET"])
def test_an_empty_message_is_a_message(pair, sockets, kind):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    assert send(sender, ours, b"") == 0
    assert receiver.now_message_size(theirs.fileno()) == 0
    assert receive(receiver, theirs) == plain(b"")
    assert receive(receiver, theirs) == -EAGAIN


def test_an_empty_packet_before_the_end_is_told_from_it_if_anything_comes_with_or_after_it(
    pair, sockets, pipe
):
    sender, receiver = pair
    ours, theirs = sockets("SEQPACKET")
    assert send(sender, ours, b"") == 0
    assert send(sender, ours, b"more") == 4
    assert send(sender, ours, b"", [pipe[0]]) == 0
    ours.close()
    assert receive(receiver, theirs) == plain(b"")
    assert receive(receiver, theirs) == plain(b"more")
    data, size, handles, *_ = receive(receiver, theirs)
    assert (data, size, len(handles)) == (b"", 0, 1)
    receiver.close_all(handles)
    assert receive(receiver, theirs) == -EPIPE


def test_an_empty_last_packet_with_credentials_is_told_from_the_end(pair, sockets):
    sender, receiver = pair
    ours, theirs = sockets("SEQPACKET")
    assert receiver.now_pass_credentials(theirs.fileno(), True, False) == 0
    assert send(sender, ours, b"") == 0
    ours.close()
    me = os.getpid(), os.getuid(), os.getgid()
    assert receive(receiver, theirs) == (b"", 0, [], me, None, None, None)
    assert receive(receiver, theirs) == -EPIPE


def test_an_empty_last_packet_with_nothing_is_taken_for_the_end(pair, sockets):
    sender, receiver = pair
    ours, theirs = sockets("SEQPACKET")
    assert send(sender, ours, b"") == 0
    ours.close()
    assert receive(receiver, theirs) == -EPIPE


@pytest.mark.parametrize(("kind", "answer"), list(zip(KINDS, (-EPIPE, -ECONNREFUSED, -EPIPE))))
def test_who_sends_to_nobody_is_told_and_not_killed(backend, forked, sockets, kind, answer):
    ours, theirs = sockets(kind)
    theirs.close()

    def attempt():
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        return send(backend, ours, b"x", [0])

    assert forked(attempt)() == answer


@pytest.mark.parametrize("asked", [False, True], ids=["not asked", "asked for its size"])
@pytest.mark.parametrize("kind", ["STREAM", "SEQPACKET"])
def test_who_leaves_with_bytes_unread_takes_nothing_away_of_what_it_has_sent(
    pair, sockets, kind, asked, pipe
):
    """The kernel fails the next call of the other side, once."""
    sender, receiver = pair
    ours, theirs = sockets(kind)
    assert send(receiver, ours, b"unread") == 6
    assert send(sender, theirs, b"last", [pipe[0]]) == 4
    theirs.close()
    if asked:
        assert receiver.now_message_size(ours.fileno()) == (4 if kind == "SEQPACKET" else 0)
    data, _, handles, *_ = receive(receiver, ours)
    assert (data, len(handles)) == (b"last", 1)
    receiver.close_all(handles)
    assert receive(receiver, ours) == -EPIPE


# ---- what is lost ----


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("leave", [0, 1, 4])
def test_descriptors_that_a_full_table_loses_are_told_and_those_that_came_are_closed(
    pair, sockets, forked, kind, leave
):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    reading, writing = os.pipe()
    assert send(sender, ours, b"five", [writing] * 5) == 4
    assert send(sender, ours, b"next", [writing]) == 4
    os.close(writing)

    def take():
        taken = fill_table(leave)
        before = opened()
        first = receive(receiver, theirs)
        same = opened() == before
        for number in taken[:2]:
            os.close(number)
        data, size, handles, *others = receive(receiver, theirs)
        receiver.close_all(handles)
        return [first, same, data, size, len(handles), others, at_its_end(reading)]

    lost = receiver.LOST_TABLE_FULL, leave
    expected = [(b"five", 4, [], None, None, None, lost), True, b"next", 4, 1, [None] * 4, True]
    assert forked(take)() == expected
    os.close(reading)


def test_a_full_table_does_not_hinder_messages_without_descriptors(backend, sockets, forked, kind):
    ours, theirs = sockets(kind)

    def exchange():
        fill_table(leave=0)
        sent = send(backend, ours, b"bytes", [0])
        lost = receive(backend, theirs)[-1]
        size = send(backend, ours, b"more"), backend.now_message_size(theirs.fileno())
        return [sent, lost, size[0], receive(backend, theirs), backend.now_socket_kind(theirs.fileno())]

    assert backend.LOST != backend.LOST_TABLE_FULL
    lost = backend.LOST_TABLE_FULL, 0
    assert forked(exchange)() == [5, lost, 4, plain(b"more"), getattr(backend, kind)]


# ---- who is there ----


def test_credentials_come_once_they_are_asked_for_and_until_they_are_not(pair, sockets, kind, forked):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    sent = []
    for on in False, True, False:
        assert receiver.now_pass_credentials(theirs.fileno(), on, False) == 0
        child = forked(send, sender, ours, b"x", [0])
        sent.append(child.pid)
        assert child() == 1
        data, size, handles, who, *others = receive(receiver, theirs)
        assert (data, size, len(handles), others) == (b"x", 1, 1, [None] * 3)
        assert who == ((child.pid, os.getuid(), os.getgid()) if on else None)
        receiver.close_all(handles)


def test_a_process_shows_the_credentials_that_it_may(privileged, pair, sockets, kind, forked):
    sender, receiver = pair
    ours, theirs = sockets(kind)
    assert receiver.now_pass_credentials(theirs.fileno(), True, False) == 0
    parent = os.getpid()

    def attempts():
        claims = (os.getpid(), NOBODY, NOBODY), (parent, NOBODY, NOBODY), (os.getpid(), 0, NOBODY)
        return [send(sender, ours, b"x", [0], claim) for claim in claims]

    child = forked(attempts, user=NOBODY)
    assert child() == [1, -EPERM, -EPERM]
    _, _, handles, who, *_ = receive(receiver, theirs)
    assert (len(handles), who) == (1, (child.pid, NOBODY, NOBODY))
    receiver.close_all(handles)
    assert send(sender, ours, b"x", [], (parent, 5, 2**32 - 2)) == 1
    assert receive(receiver, theirs)[3] == (parent, 5, 2**32 - 2)


@pytest.fixture
def pidfds(backend, sockets):
    """Whether the kernel has them for sockets."""
    ours, _ = sockets()
    if backend.now_pass_credentials(ours.fileno(), True, True) == -ENOTSUP:
        pytest.skip("pidfds over sockets came with Linux 6.5")


def test_a_message_brings_the_pidfd_of_its_sender(pidfds, backend, sockets, kind, forked):
    ours, theirs = sockets(kind)
    assert backend.now_pass_credentials(theirs.fileno(), True, True) == 0
    gate, opening = os.pipe()

    def send_and_wait():
        os.close(opening)
        return [send(backend, ours, b"x", [0, 0]), os.read(gate, 1)]

    child = forked(send_and_wait)
    while (got := receive(backend, theirs)) == -EAGAIN:
        select.select([theirs], [], [])
    _, _, handles, who, pidfd, *_ = got
    assert (len(handles), who) == (2, (child.pid, os.getuid(), os.getgid()))
    assert pid_in(pidfd.fileno()) == child.pid
    assert is_cloexec(pidfd.fileno())
    backend.close_all([*handles, pidfd])
    os.close(opening)
    assert child() == [1, b""]
    os.close(gate)


def test_credentials_may_come_without_a_pidfd_and_a_pidfd_without_them(pidfds, backend, sockets):
    ours, theirs = sockets()
    assert backend.now_pass_credentials(theirs.fileno(), False, True) == 0
    assert send(backend, ours, b"x") == 1
    _, _, _, who, pidfd, *_ = receive(backend, theirs)
    assert (who, pid_in(pidfd.fileno())) == (None, os.getpid())
    assert pidfd._close() == 0
    assert backend.now_pass_credentials(theirs.fileno(), False, False) == 0
    assert send(backend, ours, b"x") == 1
    assert receive(backend, theirs) == plain(b"x")


def test_a_full_table_has_no_room_for_the_pidfd_of_a_sender(both, sockets, kind, forked):
    ours, theirs = sockets(kind)

    def exchange(name):
        backend = load(name)
        result = backend.now_pass_credentials(theirs.fileno(), True, True)
        taken = fill_table(leave=0)
        before = opened()
        send(backend, ours, b"x")
        first = receive(backend, theirs)
        same = opened() == before
        os.close(taken[0])
        send(backend, ours, b"y")
        handles = receive(backend, theirs)[4]
        backend.close_all([handles] if handles else [])
        return [result, first[0], first[2], first[4:], same, opened() == before - {taken[0]}]

    answers = [forked(exchange, name)() for name in ("native", "fallback")]
    assert answers[0] == answers[1]
    assert answers[0][-2:] == [True, True]


def test_a_peer_is_who_made_the_pair(backend, sockets, kind, forked):
    ours, _theirs = sockets(kind)
    me = os.getpid(), os.getuid(), os.getgid()
    assert forked(backend.now_peer, ours.fileno())() == backend.now_peer(ours.fileno()) == me


def test_a_peer_is_who_has_called_listen_and_who_has_connected(backend, forked, sockets, tmp_path):
    listening = sockets.keep(socket.socket(socket.AF_UNIX))
    listening.bind(os.fspath(tmp_path / "here"))
    listening.listen()
    gate, opening = os.pipe()

    def connect():
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(os.fspath(tmp_path / "here"))
            return [backend.now_peer(sock.fileno()), os.read(gate, 1)]

    child = forked(connect)
    accepted = sockets.keep(listening.accept()[0])
    assert backend.now_peer(accepted.fileno()) == (child.pid, os.getuid(), os.getgid())
    os.write(opening, b"!")
    assert child() == [(os.getpid(), os.getuid(), os.getgid()), b"!"]
    os.close(gate)
    os.close(opening)


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_who_is_not_connected_or_not_here_has_no_peer(backend, family):
    owner = owners(backend)()
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        assert backend.now_peer(sock.fileno()) == -ENOTCONN
        assert backend.now_peer_pidfd(owner, sock.fileno()) in (-ENOTCONN, -ENOTSUP)
    assert owner._number == -1


def test_the_pidfd_of_a_peer_is_its_process(pidfds, backend, sockets, kind, forked):
    ours, _theirs = sockets(kind)
    parent = os.getpid()

    def look():
        owner = owners(backend)()
        result = backend.now_peer_pidfd(owner, ours.fileno())
        return [result, pid_in(owner.fileno()) == parent, is_cloexec(owner.fileno()), owner._close()]

    assert forked(look)() == [0, True, True, 0]


# ---- addresses ----


@pytest.fixture
def bound(sockets, tmp_path):
    """A datagram socket with an address."""

    def make(name=None):
        sock = sockets.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        if name is not None:
            sock.bind(name)
        return sock

    return make


@pytest.mark.parametrize("abstract", [False, True])
def test_a_datagram_tells_where_it_comes_from_and_an_answer_goes_there(pair, bound, tmp_path, abstract):
    sender, receiver = pair
    names = [f"{tmp_path}/{name}".encode() for name in "ab"]
    if abstract:
        names = [b"\0pyipc\0" + os.urandom(8).replace(b"\0", b"0") + b"\0" for _ in "ab"]
    ours, theirs = map(bound, names)
    assert send(sender, ours, b"there", [0], address=names[1]) == 5
    data, _, handles, *others, address, lost = receive(receiver, theirs)
    assert (data, len(handles), others, lost) == (b"there", 1, [None, None], None)
    receiver.close_all(handles)
    assert address == names[0]
    assert send(receiver, theirs, b"back", address=address) == 4
    assert receive(sender, ours)[0] == b"back"


def test_both_tell_an_address_alike(both, bound, tmp_path):
    theirs = bound(f"{tmp_path}/receiver")
    for name in f"{tmp_path}/sender", f"{tmp_path}/\udcff\xe9", b"\0pyipc" + os.urandom(8), b"\0" * 108:
        ours, seen = bound(name), []
        for backend in map(load, ("native", "fallback")):
            ours.sendto(b"x", theirs.getsockname())
            seen.append(receive(backend, theirs))
        assert seen[0] == seen[1]
        assert seen[0][5] == os.fsencode(name)


def test_a_message_that_has_lost_descriptors_tells_where_it_comes_from(both, bound, tmp_path, forked):
    ours, theirs = bound(f"{tmp_path}/sender"), bound(f"{tmp_path}/receiver")

    def exchange(backend):
        backend.now_pass_credentials(theirs.fileno(), True, False)
        sent = send(backend, ours, b"x", [0], address=theirs.getsockname().encode())
        fill_table(leave=0)
        return [sent, receive(backend, theirs)]

    for backend in map(load, ("native", "fallback")):
        lost = backend.LOST_TABLE_FULL, 0
        assert forked(exchange, backend)() == [
            1,
            (b"x", 1, [], None, None, ours.getsockname().encode(), lost),
        ]


def test_who_has_no_address_tells_none(pair, bound, tmp_path):
    sender, receiver = pair
    theirs = bound(f"{tmp_path}/receiver")
    assert send(sender, bound(), b"x", address=f"{tmp_path}/receiver".encode()) == 1
    assert receive(receiver, theirs) == plain(b"x")


def test_a_path_that_fills_its_room_is_told_whole(backend, bound, tmp_path, forked):
    """108 bytes, without a NUL: unix(7) has them. Python cannot bind it, nor can most."""
    room = 108
    folder = os.open(tmp_path, os.O_PATH)
    path = f"/proc/self/fd/{folder}/".encode().ljust(room, b"x")
    theirs, ours = bound(f"{tmp_path}/receiver"), bound()
    address = socket.AF_UNIX.to_bytes(2, sys.byteorder) + path
    assert ctypes.CDLL(None).bind(ours.fileno(), address, len(address)) == 0
    os.close(folder)
    ours.sendto(b"x", f"{tmp_path}/receiver")
    # In a child: one byte more, and it would be written over something else.
    assert forked(receive, backend, theirs)() == (b"x", 1, [], None, None, path, None)


def test_an_address_that_leads_nowhere_says_why(backend, bound, tmp_path):
    sock = bound()
    gone = bound(f"{tmp_path}/gone")
    gone.close()
    answers = {
        f"{tmp_path}/gone": -ECONNREFUSED,
        f"{tmp_path}/never": -ENOENT,
        "\0pyipc nobody": -ECONNREFUSED,
        "x" * 109: -EINVAL,
        "\0" * 109: -EINVAL,
        "": -ENOTCONN,  # is none
    }
    assert {name: send(backend, sock, b"x", address=name.encode()) for name in answers} == answers


# ---- other sockets ----


def test_what_comes_by_tcp_comes_whole(pair, sockets):
    sender, receiver = pair
    listening = sockets.keep(socket.create_server(("127.0.0.1", 0)))
    ours = sockets.keep(socket.create_connection(listening.getsockname()))
    theirs = sockets.keep(listening.accept()[0])
    assert send(sender, ours, b"0123456789") == 10
    select.select([theirs], [], [])
    assert receive(receiver, theirs, 4) == plain(b"0123")
    assert receive(receiver, theirs) == plain(b"456789")
    assert receive(receiver, theirs) == -EAGAIN
    ours.close()
    select.select([theirs], [], [])
    assert receive(receiver, theirs) == -EPIPE


def test_what_comes_by_udp_comes_whole_or_says_what_was_cut(pair, sockets):
    sender, receiver = pair
    ours, theirs = (sockets.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
    theirs.bind(("127.0.0.1", 0))
    ours.connect(theirs.getsockname())
    for size, expected in (SIZE, plain(b"0123456789")), (4, plain(b"0123", 5)):
        assert send(sender, ours, b"0123456789") == 10
        select.select([theirs], [], [])
        assert receiver.now_message_size(theirs.fileno()) == 10
        assert receive(receiver, theirs, size) == expected


# ---- many ----


def test_of_many_threads_that_receive_each_message_comes_to_one(backend, sockets):
    ours, theirs = sockets("SEQPACKET")
    rounds, seen = 2000, []

    def take():
        while (got := receive(backend, theirs)) != -EPIPE:
            if got == -EAGAIN:
                backend.fd_wait(theirs.fileno(), backend.READABLE, 2**63 - 1)
                continue
            data, _, handles, *_ = got
            seen.append(data)
            number = os.readlink(f"/proc/self/fd/{handles[0].fileno()}")
            assert number == links[int(data) % 2], number
            backend.close_all(handles)

    files = [os.open(name, os.O_RDONLY) for name in ("/dev/null", "/dev/zero")]
    links = [os.readlink(f"/proc/self/fd/{file}") for file in files]
    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(rounds):
        data = b"%d" % number
        while send(backend, ours, data, [files[number % 2]]) == -EAGAIN:
            backend.fd_wait(ours.fileno(), backend.WRITABLE, 2**63 - 1)
    ours.close()
    for thread in threads:
        thread.join()
    assert sorted(map(int, seen)) == list(range(rounds))
    for file in files:
        os.close(file)


class HandlerError(TimeoutError):
    """What a signal handler raises: it must not be taken for the error of a call."""


def is_in_destructor(frame):
    """Whether an exception would go nowhere."""
    while frame and frame.f_code.co_name not in ("__del__", "_dropped"):
        frame = frame.f_back
    return frame is not None


def test_a_handler_may_raise_at_any_time_and_no_descriptor_stays_open(backend, forked, sockets):
    """Each round ends by a signal that comes some exchanges after it began, wherever that finds it."""
    ours, theirs = sockets("SEQPACKET")
    rounds = 4000
    backend.now_pass_credentials(theirs.fileno(), True, True)

    def exchange():
        send(backend, ours, b"data", [0, 0, 0])
        got = receive(backend, theirs)
        if not isinstance(got, int):
            _, _, handles, _, pidfd, *_ = got
            backend.close_all([*handles, pidfd] if pidfd else handles)

    def storm():
        armed = False

        def late(*_):
            nonlocal armed
            if armed:
                armed = False
                raise HandlerError

        def swallow(what):
            nonlocal armed
            armed = True  # the next one comes in a second
            swallowed.append(repr(what.object))

        sys.settrace(None)  # no coverage: its locks would stay locked
        gc.callbacks.clear()  # hypothesis has one, in Python, that would swallow some
        swallowed = []
        warnings.simplefilter("ignore", ResourceWarning)
        signal.signal(signal.SIGALRM, late)
        sys.unraisablehook = swallow
        chance = random.Random(1)
        before = opened()
        began = time.monotonic()
        for _ in range(100):
            exchange()
        usual = (time.monotonic() - began) / 100
        interrupted = 0
        # The kernel may let senders wait while others have thousands of descriptors on their way.
        while interrupted < rounds and time.monotonic() < began + 20:
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, max(chance.uniform(0, 4 * usual), 1e-6), 1)
                while True:
                    exchange()
            except HandlerError:
                interrupted += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        return [interrupted, swallowed, opened() == before]

    interrupted, swallowed, same = forked(storm)()
    assert interrupted > 100
    assert same
    # Where C stands in for nothing, destructors are in Python, and an exception there goes nowhere.
    assert not swallowed or not getattr(backend, "HOT", True)


def test_a_handler_may_raise_at_any_step_of_a_receive(backend, forked, sockets, kind):
    """See test_descriptors.py."""
    ours, theirs = sockets(kind)

    def steps_until_it_comes_through():
        warnings.simplefilter("ignore", ResourceWarning)
        backend.now_pass_credentials(theirs.fileno(), True, True)
        before = opened()
        steps = 0
        while True:
            left = steps

            def trace(frame, event, argument):
                nonlocal left
                if event == "call" and is_in_destructor(frame):
                    return None
                frame.f_trace_opcodes = True
                if event == "opcode":
                    left -= 1
                    if left < 0:
                        raise HandlerError
                return trace

            send(backend, ours, b"data", [0, 0])
            raised = False
            sys._getframe().f_trace_opcodes = True  # before, or Python 3.12 does not look
            sys.settrace(trace)
            try:
                receive(backend, theirs)
            except HandlerError:
                raised = True
            finally:
                sys.settrace(None)
            assert opened() == before, steps
            while not isinstance(receive(backend, theirs), int):
                pass
            assert opened() == before, steps
            assert raised is (left < 0), "what it raised was taken for an error of the call"
            if not raised:
                return steps
            steps += 1

    assert forked(steps_until_it_comes_through)() > 10
