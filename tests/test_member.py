"""Handles on shared memory by themselves: descriptors that are opened anew, and what is refused."""

from __future__ import annotations

import gc
import mmap
import os
import select
import threading

import pytest

import pyipc
from pyipc import _member, _memfd
from pyipc._backend import ops

pytestmark = pytest.mark.needs("channels")


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


class Object(_member.SharedHandle):
    """Something whose state the test makes up; its calls say what the test wants."""

    __slots__ = ()
    kind = "object of a test"


@pytest.fixture
def memory():
    owner = _memfd.made(8192, 0, "make it")
    yield owner
    owner._close()


class State:
    """What C would know: it has joined, or not."""


def of(memory, state=None):
    return Object(_member.Member(memory.fileno(), lambda *arguments: state or State()))


# ---- descriptors, opened anew ----


def test_what_is_opened_anew_is_another_description(tmp_path):
    with open(tmp_path / "file", "w+b") as file:
        file.write(b"content")
        file.flush()
        anew = _member.reopened(file.fileno(), os.O_RDONLY)
        assert os.read(anew.fileno(), 3) == b"con"  # an offset of its own
        assert file.tell() == 7
        assert not os.get_inheritable(anew.fileno())
        anew._close()


def test_what_is_not_open_cannot_be_opened_anew(pipe):
    number = os.dup(pipe[0])
    os.close(number)
    with pytest.raises(pyipc.NotFoundError):
        _member.reopened(number, os.O_RDONLY)


def test_the_flag_of_an_end_is_nobody_elses(pipe):
    reading = _member.pipe_end(pipe[0], write=False)
    writing = _member.pipe_end(pipe[1], write=True)
    os.set_blocking(pipe[0], True)
    os.set_blocking(pipe[1], True)
    assert not os.get_blocking(reading.fileno())
    assert not os.get_blocking(writing.fileno())
    os.write(writing.fileno(), b"x")
    assert os.read(pipe[0], 9) == b"x"
    with pytest.raises(BlockingIOError):
        os.read(reading.fileno(), 9)
    reading._close()
    writing._close()


def test_an_end_whose_readers_have_gone_is_had_all_the_same():
    reading, writing = os.pipe()
    os.close(reading)
    end = _member.pipe_end(writing, write=True)
    assert select.select([], [end.fileno()], [], 0)[1]
    with pytest.raises(BrokenPipeError):
        os.write(end.fileno(), b"x")
    end._close()
    os.close(writing)


def test_what_is_no_pipe_is_refused():
    with open("/dev/null") as null, pytest.raises(pyipc.IPCError, match="no pipe"):
        _member.pipe_end(null.fileno(), write=False)


# ---- memory ----


def test_memory_that_may_shrink_is_refused():
    number = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.ftruncate(number, 8192)
    with pytest.raises(pyipc.AccessError, match="not sealed"):
        _member.Member(number, lambda *arguments: State())
    os.close(number)


def test_the_memory_is_of_a_fixed_size(memory):
    for size in 4096, 16384:
        with pytest.raises(PermissionError):
            os.ftruncate(memory.fileno(), size)


def test_what_the_state_says_is_an_error(memory):
    import errno

    before = len(os.listdir("/proc/self/fd"))
    for number, kind in (
        (errno.EINVAL, pyipc.IPCError),
        (errno.ENOSPC, pyipc.LimitError),
        (errno.EBADMSG, pyipc.IPCError),
    ):
        with pytest.raises(kind) as caught:
            _member.Member(memory.fileno(), lambda *arguments, it=number: -it)
        assert caught.value.errno == number
        del caught
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_member_goes_with_its_handle(memory):
    before = len(os.listdir("/proc/self/fd"))
    known = len(_member._members)
    handle = of(memory)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert len(_member._members) == known + 1
    handle.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(_member._members) == known


def test_a_member_outlives_its_handle_as_long_as_its_memory_is_used(memory):
    handle = of(memory)
    view = memoryview(handle._part().memory)
    handle.close()
    gc.collect()
    view[:4] = b"text"
    with mmap.mmap(memory.fileno(), 8192) as mapped:
        assert mapped[:4] == b"text"
    view.release()


# ---- calls ----


def test_a_call_joins_again_where_it_must(memory, monkeypatch):
    """As after a fork: the call says that it takes no part, joins, and goes on."""
    import errno

    state, joins = State(), []
    handle = of(memory, state)
    answers = [-errno.ENOTCONN, 7]
    monkeypatch.setattr(ops, "member_join", lambda it: joins.append(it) or 0)
    assert handle._call(lambda it, number: answers.pop(0), 1) == 7
    assert joins == [state]
    monkeypatch.setattr(ops, "member_join", lambda it: -errno.ENOSPC)
    with pytest.raises(pyipc.LimitError, match="1023"):
        handle._call(lambda it: -errno.ENOTCONN)
    handle.close()


def test_a_call_whose_memory_could_not_be_opened_in_a_forked_child(memory):
    import errno

    handle = of(memory)
    handle._part()._problem = -errno.EMFILE
    with pytest.raises(pyipc.LimitError, match="forked"):
        handle._call(lambda it: -errno.ENOTCONN)
    handle.close()


def test_a_wait_that_may_not_is_one_that_would_have_to(memory):
    import errno

    handle = of(memory)
    ended = lambda state, deadline: -errno.ETIMEDOUT  # noqa: E731
    assert handle._until(0, "wait for", ended) == -errno.EAGAIN
    assert handle._until(1, "wait for", ended) == -errno.ETIMEDOUT
    assert handle._until(0, "wait for", lambda state, deadline: 3) == 3
    handle.close()


def test_a_closed_handle(memory):
    handle = of(memory)
    assert repr(handle) == "<object of a test>"
    with handle:
        assert not handle.closed
    handle.close()
    assert repr(handle) == "<object of a test, closed>"
    for call in lambda: handle._call(print), handle._part, handle.__reduce__:
        with pytest.raises(pyipc.ClosedError, match="object of a test"):
            call()


def test_members_of_many_threads_are_all_known(memory):
    known = len(_member._members)

    def works():
        for _ in range(200):
            of(memory).close()

    threads = [threading.Thread(target=works) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_member._members) == known
