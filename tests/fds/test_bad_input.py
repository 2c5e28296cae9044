"""Whatever is asked for, the answer is a named error, nothing is sent, and nothing stays open."""

from __future__ import annotations

import contextlib
import inspect
import os
import random

import pytest

import pyipc
from pyipc import fds

WRONG = (TypeError, ValueError, OverflowError)  # a ClosedError is a ValueError

# ---- arguments ----


@pytest.mark.parametrize("make", [fds.Handle, fds.Eventfd, fds.Pidfd])
def test_what_is_neither_a_number_nor_a_handle_is_a_type_error(make):
    for wrong in "x", None, 1.5, b"x", [0], object(), b"":
        with pytest.raises(TypeError):
            make(wrong)


@pytest.mark.parametrize("number", [-1, -(2**31), 1 << 20, 2**31 - 1, 2**31, 2**63, 2**70, -(2**70)])
def test_a_number_that_is_not_open_cannot_be_owned(number):
    for make in fds.Handle, fds.Eventfd, fds.Pidfd:
        with pytest.raises(WRONG):
            make(number)


SOCKET_CALLS = {
    "send": lambda sock: fds.send(sock, b"x"),
    "send descriptors": lambda sock: fds.send(sock, b"x", [0]),
    "receive": lambda sock: fds.receive(sock, timeout=0),
    "receive bounded": lambda sock: fds.receive(sock, 10, 0),
    "send_bundle": lambda sock: fds.send_bundle(sock, b"x"),
    "receive_bundle": lambda sock: fds.receive_bundle(sock, 0),
    "peer": fds.peer,
    "pass_credentials": fds.pass_credentials,
}


@pytest.mark.parametrize("call", SOCKET_CALLS.values(), ids=SOCKET_CALLS)
def test_what_is_no_socket_is_told_by_every_call(call):
    for wrong in None, "x", 1.5, b"", object(), [5]:
        with pytest.raises(TypeError, match="fileno"):
            call(wrong)
    for wrong in -1, -5, -(2**70):
        with pytest.raises(pyipc.ClosedError, match=str(wrong)):
            call(wrong)
    for wrong in 2**31, 2**40, 2**70:
        with pytest.raises(ValueError, match=str(wrong)):
            call(wrong)
    with pytest.raises(pyipc.ClosedError, match=str(1 << 20)):
        call(1 << 20)


CREDENTIALS = [
    5,
    "abc",
    (1, 2),
    (1, 2, 3, 4),
    ("1", "2", "3"),
    (1.5, 0, 0),
    (-1, 0, 0),
    (2**31, 0, 0),
    (2**40, 0, 0),
    (os.getpid(), -1, 0),
    (os.getpid(), 2**32, 0),
    (os.getpid(), 2**40, 0),
    (os.getpid(), 0, -1),
    (os.getpid(), 0, 2**40),
    {1: 2},
]


@pytest.mark.parametrize("wrong", CREDENTIALS, ids=lambda wrong: str(wrong).replace(str(os.getpid()), "pid"))
def test_credentials_that_cannot_be_are_told_and_nothing_is_sent(pair, wrong):
    ours, theirs = pair()
    with pytest.raises((*WRONG, pyipc.IPCError)):
        fds.send(ours, b"x", [0], credentials=wrong)
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive(theirs, timeout=0)


def test_credentials_in_a_list_are_credentials_or_a_type_error(pair):
    ours, theirs = pair()
    fds.pass_credentials(theirs)
    me = [os.getpid(), os.getuid(), os.getgid()]
    with contextlib.suppress(TypeError):
        fds.send(ours, b"x", credentials=me)
        peer = fds.receive(theirs, timeout=0).peer
        assert [peer.pid, peer.uid, peer.gid] == me


@pytest.mark.parametrize("most", [0, -1, -(2**70), "5", b"5", [5], 1.5])
def test_a_bound_that_is_none_is_told_and_nothing_is_taken(pair, kind, most):
    ours, theirs = pair(kind)
    fds.send(ours, b"five!", [0])
    with pytest.raises((TypeError, ValueError)):
        fds.receive(theirs, max_size=most, timeout=0)
    with fds.receive(theirs, timeout=0) as message:
        assert (message.data, len(message.fds)) == (b"five!", 1)


