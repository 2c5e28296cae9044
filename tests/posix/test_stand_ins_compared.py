"""C stands in for the common calls of POSIX objects; the text in Python says what they do."""

from __future__ import annotations

import inspect
from contextlib import closing

import pytest

import pyipc
from pyipc import posix

METHODS = [
    (posix.Semaphore, "acquire"),
    (posix.Semaphore, "release"),
    (posix.MessageQueue, "send"),
    (posix.MessageQueue, "receive"),
    (posix.SharedMemory, "read"),
    (posix.SharedMemory, "write"),
]

needs_queues = pytest.mark.needs("posix.message_queues")


def slow(cls, name):
    return getattr(cls, f"_py_{name}", None)


def both(thing, name):
    """The method that is called, and the Python that C stands in for; or that alone."""
    python = getattr(thing, f"_py_{name}", None)
    return (getattr(thing, name),) if python is None else (getattr(thing, name), python)


def outcome(call):
    """What it gives, or the class and errno of what it raises."""
    try:
        return call()
    except Exception as problem:
        return type(problem), getattr(problem, "errno", None)


@pytest.mark.parametrize(("cls", "name"), METHODS, ids=lambda value: getattr(value, "__name__", value))
def test_it_looks_like_the_python_that_it_replaces(cls, name):
    python = slow(cls, name)
    if python is None:
        pytest.skip(f"nothing stands in for Python on the {pyipc.backend()} backend here")
    fast = getattr(cls, name)
    assert fast is not python
    plain = [p.replace(annotation=p.empty) for p in inspect.signature(python).parameters.values()]
    assert [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in inspect.signature(fast).parameters.values()] == [
        p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in plain
    ]
    assert inspect.getdoc(fast) == inspect.getdoc(python)


@pytest.fixture
def memory():
    with posix.SharedMemory.create(None, 100000) as memory:
        memory.write(bytes(range(250)) * 400)
        yield memory


READS = [
    ((64,), {}),
    ((64, 3), {}),
    ((), {"size": 64, "offset": 7}),
    ((0,), {}),
    ((0, 100001), {}),
    ((70000, 29999), {}),
    ((1, 99999), {}),
    ((2, 99999), {}),
    ((1, 1 << 62), {}),
    ((1, (1 << 63) - 1), {}),
    ((1, 1 << 63), {}),
    ((-1,), {}),
    ((1, -1), {}),
    ((None, 99990), {}),
    ((1.5,), {}),
    ((1, 2, 3), {}),
    ((), {"length": 3}),
]


@pytest.mark.parametrize(("arguments", "named"), READS, ids=repr)
def test_reads_are_the_same(memory, arguments, named):
    found = [outcome(lambda call=call: call(*arguments, **named)) for call in both(memory, "read")]
    assert found[0] == found[-1]
    if isinstance(found[0], bytes) and arguments and arguments[0]:
        whole = bytes(range(250)) * 400
        start = arguments[1] if len(arguments) > 1 else 0
        assert found[0] == whole[start : None if arguments[0] is None else start + arguments[0]]


WRITES = [
    ((b"abc",), {}),
    ((b"abc", 5), {}),
    ((b"abc",), {"offset": 99997}),
    ((b"abc", 99998), {}),
    ((b"abc", 100000), {}),
    ((b"", 100000), {}),
    ((b"", 100001), {}),
    ((b"a", (1 << 63) - 1), {}),
    ((b"a", 1 << 63), {}),
    ((b"a", -1), {}),
    ((bytearray(b"abc"),), {}),
    ((b"abc",), {"pad_to": 9}),
    ((b"x" * 70000,), {}),
    (("abc",), {}),
    ((), {}),
]


@pytest.mark.parametrize(("arguments", "named"), WRITES, ids=lambda value: repr(value)[:40])
def test_writes_are_the_same(memory, arguments, named):
    found = []
    for name in ("write", "_py_write") if slow(posix.SharedMemory, "write") else ("write",):
        memory.resize(100000)
        memory.write(bytes(100000))
        result = outcome(lambda name=name: getattr(memory, name)(*arguments, **named))
        found.append((result, memory.size, memory.read()))
    assert found[0] == found[-1]
    assert found[0][1] == 100000
    if found[0][0] is None and arguments[0]:
        start = arguments[1] if len(arguments) > 1 else named.get("offset", 0)
        assert found[0][2][start : start + len(arguments[0])] == arguments[0]


def test_neither_writes_where_writing_is_not_allowed(memory):
    with posix.SharedMemory.open(memory.name, read_only=True) as other:
        for data in b"", b"x":
            for write in both(other, "write"):
                with pytest.raises(pyipc.AccessError):
                    write(data)


def test_what_is_closed_is_said_to_be(memory):
    other = posix.SharedMemory.open(memory.name)
    other.close()
    for call in *both(other, "read"), *(lambda write=write: write(b"x") for write in both(other, "write")):
        with pytest.raises(pyipc.ClosedError):
            call(1) if call.__name__.endswith("read") else call()


# ---- messages whose objects are used again ----


@needs_queues
def test_a_message_that_somebody_has_stays_what_it_is():
    with posix.MessageQueue.create(None) as queue:
        kept = []
        for number in range(100):
            queue.send(b"%d" % number, number)
            message = queue.receive()
            if number % 3 == 0:
                kept.append(message)
            elif number % 3 == 1:
                kept.append(message[0])
            assert message == (b"%d" % number, number)
            if number % 2:
                del message
        numbers = [number for number in range(100) if number % 3 < 2]
        texts = [kept[place] if number % 3 else kept[place].data for place, number in enumerate(numbers)]
        assert texts == [b"%d" % number for number in numbers]
        assert {type(message) for message in kept} == {posix.Message, bytes}


@needs_queues
def test_a_message_used_again_is_hashed_anew():
    with posix.MessageQueue.create(None) as queue:
        found = set()
        for text in b"one", b"two":
            queue.send(text)
            found.add(hash(queue.receive()))
        assert found == {hash((b"one", 0)), hash((b"two", 0))}


@needs_queues
def test_a_long_message_is_not_kept():
    import gc

    with posix.MessageQueue.create(None) as queue:
        queue.send(bytes(8000))
        assert len(queue.receive().data) == 8000
        held = [m for m in gc.get_objects() if type(m) is posix.Message and len(m[0]) == 8000]
        assert held == []


@pytest.mark.needs("posix.semaphores")
def test_permits_are_the_same():
    with closing(posix.Semaphore.create(None, 0)) as semaphore:
        for release in both(semaphore, "release"):
            release()
        for acquire in both(semaphore, "acquire") * 2:
            if semaphore.value:
                acquire()
            else:
                with pytest.raises(pyipc.WouldBlockError):
                    acquire(timeout=0)
