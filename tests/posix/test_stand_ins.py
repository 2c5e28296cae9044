"""What C stands in for says and does the same as the Python text that it stands in for."""

from __future__ import annotations

import pytest

import pyipc
from pyipc import posix
from pyipc.memory import Memory
from pyipc.posix import semaphores

pytestmark = pytest.mark.needs("posix.semaphores", "posix.message_queues")

CLASSES = (semaphores.BaseSemaphore, posix.MessageQueue)


@pytest.fixture(params=["C", "Python"], autouse=True)
def way(request, monkeypatch):
    stood_in_for = 0
    for cls in CLASSES:
        for name, method in list(vars(cls).items()):
            if name.startswith("_py_"):
                stood_in_for += 1
                if request.param == "Python":
                    monkeypatch.setattr(cls, name[len("_py_") :], method)
    if request.param == "C" and not stood_in_for:
        pytest.skip("C stands in for nothing here")


@pytest.fixture
def queue():
    with posix.MessageQueue.create(None, max_messages=3, max_size=64) as made:
        yield made


@pytest.fixture(params=["named", "unnamed"])
def semaphore(request):
    if request.param == "named":
        made = posix.Semaphore.create(None, 2)
        yield made
        made.close()
    elif not pyipc.capabilities()["posix.unnamed_semaphores"]:
        pytest.skip("the backend has none")
    else:
        with Memory(100) as memory:
            made = posix.UnnamedSemaphore.create(memory, 2, offset=8)
            yield made
            made.close()


# ---- semaphores ----


def test_taking_and_giving(semaphore):
    for how in (), (None,), (0,), (0.0,), (5,), (2.5,), (True,):
        assert semaphore.acquire(*how) is None
        assert semaphore.release() is None
    for how in {"timeout": None}, {"timeout": 0}:
        assert semaphore.acquire(**how) is None
    assert semaphore.value == 0
    assert semaphore.release() is None
    assert semaphore.acquire(timeout=3) is None


def test_none_left(semaphore):
    semaphore.acquire()
    semaphore.acquire()
    for timeout, error in (
        (0, pyipc.WouldBlockError),
        (0.0, pyipc.WouldBlockError),
        (False, pyipc.WouldBlockError),
        (0.01, pyipc.TimedOutError),
    ):
        with pytest.raises(error, match="semaphore"):
            semaphore.acquire(timeout)
        with pytest.raises(error, match="semaphore"):
            semaphore.acquire(timeout=timeout)
    assert semaphore.value == 0


@pytest.mark.parametrize(
    ("error", "arguments", "options"),
    [
        (ValueError, (-1,), {}),
        (ValueError, (float("nan"),), {}),
        (TypeError, ("1",), {}),
        (TypeError, (1, 2), {}),
        (TypeError, (), {"wait": 1}),
        (TypeError, (1,), {"timeout": 1}),
    ],
)
def test_how_it_cannot_be_taken(semaphore, error, arguments, options):
    with pytest.raises(error):
        semaphore.acquire(*arguments, **options)
    with pytest.raises(TypeError):
        semaphore.release(*(arguments or [1]))
    assert semaphore.value == 2


def test_a_closed_semaphore(semaphore):
    semaphore.close()
    for call in semaphore.acquire, semaphore.release, lambda: semaphore.acquire(0):
        with pytest.raises(pyipc.ClosedError, match="closed"):
            call()


def test_what_is_no_semaphore():
    half = semaphores.BaseSemaphore.__new__(semaphores.BaseSemaphore)
    for call in half.acquire, half.release:
        with pytest.raises(AttributeError):
            call()
    for wrong in None, 5, object():
        half._sem = wrong
        with pytest.raises((TypeError, AttributeError, pyipc.ClosedError)):
            half.acquire(0)


# ---- queues ----


@pytest.mark.parametrize("data", [b"", b"x", bytes(64), bytearray(b"array"), memoryview(b"view")])
def test_a_message(queue, data):
    assert queue.send(data) is None
    assert queue.send(data, 5) is None
    assert queue.send(data=data, priority=True, timeout=0) is None
    first, second, third = queue.receive(), queue.receive(timeout=None), queue.receive(0.5)
    for message, priority in (first, 5), (second, 1), (third, 0):
        assert type(message) is posix.Message
        assert message == (bytes(data), priority)
        assert (type(message.data), type(message.priority)) == (bytes, int)


@pytest.mark.parametrize(
    ("error", "arguments", "options"),
    [
        (TypeError, (), {}),
        (TypeError, ("text",), {}),
        (TypeError, (b"x", None), {}),
        (TypeError, (b"x", 1.5), {}),
        (TypeError, (b"x", "1"), {}),
        (TypeError, (b"x", 0, "1"), {}),
        (TypeError, (b"x", 0, None, 1), {}),
        (TypeError, (b"x",), {"data": b"y"}),
        (TypeError, (b"x",), {"wait": 1}),
        (ValueError, (b"x", -1), {}),
        (ValueError, (b"x", 32768), {}),
        (ValueError, (b"x", (1 << 32) + 1), {}),
        (ValueError, (b"x", 1 << 64), {}),
        (ValueError, (b"x", 0, -0.5), {}),
        (ValueError, (b"x", 0, float("nan")), {}),
        (pyipc.LimitError, (bytes(65),), {}),
        (pyipc.LimitError, (bytes(100_000),), {}),
    ],
)
def test_what_cannot_be_sent(queue, error, arguments, options):
    with pytest.raises(error):
        queue.send(*arguments, **options)
    assert queue.stat().messages == 0


def test_no_room_and_no_message(queue):
    for timeout, error in (
        (0, pyipc.WouldBlockError),
        (0.0, pyipc.WouldBlockError),
        (0.01, pyipc.TimedOutError),
    ):
        with pytest.raises(error, match="receive from"):
            queue.receive(timeout)
    for _ in range(3):
        queue.send(b"x")
    for timeout, error in (
        (0, pyipc.WouldBlockError),
        (0.0, pyipc.WouldBlockError),
        (0.01, pyipc.TimedOutError),
    ):
        with pytest.raises(error, match="send to"):
            queue.send(b"y", 1, timeout)
    assert [queue.receive() for _ in range(3)] == [(b"x", 0)] * 3


def test_one_way_and_closed(queue):
    with posix.MessageQueue.open(queue.name, write=False) as reader, pytest.raises(pyipc.AccessError):
        reader.send(b"x")
    with posix.MessageQueue.open(queue.name, read=False) as writer, pytest.raises(pyipc.AccessError):
        writer.receive()
    queue.close()
    for call in queue.receive, lambda: queue.receive(0), lambda: queue.send(b"x"):
        with pytest.raises(pyipc.ClosedError):
            call()


def test_more_than_c_has_room_for():
    with posix.MessageQueue.create(None, max_messages=2, max_size=8192) as queue:
        for size in 8192, 8191, 1:
            queue.send(bytes(size), 9)
            assert queue.receive() == (bytes(size), 9)
