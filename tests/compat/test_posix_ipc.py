"""Our module beside posix_ipc itself: names, arguments, errors; each on the other side of the other."""

from __future__ import annotations

import contextlib
import gc
import inspect
import mmap
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import weakref
from pathlib import Path

import pytest

import pyipc
import pyipc.compat.posix_ipc as ours
from pyipc.errors import IPCError

theirs = pytest.importorskip("posix_ipc")

CLASSES = "Semaphore", "SharedMemory", "MessageQueue"
NATIVE = pytest.mark.skipif(pyipc.backend() != "native", reason="the fallback notifies by signals alone")


@pytest.fixture
def name():
    """A name that nobody uses; nothing has it at the end."""
    chosen = f"/pyipc-test-{os.urandom(6).hex()}"
    yield chosen
    for unlink in theirs.unlink_semaphore, theirs.unlink_shared_memory, theirs.unlink_message_queue:
        try:
            unlink(chosen)
        except theirs.ExistentialError:
            continue


@pytest.fixture
def queue(name):
    made = ours.MessageQueue(name, ours.O_CREX, max_messages=4, max_message_size=100)
    yield made
    if made.mqd >= 0:
        made.close()


# ---- names ----


def public(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


def test_every_name_of_theirs_is_here():
    assert public(theirs) <= public(ours)
    assert public(theirs) == set(ours.__all__)
    for name in "__version__", "__author__", "__copyright__", "__license__":
        assert type(getattr(ours, name)) is str


@pytest.mark.parametrize("name", sorted(n for n in public(theirs) if n.isupper()))
def test_constants_are_the_same(name):
    mine, original = getattr(ours, name), getattr(theirs, name)
    assert (type(mine), mine) == (type(original), original)


@pytest.mark.parametrize("name", CLASSES)
def test_objects_have_the_same_attributes(name):
    extra = public(getattr(ours, name)) - public(getattr(theirs, name))
    assert public(getattr(theirs, name)) <= public(getattr(ours, name))
    assert extra <= {"closed"}


def test_exceptions_have_the_same_bases_and_home():
    for name in "Error", "SignalError", "PermissionsError", "ExistentialError", "BusyError":
        mine, original = getattr(ours, name), getattr(theirs, name)
        assert [base.__name__ for base in mine.__mro__] == [base.__name__ for base in original.__mro__]
        assert mine.__module__ == "pyipc.compat.posix_ipc"
    for name in CLASSES:
        assert getattr(ours, name).__module__ == "pyipc.compat.posix_ipc"


# What the package's own documentation says, since what is written in C does not tell.
SIGNATURES = {
    ours.Semaphore.__init__: {"name": None, "flags": 0, "mode": 0o600, "initial_value": 0},
    ours.SharedMemory.__init__: {"name": None, "flags": 0, "mode": 0o600, "size": 0, "read_only": False},
    ours.MessageQueue.__init__: {
        "name": None,
        "flags": 0,
        "mode": 0o600,
        "max_messages": theirs.QUEUE_MESSAGES_MAX_DEFAULT,
        "max_message_size": theirs.QUEUE_MESSAGE_SIZE_MAX_DEFAULT,
        "read": True,
        "write": True,
    },
    ours.Semaphore.acquire: {"timeout": None},
    ours.MessageQueue.send: {"message": None, "timeout": None, "priority": 0},
    ours.MessageQueue.receive: {"timeout": None},
    ours.MessageQueue.request_notification: {"notification": None},
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_arguments_have_their_names_order_and_defaults(function):
    parameters = list(inspect.signature(function).parameters.values())[1:]
    found = {p.name: None if p.default is p.empty else p.default for p in parameters}
    assert list(found.items()) == list(SIGNATURES[function].items())


@pytest.mark.parametrize("module", [theirs, ours], ids=["theirs", "ours"])
def test_those_names_and_that_order_are_theirs(module, name):
    semaphore = module.Semaphore(name=name, flags=module.O_CREX, mode=0o600, initial_value=2)
    semaphore.acquire(timeout=None)
    semaphore.unlink()
    semaphore.close()
    memory = module.SharedMemory(name=name, flags=module.O_CREX, mode=0o600, size=10, read_only=0)
    memory.close_fd()
    memory.unlink()
    queue = module.MessageQueue(
        name=name, flags=module.O_CREX, mode=0o600, max_messages=1, max_message_size=9, read=1, write=1
    )
    queue.send(message="m", timeout=0, priority=7)
    assert queue.receive(timeout=0) == (b"m", 7)
    queue.request_notification(notification=None)
    queue.close()
    queue.unlink()
    queue = module.MessageQueue(name, module.O_CREX, 0o640, 3, 20, True, False)
    assert (queue.mode, queue.max_messages, queue.max_message_size) == (0o640, 3, 20)
    queue.close()
    queue.unlink()


def test_they_say_what_they_are_as_theirs_do(name):
    for module in theirs, ours:
        said = []
        semaphore = module.Semaphore(name, module.O_CREX)
        said += [str(semaphore), repr(semaphore)]
        semaphore.unlink()
        semaphore.close()
        memory = module.SharedMemory(name, module.O_CREX, mode=0o640)
        said += [str(memory), repr(memory)]
        memory.unlink()
        memory.close_fd()
        queue = module.MessageQueue(name, module.O_CREX, max_messages=2, max_message_size=3, write=False)
        said += [str(queue), repr(queue)]
        queue.unlink()
        queue.close()
        if module is theirs:
            expected = said
    assert said == expected


def test_what_is_received_is_a_tuple(queue):
    for message, priority in ("text ä", 3), (b"bytes", 2), (bytearray(b"array"), 1), (memoryview(b"view"), 0):
        queue.send(message, None, priority)
    received = [queue.receive(1) for _ in range(4)]
    assert received == [("text ä".encode(), 3), (b"bytes", 2), (b"array", 1), (b"view", 0)]
    assert {type(one) for one in received} == {tuple}


def test_attributes_cannot_be_set(queue):
    for attribute in "name", "mode", "mqd", "max_messages", "max_message_size", "current_messages":
        with pytest.raises(AttributeError):
            setattr(queue, attribute, 1)
    with pytest.raises(AttributeError):
        queue.other = 1
    with pytest.raises(AttributeError):
        del queue.block


def test_heirs_can_be_made(name):
    class Mine(ours.Semaphore):
        def __init__(self, name):
            super().__init__(name, ours.O_CREX, initial_value=1)
            self.more = 5

    mine = Mine(name)
    with mine as entered:
        assert entered is mine
        assert mine.value == 0
    mine.unlink()
    mine.close()


# ---- errors ----


def _semaphore(module, use=lambda semaphore: None, **options):
    semaphore = module.Semaphore(None, module.O_CREX, **options)
    try:
        use(semaphore)
    finally:
        try:
            semaphore.unlink()
            semaphore.close()
        except module.ExistentialError:
            module.unlink_semaphore(semaphore.name)


def _memory(module, use=lambda memory: None, **options):
    memory = module.SharedMemory(None, module.O_CREX, **options)
    try:
        use(memory)
    finally:
        with contextlib.suppress(ValueError):
            memory.close_fd()
        memory.unlink()


def _queue(module, use=lambda queue: None, **options):
    queue = module.MessageQueue(None, module.O_CREX, **options)
    try:
        use(queue)
    finally:
        queue.unlink()
        if queue.mqd >= 0:
            queue.close()


def _closed(queue):
    queue.close()
    return queue


def _twice(module, kind, remove):
    name = f"/pyipc-test-{os.urandom(6).hex()}"
    first = kind(module)(name, module.O_CREX)
    try:
        kind(module)(name, module.O_CREX)
    finally:
        remove(module)(name)
        (first.close if hasattr(first, "close") else first.close_fd)()


BAD = {
    "semaphore: no arguments": lambda m: m.Semaphore(),
    "semaphore: no such keyword": lambda m: m.Semaphore("/x", value=1),
    "semaphore: name of no kind": lambda m: m.Semaphore(7),
    "semaphore: name None, no flags": lambda m: m.Semaphore(None),
    "semaphore: name None, O_CREAT": lambda m: m.Semaphore(None, m.O_CREAT),
    "semaphore: O_EXCL alone": lambda m: m.Semaphore("/x", m.O_EXCL),
    "semaphore: not there": lambda m: m.Semaphore("/pyipc-not-there"),
    "semaphore: there": lambda m: _twice(m, lambda m: m.Semaphore, lambda m: m.unlink_semaphore),
    "semaphore: name empty": lambda m: m.Semaphore("", m.O_CREX),
    "semaphore: name a slash": lambda m: m.Semaphore("/", m.O_CREX),
    "semaphore: name of folders": lambda m: m.Semaphore("/a/b", m.O_CREX),
    "semaphore: name too long": lambda m: m.Semaphore("/" + 300 * "x", m.O_CREX),
    "semaphore: name a little too long": lambda m: m.Semaphore("/" + 253 * "x", m.O_CREX),
    "semaphore: flags a float": lambda m: m.Semaphore("/x", 1.0),
    "semaphore: flags too large": lambda m: m.Semaphore("/x", 1 << 40),
    "semaphore: mode a str": lambda m: m.Semaphore("/x", m.O_CREX, "0600"),
    "semaphore: value negative": lambda m: _semaphore(m, initial_value=-1),
    "semaphore: value too large": lambda m: _semaphore(m, initial_value=1 << 31),
    "semaphore: value a float": lambda m: _semaphore(m, initial_value=1.0),
    "acquire: timeout negative": lambda m: _semaphore(m, lambda s: s.acquire(-1)),
    "acquire: timeout a str": lambda m: _semaphore(m, lambda s: s.acquire("1")),
    "acquire: two arguments": lambda m: _semaphore(m, lambda s: s.acquire(1, 2)),
    "acquire: at once": lambda m: _semaphore(m, lambda s: s.acquire(0)),
    "acquire: soon": lambda m: _semaphore(m, lambda s: s.acquire(0.001)),
    "release: too many": lambda m: _semaphore(m, lambda s: s.release(), initial_value=(1 << 31) - 1),
    "release: an argument": lambda m: _semaphore(m, lambda s: s.release(1)),
    "unlink_semaphore: not there": lambda m: m.unlink_semaphore("/pyipc-not-there"),
    "unlink_semaphore: bytes": lambda m: m.unlink_semaphore(b"/pyipc-not-there"),
    "unlink_semaphore: None": lambda m: m.unlink_semaphore(None),
    "unlink_semaphore: keyword": lambda m: m.unlink_semaphore(name="/pyipc-not-there"),
    "unlink_semaphore: too long": lambda m: m.unlink_semaphore("/" + 300 * "x"),
    "unlink_semaphore: NUL": lambda m: m.unlink_semaphore("/a\0b"),
    "memory: name None": lambda m: m.SharedMemory(None),
    "memory: O_EXCL alone": lambda m: m.SharedMemory("/x", m.O_EXCL),
    "memory: not there": lambda m: m.SharedMemory("/pyipc-not-there"),
    "memory: there": lambda m: _twice(m, lambda m: m.SharedMemory, lambda m: m.unlink_shared_memory),
    "memory: name a slash": lambda m: m.SharedMemory("/", m.O_CREX),
    "memory: name of folders": lambda m: m.SharedMemory("/a/b", m.O_CREX),
    "memory: name a dot": lambda m: m.SharedMemory("/.", m.O_CREAT),
    "memory: name too long": lambda m: m.SharedMemory("/" + 300 * "x", m.O_CREX),
    "memory: size negative": lambda m: _memory(m, size=-1),
    "memory: size too large": lambda m: _memory(m, size=1 << 63),
    "memory: size a float": lambda m: _memory(m, size=1.0),
    "memory: size with an index": lambda m: _memory(m, size=type("I", (), {"__index__": lambda s: 1})()),
    "memory: read_only a str": lambda m: _memory(m, read_only="yes"),
    "memory: size of read-only": lambda m: m.SharedMemory("/pyipc-x", m.O_CREX, size=5, read_only=True),
    "memory: size when closed": lambda m: _memory(m, lambda memory: (memory.close_fd(), memory.size)),
    "memory: closed by somebody": lambda m: _memory(m, lambda o: (os.close(o.fd), o.close_fd())),
    "unlink_shared_memory: not there": lambda m: m.unlink_shared_memory("/pyipc-not-there"),
    "unlink_shared_memory: bytes": lambda m: m.unlink_shared_memory(b"/pyipc-not-there"),
    "unlink_shared_memory: too long": lambda m: m.unlink_shared_memory("/" + 300 * "x"),
    "queue: name None": lambda m: m.MessageQueue(None),
    "queue: O_EXCL alone": lambda m: m.MessageQueue("/x", m.O_EXCL),
    "queue: not there": lambda m: m.MessageQueue("/pyipc-not-there"),
    "queue: there": lambda m: _twice(m, lambda m: m.MessageQueue, lambda m: m.unlink_message_queue),
    "queue: name without slash": lambda m: m.MessageQueue("pyipc-x", m.O_CREX),
    "queue: name a slash": lambda m: m.MessageQueue("/", m.O_CREX),
    "queue: name of folders": lambda m: m.MessageQueue("/a/b", m.O_CREX),
    "queue: name too long": lambda m: m.MessageQueue("/" + 300 * "x", m.O_CREX),
    "queue: no messages": lambda m: _queue(m, max_messages=0),
    "queue: messages negative": lambda m: _queue(m, max_messages=-1),
    "queue: messages too large": lambda m: _queue(m, max_messages=1 << 40),
    "queue: messages no long": lambda m: _queue(m, max_messages=1 << 64),
    "queue: messages a float": lambda m: _queue(m, max_messages=1.0),
    "queue: size too large": lambda m: _queue(m, max_message_size=1 << 30),
    "queue: neither read nor write": lambda m: m.MessageQueue("/x", m.O_CREX, read=False, write=False),
    "send: too long": lambda m: _queue(m, lambda q: q.send(b"12345"), max_message_size=4),
    "send: priority negative": lambda m: _queue(m, lambda q: q.send(b"", priority=-1)),
    "send: priority too large": lambda m: _queue(m, lambda q: q.send(b"", priority=32768)),
    "send: priority no long": lambda m: _queue(m, lambda q: q.send(b"", priority=1 << 64)),
    "send: priority a float": lambda m: _queue(m, lambda q: q.send(b"", priority=1.0)),
    "send: timeout negative": lambda m: _queue(m, lambda q: q.send(b"", -0.5)),
    "send: timeout a str": lambda m: _queue(m, lambda q: q.send(b"", "1")),
    "send: full": lambda m: _queue(m, lambda q: (q.send(b""), q.send(b"", 0)), max_messages=1),
    "send: full for a while": lambda m: _queue(
        m, lambda q: (q.send(b""), q.send(b"", 0.001)), max_messages=1
    ),
    "send: not to write": lambda m: _queue(m, lambda q: q.send(b""), write=False),
    "send: closed": lambda m: _queue(m, lambda q: _closed(q).send(b"")),
    "receive: empty": lambda m: _queue(m, lambda q: q.receive(0)),
    "receive: empty for a while": lambda m: _queue(m, lambda q: q.receive(0.001)),
    "receive: timeout negative": lambda m: _queue(m, lambda q: q.receive(-1)),
    "receive: not to read": lambda m: _queue(m, lambda q: q.receive(), read=False),
    "receive: closed": lambda m: _queue(m, lambda q: _closed(q).receive()),
    "block: closed": lambda m: _queue(m, lambda q: _closed(q).block),
    "block: set, closed": lambda m: _queue(m, lambda q: setattr(_closed(q), "block", True)),
    "current_messages: closed": lambda m: _queue(m, lambda q: _closed(q).current_messages),
    "close: closed": lambda m: _queue(m, lambda q: _closed(q).close()),
    "notification: a str": lambda m: _queue(m, lambda q: q.request_notification("x")),
    "notification: one of two": lambda m: _queue(m, lambda q: q.request_notification((print,))),
    "notification: no function": lambda m: _queue(m, lambda q: q.request_notification((1, 2))),
    "notification: no signal": lambda m: _queue(m, lambda q: q.request_notification(65)),
    "notification: signal negative": lambda m: _queue(m, lambda q: q.request_notification(-1)),
    "notification: closed": lambda m: _queue(m, lambda q: _closed(q).request_notification(10)),
    "unlink_message_queue: not there": lambda m: m.unlink_message_queue("/pyipc-not-there"),
    "unlink_message_queue: no slash": lambda m: m.unlink_message_queue("pyipc-not-there"),
    "unlink_message_queue: bytes": lambda m: m.unlink_message_queue(b"/pyipc-not-there"),
    "pickle": lambda m: _semaphore(m, pickle.dumps),
    "pickle of memory": lambda m: _memory(m, pickle.dumps),
    "pickle of a queue": lambda m: _queue(m, pickle.dumps),
}


def refusal(module, call):
    try:
        call(module)
    except Exception as problem:
        return problem
    return None


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_as_theirs_refuses_it(what):
    original, mine = refusal(theirs, BAD[what]), refusal(ours, BAD[what])
    assert original is not None
    if isinstance(original, theirs.Error):
        assert type(mine) is getattr(ours, type(original).__name__)
        assert isinstance(mine.__cause__, IPCError)
        assert str(mine)
    else:
        assert isinstance(mine, type(original))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (7, TypeError),
        (None, TypeError),
        ([b"x"], TypeError),
        (memoryview(b"abcd")[::2], BufferError),
        ("\udcff", UnicodeEncodeError),
    ],
)
def test_what_is_no_message_is_refused(queue, message, kind):
    """Theirs gives back memory that it has not got, and may crash of it."""
    with pytest.raises(kind):
        queue.send(message)
    with pytest.raises(TypeError):
        queue.send()
    assert queue.current_messages == 0
    queue.unlink()