@pytest.mark.parametrize("timeout", ["1", b"1", [1], object(), 1j])
def test_a_timeout_that_is_no_number_is_a_type_error_and_nothing_is_done(pair, kind, timeout):
    ours, theirs = pair(kind)
    with pytest.raises(TypeError):
        fds.send(ours, b"x", [0], timeout)
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive(theirs, timeout=0)
    fds.send(ours, b"five!", [0])
    with pytest.raises(TypeError):
        fds.receive(theirs, None, timeout)
    with fds.receive(theirs, timeout=0) as message:
        assert (message.data, len(message.fds)) == (b"five!", 1)


@pytest.mark.parametrize("most", [-1, "5", 1.5])
def test_a_bundles_bound_that_is_none_is_told(pair, most):
    ours, theirs = pair()
    fds.send_bundle(ours, b"five!", [0])
    with pytest.raises((TypeError, ValueError, pyipc.LimitError)):
        fds.receive_bundle(theirs, 0, max_size=most)


def test_descriptors_that_change_while_they_are_looked_at_do_no_harm(pair, opened):
    class Shrinks:
        def __init__(self, among):
            self.among = among

        def fileno(self):
            del self.among[1:]
            return 0

    ours, theirs = pair()
    before = opened()
    given = []
    given += [Shrinks(given)] + [0] * 200
    fds.send(ours, b"x", given)
    with fds.receive(theirs, timeout=0) as message:
        assert 1 <= len(message.fds) <= 201
    assert opened() == before


# ---- after close ----

ARGUMENTS = {"send": (0,), "getfd": (0,), "write": (1, 0), "read": (0,), "wait": (0,), "reap": (0,)}
HANDLES = {
    "handle": lambda: fds.Handle(os.dup(0)),
    "eventfd": lambda: fds.Eventfd.create(1),
    "pidfd": lambda: fds.Pidfd.open(os.getpid()),
}


def calls_on(handle):
    """Every public method and property, but those that say whether it is closed; that this backend has."""
    left_out = {"close", "closed", "kind", "open", "create"}
    if not pyipc.capabilities()["fds.pidfd_getfd"]:
        left_out.add("getfd")
    for name in dir(type(handle)):
        attribute = inspect.getattr_static(type(handle), name)
        if name.startswith("_") or name in left_out:
            continue
        if isinstance(attribute, property):
            yield name, lambda name=name: getattr(handle, name)
        else:
            yield name, lambda name=name: getattr(handle, name)(*ARGUMENTS.get(name, ()))


@pytest.mark.parametrize(
    "make",
    [
        HANDLES["handle"],
        pytest.param(HANDLES["eventfd"], marks=pytest.mark.needs("fds.eventfd")),
        HANDLES["pidfd"],
    ],
    ids=HANDLES,
)
def test_every_method_of_a_closed_handle_is_a_closed_error_that_says_what_it_was(make):
    handle = make()
    with handle:
        kind, names = handle.kind, [name for name, _ in calls_on(handle)]
    assert {"fileno", "detach", "dup"} <= set(names)
    for _, call in calls_on(handle):
        with pytest.raises(pyipc.ClosedError, match=kind):
            call()
    assert repr(handle) == f"<{kind} closed>"
    handle.close()


@pytest.mark.needs("fds.eventfd")
def test_of_what_somebody_else_has_closed_every_call_says_ebadf():
    """As after os.closerange(): the handle does not know, and the kernel does."""
    for make in HANDLES["eventfd"], HANDLES["pidfd"]:
        handle = make()
        os.close(handle.fileno())
        for name, call in calls_on(handle):
            if name not in ("fileno", "detach"):
                with pytest.raises(pyipc.ClosedError):
                    call()
        with pytest.raises(pyipc.ClosedError):
            handle.close()
        assert handle.closed


# ---- after fork ----


