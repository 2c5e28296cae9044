"""Who closes what came with a message, and when; the kernel says when nobody has it any more."""

from __future__ import annotations

import gc
import os
import warnings

import pytest

import pyipc
from pyipc import fds


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@pytest.fixture
def received(pair, pipes):
    """A message with so many copies of the writing end of a pipe; and whether all of them are closed."""
    reading, writing = pipes()

    def make(count=3, data=b"data"):
        ours, theirs = pair()
        fds.send(ours, data, [writing] * count)
        writing.close()
        return fds.receive(theirs), lambda: reading.read(1) == b""

    return make


def test_closing_a_message_closes_what_came_with_it(received):
    message, all_closed = received()
    numbers = [handle.fileno() for handle in message.fds]
    message.close()
    assert all_closed()
    assert all(handle.closed for handle in message.fds)
    assert not any(map(is_open, numbers))


def test_closing_again_closes_nothing(received):
    message, all_closed = received()
    numbers = [handle.fileno() for handle in message.fds]
    message.close()
    others = [os.dup(0) for _ in numbers]  # the lowest free numbers: the same ones
    assert set(others) & set(numbers)
    message.close()
    with message:
        pass
    assert all(map(is_open, others))
    for number in others:
        os.close(number)
    assert all_closed()


def test_leaving_the_with_block_closes(received):
    message, all_closed = received()
    with message as same:
        assert same is message
        assert not all_closed()
    assert all_closed()


def test_leaving_by_an_exception_closes_and_lets_it_pass(received):
    message, all_closed = received()
    with pytest.raises(KeyError, match="mine"), message:
        raise KeyError("mine")
    assert all_closed()


def test_what_was_taken_over_detached_or_closed_is_left_alone(received):
    message, all_closed = received(5)
    owned, number = fds.Handle(message.fds[0]), message.fds[1].detach()
    message.fds[2].close()
    taken = message.fds.pop()
    message.close()
    assert [handle.closed for handle in message.fds] == [True] * 4
    assert not any([owned.closed, taken.closed])
    assert is_open(number)
    owned.close()
    taken.close()
    assert not all_closed()
    os.close(number)
    assert all_closed()


def test_a_message_without_descriptors_needs_no_closing(received):
    message, all_closed = received(0)
    del message  # a warning would be an error here
    gc.collect()
    assert all_closed()


def test_a_message_dropped_open_complains_and_closes(received):
    message, all_closed = received(2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        texts = {f"{handle!r} was dropped without close()" for handle in message.fds}
        del message
    assert {str(one.message) for one in caught} == texts
    assert {one.category for one in caught} == {ResourceWarning}
    del caught
    assert all_closed()


def test_handles_outlive_their_message(received):
    message, all_closed = received(1)
    handle = message.fds[0]
    del message
    assert not all_closed()
    handle.close()
    assert all_closed()


def test_a_message_says_what_it_holds(received):
    message, _ = received(2, b"12345")
    assert repr(message) == "<message of 5 bytes and 2 descriptors>"
    message.close()
    assert repr(message) == "<message of 5 bytes and 2 descriptors>"
    assert repr(message.fds) == "[<descriptor closed>, <descriptor closed>]"


def test_a_message_has_no_room_for_other_names(received):
    message, _ = received(0)
    with pytest.raises(AttributeError):
        message.nonsense = 1


def test_a_pidfd_of_the_sender_is_closed_with_the_message(pair):
    ours, theirs = pair()
    try:
        fds.pass_credentials(theirs, pidfd=True)
    except pyipc.UnsupportedError:
        pytest.skip("pidfds over sockets came with Linux 6.5")
    for leave in lambda message: message.close(), lambda message: message.__exit__(None, None, None):
        fds.send(ours, b"x", [0])
        message = fds.receive(theirs)
        number = message.peer.pidfd.fileno()
        assert is_open(number)
        leave(message)
        assert message.peer.pidfd.closed
        assert not is_open(number)


def receive_and_be_killed(say, hear, sock):
    from pyipc import fds

    global message  # as long as the process lives
    message = fds.receive(sock)
    say(len(message.fds))
    hear()


def test_what_a_killed_process_had_is_closed(pair, kind, partner, pipes, until):
    ours, theirs = pair(kind)
    reading, writing = pipes()
    other = partner(receive_and_be_killed, theirs)
    fds.send(ours, b"x", [writing] * 10)
    fds.send(ours, b"never received", [writing] * 10)
    writing.close()
    assert other.hear() == 10
    assert reading.read(1) is None
    other.kill()
    assert other.end() == -9
    ours.close()
    until(lambda: reading.read(1) == b"")


def fork_and_close(say, hear, sock):
    import os

    from pyipc import fds

    message = fds.receive(sock)
    pid = os.fork()
    if not pid:
        message.close()  # the child's copies
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    say((status, [handle.closed for handle in message.fds]))
    hear()
    os.write(message.fds[0].fileno(), b"still here")
    message.close()
    say("closed")
    hear()


def test_after_a_fork_each_process_closes_its_own(pair, partner, pipes):
    ours, theirs = pair()
    reading, writing = pipes()
    other = partner(fork_and_close, theirs)
    fds.send(ours, b"x", [writing])
    writing.close()
    assert other.hear() == (0, [False])
    assert reading.read(10) is None
    other.say("go on")
    assert other.hear() == "closed"
    assert reading.read(100) == b"still here"
    assert reading.read(1) == b""
    other.say("end")
    assert other.end() == 0


def start_a_program(say, hear, sock):
    import os
    import subprocess
    import sys

    from pyipc import fds

    with fds.receive(sock) as message:
        number = message.fds[0].fileno()
        look = f"import os; os.fstat({number})"
        quiet = subprocess.DEVNULL
        run = subprocess.run([sys.executable, "-c", look], close_fds=False, stderr=quiet, check=False)
        say(run.returncode)
        os.set_inheritable(number, True)
        run = subprocess.run([sys.executable, "-c", look], close_fds=False, stderr=quiet, check=False)
        say(run.returncode)


def test_a_program_that_is_started_inherits_nothing_that_came(pair, kind, partner):
    ours, theirs = pair(kind)
    other = partner(start_a_program, theirs)
    fds.send(ours, b"x", [0])
    assert other.hear() == 1
    assert other.hear() == 0  # so the look can tell
    assert other.end() == 0