@pytest.mark.parametrize("use", ["acquire", "release", "close", "unlink", "value"])
@pytest.mark.parametrize("module", [theirs, ours], ids=["theirs", "ours"])
def test_a_closed_semaphore_is_no_more(module, name, use):
    semaphore = module.Semaphore(name, module.O_CREX, initial_value=1)
    semaphore.close()
    with pytest.raises(module.ExistentialError):
        getattr(semaphore, use)()
    module.unlink_semaphore(name)


@pytest.mark.parametrize("module", [theirs, ours], ids=["theirs", "ours"])
def test_of_what_is_there_the_other_arguments_are_ignored(module, name):
    first = module.Semaphore(name, module.O_CREX, initial_value=3)
    again = module.Semaphore(name, module.O_CREAT, 0o777, 7)
    assert again.value == 3
    for semaphore in first, again:
        semaphore.close()
    module.unlink_semaphore(name)
    first = module.MessageQueue(name, module.O_CREX, max_messages=2, max_message_size=7)
    again = module.MessageQueue(name, module.O_CREAT, 0o777, 5, 50)
    assert (again.max_messages, again.max_message_size) == (2, 7)
    for queue in first, again:
        queue.close()
    module.unlink_message_queue(name)


def _as_a_plain_user(other, name):
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    for module in theirs, ours:
        said = []
        for call in (
            lambda: module.Semaphore(name),  # noqa: B023  # called here
            lambda: module.SharedMemory(name),  # noqa: B023
            lambda: module.SharedMemory(name, read_only=True).close_fd(),  # noqa: B023
            lambda: module.SharedMemory(name, module.O_CREAT | module.O_TRUNC),  # noqa: B023
            lambda: module.MessageQueue(name),  # noqa: B023
            lambda: module.unlink_semaphore(name),  # noqa: B023
            lambda: module.unlink_shared_memory(name),  # noqa: B023
            lambda: module.unlink_message_queue(name),  # noqa: B023
        ):
            try:
                call()
                said.append(None)
            except Exception as problem:
                said.append(type(problem).__name__)
        other.say(said)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_plain_user_is_refused_as_by_theirs(fork, name):
    ours.Semaphore(name, ours.O_CREX, 0o600).close()
    memory = ours.SharedMemory(name, ours.O_CREX, 0o644, size=10)
    queue = ours.MessageQueue(name, ours.O_CREX, 0o600)
    os.chmod("/dev/shm", 0o1777)  # where tests have one of their own
    plain = fork(_as_a_plain_user, name)
    original = plain.hear()
    denied = "PermissionsError"
    assert original == [denied, denied, None, denied, denied, denied, denied, denied]
    assert plain.hear() == original
    assert plain.end() == 0
    assert memory.size == 10
    memory.close_fd()
    queue.close()