def fork_and_use(say, hear, sock):
    import os

    from pyipc import fds

    message = fds.receive(sock)
    handle, eventfd = fds.Handle(message.fds[0]), fds.Eventfd(message.fds[1])
    pid = os.fork()
    if not pid:
        os.write(handle.fileno(), b"child ")
        eventfd.write(3)
        fds.send(sock, b"from the child", [handle])
        handle.close()
        eventfd.close()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(handle.fileno(), b"parent")
    say((status, eventfd.read(20), handle.closed))
    handle.close()
    eventfd.close()


@pytest.mark.needs("fds.eventfd")
def test_after_a_fork_both_processes_use_what_they_have(pair, kind, partner, pipes):
    ours, theirs = pair(kind)
    reading, writing = pipes()
    other = partner(fork_and_use, theirs)
    with fds.Eventfd.create() as eventfd:
        fds.send(ours, b"x", [writing, eventfd])
        writing.close()
        with fds.receive(ours, timeout=20) as message:
            assert (message.data, len(message.fds)) == (b"from the child", 1)
        assert other.hear() == (0, 3, False)
    assert other.end() == 0
    assert reading.read() == b"child parent"


# ---- at random, on sockets that somebody else closes meanwhile ----


def close_what_comes(say, hear, sock, seed):
    import random
    import socket

    import pyipc
    from pyipc import fds

    chance = random.Random(seed)

    def disturb(theirs):
        what = chance.randrange(5)
        try:
            if what == 0:
                fds.send(theirs, b"x" * chance.randrange(3000), [0], 0)
            elif what == 1:
                theirs.send(b"pyB1" + bytes(chance.randrange(40)), socket.MSG_DONTWAIT)
            elif what == 2:
                theirs.shutdown(chance.choice([socket.SHUT_RD, socket.SHUT_WR]))
            elif what == 3:
                fds.receive(theirs, timeout=0.001).close()
            else:
                fds.pass_credentials(theirs)
        except (OSError, ValueError):
            pass

    while True:
        try:
            message = fds.receive(sock)
        except pyipc.PeerGoneError:
            break
        with socket.socket(fileno=message.fds[0].detach()) as theirs:
            for _ in range(chance.randrange(6)):
                disturb(theirs)


def random_call(sock, chance):
    size, count = chance.choice([0, 1, 10, 3000, 100_000]), chance.choice([0, 0, 1, 2, 253, 254])
    timeout = chance.choice([0, 0.0, 0.0005, 0.002])
    return chance.choice(
        [
            lambda: fds.send(sock, bytes(size), [0] * count, timeout),
            lambda: fds.send(sock.fileno(), bytes(size), [0] * count, timeout),
            lambda: fds.receive(sock, timeout=timeout),
            lambda: fds.receive(sock, size or 1, timeout),
            lambda: fds.receive(sock.fileno(), timeout=timeout),
            lambda: fds.send_bundle(sock, bytes(size), [0] * count, timeout),
            lambda: fds.receive_bundle(sock, timeout, max_size=size),
            lambda: fds.peer(sock),
            lambda: fds.pass_credentials(sock, chance.random() < 0.5),
        ]
    )


def test_a_thousand_random_calls_give_what_is_asked_or_a_named_error(pair, partner, opened):
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    ours, theirs = pair("stream")
    other = partner(close_what_comes, theirs, seed)
    before, outcomes = opened(), set()
    wanted = {pyipc.WouldBlockError, pyipc.PeerGoneError, pyipc.LimitError}
    for done in range(10_000):
        if done >= 100 and wanted <= outcomes:  # on a busy machine the other end comes too late for some
            break
        mine, its = fds.socketpair(chance.choice(["seqpacket", "datagram", "stream"]))
        with mine:
            fds.send(ours, b"x", [its])
            its.close()
            for _ in range(10):
                try:
                    result = random_call(mine, chance)()
                except (pyipc.IPCError, ValueError) as problem:
                    outcomes.add(type(problem))
                else:
                    if result is not None:
                        result.close()
    assert opened() == before, f"seed {seed}"
    assert wanted <= outcomes, f"seed {seed}"
    ours.close()
    assert other.end() == 0
