"""What servers do for each connection, by the calls of the protocol; the peer is the standard library."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
from errno import EAGAIN, EBADF, EMFILE

import pytest


@pytest.fixture
def tcp():
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        theirs = stack.enter_context(socket.create_connection(listener.getsockname()))
        yield stack.enter_context(listener.accept()[0]), theirs


def test_what_was_written_arrives_though_something_is_unread(backend, tcp):
    ours, theirs = tcp
    theirs.sendall(bytes(100_000))
    theirs.send(b"!", socket.MSG_OOB)
    ours.sendall(b"last words")
    assert backend.connection_finish(ours) == 0
    ours.close()
    assert theirs.recv(100) == b"last words"
    assert theirs.recv(100) == b""


def test_one_that_is_closed_is_named(backend, tcp):
    tcp[0].close()
    assert backend.connection_finish(tcp[0]) == -EBADF


def test_a_child_and_its_pidfd(backend):
    born: list[int] = []
    result = backend.fork(born)
    if not born[0]:
        os._exit(7 if (result, born) == (0, [0]) else 1)
    pid, pidfd = born
    try:
        assert result == 0
        assert not os.get_inheritable(pidfd)
        assert select.select([pidfd], [], [], 20)[0] == [pidfd]
        assert os.waitpid(pid, os.WNOHANG)[1] == 7 << 8
    finally:
        os.close(pidfd)


def test_what_python_does_at_a_fork_is_done(backend, forked):
    def facts():
        seen = []
        os.register_at_fork(
            before=lambda: seen.append("before"),
            after_in_parent=lambda: seen.append("parent"),
            after_in_child=lambda: seen.append("child"),
        )
        born: list[int] = []
        backend.fork(born)
        if not born[0]:
            os._exit(0 if seen == ["before", "child"] else 1)
        return seen, os.waitpid(born[0], 0)[1]

    assert forked(facts)() == (["before", "parent"], 0)


def test_no_process_is_no_child(backend, forked, privileged):
    def attempt():
        os.setgroups([])
        os.setgid(54321)
        os.setuid(54321)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        born: list[int] = []
        result = backend.fork(born)
        if born and not born[0]:
            os._exit(0)
        return result, born

    assert forked(attempt)() == (-EAGAIN, [])


def test_without_a_descriptor_there_is_a_child_to_see_to(backend, forked):
    def attempt():
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        born: list[int] = []
        result = backend.fork(born)
        if not born[0]:
            os._exit(3)
        return result, len(born), os.waitpid(born[0], 0)[1]

    assert forked(attempt)() == (-EMFILE, 1, 3 << 8)


def test_no_handler_comes_between_a_child_and_its_pid(backend, forked):
    def attempt():
        class Stop(Exception):  # noqa: N818 (it is no error)
            pass

        def stop(number, frame):
            raise Stop

        signal.signal(signal.SIGCHLD, stop)
        known = 0
        for _ in range(50):
            born: list[int] = []
            with contextlib.suppress(Stop):
                backend.fork(born)
                if not born[0]:
                    os._exit(0)
                os.waitid(os.P_PID, born[0], os.WEXITED | os.WNOWAIT)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            known += os.waitpid(born[0], 0)[0] == born[0]
            for pidfd in born[1:]:
                os.close(pidfd)
            signal.signal(signal.SIGCHLD, stop)
        return known

    assert forked(attempt)() == 50