# ---- posix_ipc on the other side ----


def test_posix_ipc_on_the_other_side(child, name):
    def other(say, hear, name):
        import mmap

        import posix_ipc

        semaphore = posix_ipc.Semaphore(name)
        memory = posix_ipc.SharedMemory(name)
        queue = posix_ipc.MessageQueue(name)
        say([semaphore.value, memory.size, queue.max_messages, queue.max_message_size])
        with mmap.mmap(memory.fd, memory.size) as view:
            semaphore.acquire()
            say(bytes(view[:5]))
            view[:5] = b"there"
        say(queue.receive())
        queue.send("reply", priority=9)
        semaphore.release()

    semaphore = ours.Semaphore(name, ours.O_CREX)
    memory = ours.SharedMemory(name, ours.O_CREX, size=4096)
    queue = ours.MessageQueue(name, ours.O_CREX, max_messages=3, max_message_size=20)
    peer = child(other, name)
    assert peer.hear() == [0, 4096, 3, 20]
    with mmap.mmap(memory.fd, memory.size) as view:
        view[:5] = b"hello"
        queue.send("message", priority=4)
        semaphore.release()
        assert peer.hear() == b"hello"
        assert peer.hear() == (b"message", 4)
        assert queue.receive(20) == (b"reply", 9)
        semaphore.acquire(20)
        assert view[:5] == b"there"
    assert peer.end() == 0
    semaphore.unlink()
    semaphore.close()
    memory.unlink()
    memory.close_fd()
    queue.unlink()
    queue.close()


def test_we_find_what_posix_ipc_has_made(child, name):
    def other(say, hear, name):
        import posix_ipc

        semaphore = posix_ipc.Semaphore(name, posix_ipc.O_CREX, initial_value=2)
        memory = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, size=100)
        queue = posix_ipc.MessageQueue(name, posix_ipc.O_CREX, max_messages=2)
        queue.block = False
        queue.send(b"first")
        say("ready")
        hear()
        say([semaphore.value, memory.size, queue.current_messages])
        memory.unlink()

    peer = child(other, name)
    assert peer.hear() == "ready"
    semaphore, queue = ours.Semaphore(name), ours.MessageQueue(name)
    memory = ours.SharedMemory(name, size=500)
    assert memory.size == 500
    semaphore.acquire()
    assert queue.block
    assert queue.receive() == (b"first", 0)
    queue.send(b"second")
    queue.send(b"third")
    peer.say("done")
    assert peer.hear() == [1, 500, 2]
    assert peer.end() == 0
    with pytest.raises(ours.ExistentialError):
        ours.SharedMemory(name)
    memory.close_fd()
    queue.close()
    queue.unlink()
    semaphore.unlink()
    semaphore.close()


# ---- what they promise ----


def test_descriptors_stay_open_when_objects_are_dropped(name):
    memory = ours.SharedMemory(name, ours.O_CREX, size=10)
    queue = ours.MessageQueue(name, ours.O_CREX)
    numbers = memory.fd, queue.mqd
    del memory, queue
    for number in numbers:
        os.fstat(number)
        assert not os.get_inheritable(number)
        os.close(number)
    ours.unlink_shared_memory(name)
    ours.unlink_message_queue(name)


def test_a_number_that_somebody_closed_and_another_uses_is_not_closed(name):
    memory = ours.SharedMemory(name, ours.O_CREX, size=10)
    os.close(memory.fd)
    with open("/dev/null") as other:
        assert other.fileno() == memory.fd
        del memory
        os.fstat(other.fileno())
    ours.unlink_shared_memory(name)


def test_truncating_and_resizing(name):
    memory = ours.SharedMemory(name, ours.O_CREAT, size=4000)
    again = ours.SharedMemory(name, ours.O_CREAT)
    assert again.size == 4000
    shorter = ours.SharedMemory(name, ours.O_CREAT, size=10)
    assert memory.size == 10
    none = ours.SharedMemory(name, ours.O_TRUNC)
    assert memory.size == 0
    for one in memory, again, shorter, none:
        one.close_fd()
        one.close_fd()  # does nothing
        assert one.fd == one.fileno() == -1
    memory.unlink()
    with pytest.raises(ours.ExistentialError):
        memory.unlink()


def test_a_queue_that_does_not_block(queue):
    assert queue.block is True
    queue.block = 0
    assert queue.block is False
    with pytest.raises(ours.BusyError):
        queue.receive(50)
    for _ in range(4):
        queue.send(b"x")
    with pytest.raises(ours.BusyError):
        queue.send(b"y", timeout=50)
    with pytest.raises(ours.BusyError):
        queue.send("y")
    queue.block = True
    with pytest.raises(ours.BusyError):
        queue.send(b"y", timeout=0.01)


def test_a_queue_that_is_opened_not_to_block(queue):
    other = ours.MessageQueue(queue.name, ours.O_NONBLOCK)
    assert not other.block
    assert queue.block
    with pytest.raises(ours.BusyError):
        other.receive()
    other.close()


def test_a_long_queue_name_of_bytes(name):
    raw = name.encode() + b"\xff\xfe"
    made = ours.MessageQueue(raw, ours.O_CREX)
    assert os.fsencode(made.name) == raw
    made.send(b"x")
    found = ours.MessageQueue(made.name)
    assert found.receive() == (b"x", 0)
    for one in made, found:
        one.close()
    made.unlink()


@pytest.mark.parametrize("how", ["close", "wait"])
def test_a_thread_waits(queue, until, asleep, how):
    came = []

    def wait():
        came.append(threading.get_native_id())
        try:
            came.append(queue.receive())
        except ours.ExistentialError:
            came.append("closed")

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: came and asleep(os.getpid(), came[0]))
    if how == "close":
        queue.close()
    else:
        queue.send("for you", priority=1)
    thread.join()
    assert came[1:] == (["closed"] if how == "close" else [(b"for you", 1)])
    queue.unlink()


@NATIVE
def test_notification_by_call_outlives_the_object(name):
    called = threading.Event()
    queue = ours.MessageQueue(name, ours.O_CREX)
    queue.request_notification((lambda event: event.set(), called))
    number = queue.mqd
    del queue  # theirs would use memory that is not its own any more
    sender = ours.MessageQueue(name)
    sender.send("x")
    assert called.wait(20)
    sender.close()
    sender.unlink()
    os.close(number)


def test_notification_is_one_process_at_a_time(queue, child):
    def other(say, hear, name):
        import posix_ipc

        queue = posix_ipc.MessageQueue(name)
        queue.request_notification(10)
        say("asked")
        hear()
        queue.request_notification()
        say("cancelled")
        hear()

    peer = child(other, queue.name)
    assert peer.hear() == "asked"
    with pytest.raises(ours.BusyError) as caught:
        queue.request_notification(12)
    assert isinstance(caught.value.__cause__, pyipc.InUseError)
    queue.request_notification()  # there is none of ours to take back
    peer.say("go on")
    assert peer.hear() == "cancelled"
    queue.request_notification(12)
    queue.request_notification(None)
    peer.say("end")
    assert peer.end() == 0
    queue.unlink()


# ---- faults of theirs that are mended ----


def sleeps(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize("what", ["semaphore", "queue"])
def test_a_signal_does_not_end_a_wait(child, name, until, what):
    def other(say, hear, name, what):
        import signal

        import pyipc.compat.posix_ipc as posix_ipc

        signal.signal(signal.SIGUSR1, lambda *_: say("handled"))
        if what == "semaphore":
            waits = posix_ipc.Semaphore(name).acquire
        else:
            waits = posix_ipc.MessageQueue(name).receive
        say("waits")
        say(waits())

    semaphore = ours.Semaphore(name, ours.O_CREX)
    queue = ours.MessageQueue(name, ours.O_CREX)
    peer = child(other, name, what)
    assert peer.hear() == "waits"
    for _ in range(3):
        until(lambda: sleeps(peer.pid))
        peer.kill(signal.SIGUSR1)
        assert peer.hear() == "handled"
    if what == "semaphore":
        semaphore.release()
    else:
        queue.send("x")
    assert peer.hear() == (None if what == "semaphore" else (b"x", 0))
    assert peer.end() == 0
    semaphore.unlink()
    semaphore.close()
    queue.unlink()
    queue.close()


def test_what_a_handler_raises_comes_out(queue, handling, ringing):
    class MineError(Exception):
        pass

    def handler(number, frame):
        raise MineError

    handling(signal.SIGALRM, handler)
    with pytest.raises(MineError), ringing(0.01):
        queue.receive()
    queue.unlink()


def test_a_name_with_a_nul_is_refused():
    for kind in ours.Semaphore, ours.SharedMemory, ours.MessageQueue:
        for name in "/a\0b", b"/a\0b":  # theirs crashes of the one, and takes the other for /a
            with pytest.raises(ValueError, match="NUL"):
                kind(name, ours.O_CREX)


def test_a_timeout_that_is_no_number_is_refused(queue):
    with pytest.raises(TypeError):
        queue.receive(float("nan"))
    queue.unlink()


def test_a_timeout_may_be_very_long(queue):
    for timeout in float("inf"), 1e300, 1 << 100:
        queue.send("x", timeout)
        assert queue.receive(timeout) == (b"x", 0)
    queue.unlink()


@pytest.mark.parametrize("flags", [0, ours.O_CREAT])
def test_memory_that_was_there_stays_when_it_cannot_be_resized(name, flags):
    memory = ours.SharedMemory(name, ours.O_CREX, size=10)
    with pytest.raises(ValueError, match="Invalid argument"):
        ours.SharedMemory(name, flags, size=1 << 63)  # theirs takes the name away
    found = ours.SharedMemory(name)
    assert found.size == 10
    for one in memory, found:
        one.close_fd()
    memory.unlink()


@pytest.mark.parametrize("flags", [ours.O_CREX, ours.O_CREAT])
def test_memory_that_cannot_get_its_size_is_not_left_behind(name, flags):
    with pytest.raises(ValueError, match="Invalid argument"):
        ours.SharedMemory(name, flags, size=1 << 63)
    with pytest.raises(ours.ExistentialError):
        ours.SharedMemory(name)


def test_what_is_raised_keeps_nothing_alive(name):
    queue = ours.MessageQueue(name, ours.O_CREX)
    kept = weakref.ref(queue)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ours.BusyError):
            queue.receive(0)
        with pytest.raises(OSError, match="Invalid argument"):
            queue.request_notification(65)
        queue.close()
        queue.unlink()
        del queue
        assert kept() is None
    finally:
        gc.enable()


# ---- the name in sys.modules ----

STANDS_IN = """
    import sys, types
    imitation = types.ModuleType("pyipc.compat.posix_ipc")
    if {early}:
        sys.modules["posix_ipc"] = imitation
    import pyipc
    assert pyipc.backend() == {backend!r}, pyipc.backend()
    import pyipc.compat.posix_ipc as ours
    sys.modules["posix_ipc"] = ours
    import posix_ipc
    assert posix_ipc is ours
    semaphore = posix_ipc.Semaphore(None, posix_ipc.O_CREX, initial_value=1)
    semaphore.acquire()
    semaphore.unlink()
    queue = posix_ipc.MessageQueue(None, posix_ipc.O_CREX)
    queue.unlink()
    queue.send("x")
    assert queue.receive() == (b"x", 0)
    if pyipc.backend() == "fallback":
        from pyipc._backend import fallback
        assert fallback.posix.__file__.endswith(".so"), fallback.posix
    print("good")
"""


@pytest.mark.parametrize("early", [False, True])
def test_the_fallback_does_not_import_its_imitation(early):
    program = textwrap.dedent(STANDS_IN.format(early=early, backend=pyipc.backend()))
    environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.returncode) == ("good\n", 0), ran.stderr
