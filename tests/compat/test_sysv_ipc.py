"""The door for programs of sysv_ipc: the same names, the same objects as theirs, faults mended."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest

import pyipc
from pyipc.compat import sysv_ipc as ours

theirs = pytest.importorskip("sysv_ipc", reason="sysv_ipc is not installed")

KINDS = ("Semaphore", "SharedMemory", "MessageQueue")
# Who wrote it is not who wrote theirs; a timeout holds here, whatever theirs was compiled with.
DIFFER = {"__author__", "__copyright__", "__license__", "SEMAPHORE_TIMEOUT_SUPPORTED"}
OF_THE_MODULE = {"__doc__", "__file__", "__loader__", "__name__", "__package__", "__spec__"}


@pytest.fixture(params=["C", "Python"] if hasattr(ours.Semaphore, "_py_remove") else ["Python"], autouse=True)
def way(request, monkeypatch):
    """What C stands in for does the same as the Python text that it stands in for."""
    for cls in ours.Semaphore, ours.MessageQueue:
        for name, method in list(vars(cls).items()):
            if name.startswith("_py_") and request.param == "Python":
                monkeypatch.setattr(cls, name[len("_py_") :], method)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def made():
    """Make objects that are removed at the end."""
    objects = []

    def make(module, kind, *arguments, **named):
        objects.append(getattr(module, kind)(*arguments, **named))
        return objects[-1]

    yield make
    for one in objects:
        if getattr(one, "attached", False):
            one.detach()
        try:
            one.remove()
        except ours.ExistentialError:
            pass
        except theirs.ExistentialError:
            pass


# ---- the surface ----


def test_every_name_is_here_and_every_constant_the_same():
    for name in set(vars(theirs)) - OF_THE_MODULE:
        there, here = getattr(theirs, name), getattr(ours, name)
        assert type(there) is type(here) or callable(there)
        if isinstance(there, (int, str)) and name not in DIFFER:
            assert here == there, name
    assert set(ours.__all__) == {name for name in vars(theirs) if not name.startswith("_")}


def test_every_attribute_is_here(kind):
    there, here = getattr(theirs, kind), getattr(ours, kind)
    public = {name for name in vars(there) if not name.startswith("__") or name in ("__enter__", "__exit__")}
    assert public <= set(dir(here))
    assert {name for name in dir(here) if not name.startswith("_")} == {n for n in public if n[0] != "_"}


def test_what_cannot_be_set_there_cannot_be_set_here(kind, made):
    for name in {name for name in vars(getattr(theirs, kind)) if not name.startswith("_")}:
        problems = []
        for module in theirs, ours:
            one = made(module, kind, None, module.IPC_CREX)
            value = getattr(one, name)
            try:
                setattr(one, name, value)
                problems.append(None)
            except AttributeError as problem:
                problems.append(str(problem).replace("pyipc.compat.", ""))
        if callable(value):
            assert all(problems), name
        else:
            assert problems[0] == problems[1], name


def test_attributes_of_a_new_object_are_the_same(kind, made):
    values = []
    for module in theirs, ours:
        one = made(module, kind, None, module.IPC_CREX)
        names = {name for name in vars(getattr(theirs, kind)) if not name.startswith("_")}
        found = {name: getattr(one, name) for name in names if not callable(getattr(one, name))}
        assert type(found.pop("id")) is type(found.pop("key")) is int
        for name in [name for name in found if "time" in name and name != "o_time"]:
            assert abs(found.pop(name) - time.time()) < 30 or name in (
                "last_detach_time",
                "last_send_time",
                "last_receive_time",
            )
        assert bool(found.pop("address", True))
        values.append({name: (type(value), value) for name, value in found.items()})
    assert values[0] == values[1]


def test_exceptions_have_the_same_bases():
    names = [name for name in vars(theirs) if isinstance(getattr(theirs, name), type) and name not in KINDS]
    assert len(names) == 6
    for name in names:
        bases = [base.__name__ for base in getattr(theirs, name).__mro__]
        assert [base.__name__ for base in getattr(ours, name).__mro__] == bases


def test_they_print_alike(kind, made, key):
    one = made(ours, kind, key, ours.IPC_CREX)
    other = getattr(theirs, kind)(key)
    assert (repr(one), str(one)) == (repr(other), str(other))
    if kind == "SharedMemory":
        other.detach()


def test_defaults_are_those_that_they_document():
    def defaults(function):
        return [
            (p.name, p.default) for p in inspect.signature(function).parameters.values() if p.name != "self"
        ]

    none = inspect.Parameter.empty
    first = [("key", none), ("flags", 0), ("mode", 0o600)]
    assert defaults(ours.Semaphore.__init__) == [*first, ("initial_value", 0)]
    assert defaults(ours.SharedMemory.__init__) == [*first, ("size", 0), ("init_character", b" ")]
    assert defaults(ours.MessageQueue.__init__) == [*first, ("max_message_size", 2048)]
    assert defaults(ours.Semaphore.acquire) == [("timeout", None), ("delta", 1)]
    assert defaults(ours.Semaphore.release) == [("delta", 1)]
    assert defaults(ours.MessageQueue.send) == [("message", none), ("block", True), ("type", 1)]
    assert defaults(ours.MessageQueue.receive) == [("block", True), ("type", 0)]
    assert defaults(ours.SharedMemory.read) == [("byte_count", 0), ("offset", 0)]
    assert defaults(ours.SharedMemory.write) == [("s", none), ("offset", 0)]
    assert defaults(ours.SharedMemory.attach) == [("address", None), ("flags", 0)]
    assert defaults(ours.attach) == [("id", none), ("address", None), ("flags", 0)]


# ---- wrong arguments: the same exceptions ----

GONE = 2**31 - 1  # an id that nobody has

WRONG = [
    lambda m, k: getattr(m, k)(),
    lambda m, k: getattr(m, k)(None),
    lambda m, k: getattr(m, k)("key"),
    lambda m, k: getattr(m, k)(1.5),
    lambda m, k: getattr(m, k)(2**63),
    lambda m, k: getattr(m, k)(-(2**63) - 1),
    lambda m, k: getattr(m, k)(1, m.IPC_EXCL),
    lambda m, k: getattr(m, k)(None, m.IPC_CREAT),
    lambda m, k: getattr(m, k)(1, 1.5),
    lambda m, k: getattr(m, k)(1, "flags"),
    lambda m, k: getattr(m, k)(1, 2**31),
    lambda m, k: getattr(m, k)(1, 0, 0.5),
    lambda m, k: getattr(m, k)(1, 0, 2**31),
    lambda m, k: getattr(m, k)(1, 0, 0o600, "x"),
    lambda m, k: getattr(m, k)(1, 0, 0o600, 1.5),
    lambda m, k: getattr(m, k)(1, wrong=3),
    lambda m, k: getattr(m, k)(0x77777777),
    lambda m, k: m.SharedMemory(None, m.IPC_CREX, size=-1),
    lambda m, k: m.SharedMemory(None, m.IPC_CREX, init_character="x"),
    lambda m, k: m.SharedMemory(None, m.IPC_CREX, init_character=b"xy"),
    lambda m, k: m.Semaphore(0x77777777, 0, 0o600, 2**31),
    lambda m, k: m.MessageQueue(0x77777777, 0, 0o600, -1),
    lambda m, k: m.attach(GONE),
    lambda m, k: m.attach(-1),
    lambda m, k: m.attach("1"),
    lambda m, k: m.attach(1, "address"),
    lambda m, k: m.attach(2**31),
    lambda m, k: m.attach(GONE, -4096),
    lambda m, k: m.remove_semaphore(GONE),
    lambda m, k: m.remove_shared_memory(GONE),
    lambda m, k: m.remove_message_queue(GONE),
    lambda m, k: m.remove_semaphore("1"),
    lambda m, k: m.remove_shared_memory(1.5),
    lambda m, k: m.remove_message_queue(id=1),
    lambda m, k: m.remove_message_queue(2**31),
    lambda m, k: m.ftok("/nowhere/at/all", 1, True),
    lambda m, k: m.ftok(b"/", 1, True),
    lambda m, k: m.ftok("/", "1", True),
    lambda m, k: m.ftok("/", 2**31, True),
    lambda m, k: m.ftok("/\0", 1, True),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_arguments_of_functions_are_the_same_errors(number, kind):
    assert _kind_of(WRONG[number], ours, kind) == _kind_of(WRONG[number], theirs, kind) != "none"


def _kind_of(call, module, *arguments):
    """The exception: by its name if it is of the module, else the nearest that theirs may raise."""
    try:
        call(module, *arguments)
    except (ours.Error, theirs.Error) as problem:
        return type(problem).__name__
    except Exception as problem:
        likely = (
            TypeError,
            AttributeError,
            OverflowError,
            MemoryError,
            BufferError,
            UnicodeError,
            ValueError,
            OSError,
        )
        return next(kind for kind in likely if isinstance(problem, kind)).__name__
    return "none"


WRONG_CALLS = {
    "Semaphore": [
        lambda m, s: s.acquire("1"),
        lambda m, s: s.acquire(-1),
        lambda m, s: s.acquire(None, 0),
        lambda m, s: s.acquire(None, 1.0),
        lambda m, s: s.acquire(None, 2**15),
        lambda m, s: s.acquire(None, None),
        lambda m, s: s.acquire(wrong=1),
        lambda m, s: s.release(0),
        lambda m, s: s.release("1"),
        lambda m, s: s.release(1.0),
        lambda m, s: s.release(2**15),
        lambda m, s: s.release(-(2**15) - 1),
        lambda m, s: (s.release(32767), s.release(1)),
        lambda m, s: s.Z("1"),
        lambda m, s: s.Z(-0.1),
        lambda m, s: setattr(s, "value", "1"),
        lambda m, s: setattr(s, "value", 1.0),
        lambda m, s: setattr(s, "value", -1),
        lambda m, s: setattr(s, "value", 32768),
        lambda m, s: setattr(s, "value", 2**63),
        lambda m, s: setattr(s, "mode", "1"),
        lambda m, s: setattr(s, "uid", 1.0),
        lambda m, s: setattr(s, "gid", None),
        lambda m, s: setattr(s, "unknown", 1),
        lambda m, s: (setattr(s, "block", False), s.acquire()),
        lambda m, s: (setattr(s, "block", False), s.release(), s.Z()),
        lambda m, s: pickle.dumps(s),
        lambda m, s: copy.copy(s),
        lambda m, s: memoryview(s),
        lambda m, s: (s.remove(), s.remove()),
        lambda m, s: (s.remove(), s.acquire()),
        lambda m, s: (s.remove(), s.release()),
        lambda m, s: (s.remove(), s.Z()),
        lambda m, s: (s.remove(), s.value),
        lambda m, s: (s.remove(), s.uid),
        lambda m, s: (s.remove(), s.o_time),
        lambda m, s: (s.remove(), s.waiting_for_zero),
        lambda m, s: (s.remove(), setattr(s, "value", 1)),
        lambda m, s: (s.remove(), setattr(s, "mode", 0o600)),
    ],
    "SharedMemory": [
        lambda m, s: s.read(-1),
        lambda m, s: s.read("1"),
        lambda m, s: s.read(1.0),
        lambda m, s: s.read(2**63),
        lambda m, s: s.read(1, -1),
        lambda m, s: s.read(1, 4096),
        lambda m, s: s.read(1, 1.0),
        lambda m, s: s.read(1, "1"),
        lambda m, s: s.read(size=1),
        lambda m, s: s.write(b"x", -1),
        lambda m, s: s.write(b"x", 4096),
        lambda m, s: s.write(b"x" * 4097),
        lambda m, s: (s.detach(), s.detach()),
        lambda m, s: (s.detach(), s.read()),
        lambda m, s: (s.detach(), s.write(b"x")),
        lambda m, s: (s.detach(), s.attach("x")),
        lambda m, s: (s.detach(), s.attach(None, "x")),
        lambda m, s: (s.detach(), s.attach(4097)),
        lambda m, s: (s.detach(), s.attach(-4096)),
        lambda m, s: (s.detach(), s.attach(None, 0.5)),
        lambda m, s: (s.detach(), s.attach(None, m.SHM_RDONLY), s.write(b"x")),
        lambda m, s: setattr(s, "mode", "1"),
        lambda m, s: setattr(s, "uid", 1.0),
        lambda m, s: setattr(s, "unknown", 1),
        lambda m, s: pickle.dumps(s),
        lambda m, s: (s.detach(), s.remove(), s.size),
        lambda m, s: (s.detach(), s.remove(), s.uid),
        lambda m, s: (s.detach(), s.remove(), s.remove()),
        lambda m, s: (s.detach(), s.remove(), s.attach()),
        lambda m, s: (s.detach(), s.remove(), setattr(s, "gid", 0)),
        lambda m, s: m.SharedMemory(s.key, size=4097),
        lambda m, s: m.SharedMemory(s.key, m.IPC_CREX, size=1),
    ],
    "MessageQueue": [
        lambda m, q: q.send(b"x", True, 0),
        lambda m, q: q.send(b"x", type=-1),
        lambda m, q: q.send(b"x" * 2049),
        lambda m, q: q.receive(False),
        lambda m, q: q.receive(False, 3),
        lambda m, q: q.receive(False, -3),
        lambda m, q: q.receive(False, 2**31),
        lambda m, q: q.receive(False, "1"),
        lambda m, q: q.receive(timeout=1),
        lambda m, q: [q.send(b"x" * 2000, False) for _ in range(100)],
        lambda m, q: (q.send(b"x" * 100), m.MessageQueue(q.key, max_message_size=8).receive(False)),
        lambda m, q: setattr(q, "max_size", "1"),
        lambda m, q: setattr(q, "mode", 1.0),
        lambda m, q: setattr(q, "unknown", 1),
        lambda m, q: pickle.dumps(q),
        lambda m, q: (q.remove(), q.receive(False)),
        lambda m, q: (q.remove(), q.max_size),
        lambda m, q: (q.remove(), q.remove()),
        lambda m, q: (q.remove(), setattr(q, "max_size", 1)),
    ],
}


@pytest.mark.parametrize(
    ("kind", "number"),
    [(kind, number) for kind, calls in WRONG_CALLS.items() for number in range(len(calls))],
)
def test_wrong_uses_of_objects_are_the_same_errors(kind, number, made):
    call = WRONG_CALLS[kind][number]
    found = [_kind_of(call, m, made(m, kind, None, m.IPC_CREX)) for m in (ours, theirs)]
    assert found[0] == found[1] != "none"


# Theirs give back a buffer that they have not got, and crash.
CRASH_THERE = [
    ("SharedMemory", lambda s: s.write(1), "TypeError"),
    ("SharedMemory", lambda s: s.write(None), "TypeError"),
    ("SharedMemory", lambda s: s.write(b"x", "1"), "TypeError"),
    ("SharedMemory", lambda s: s.write(memoryview(b"abcdef")[::2]), "BufferError"),
    ("SharedMemory", lambda s: s.write("\udcff"), "UnicodeError"),
    ("SharedMemory", lambda s: s.write(data=b"x"), "TypeError"),
    ("MessageQueue", lambda q: q.send(1), "TypeError"),
    ("MessageQueue", lambda q: q.send(None), "TypeError"),
    ("MessageQueue", lambda q: q.send("\udcff"), "UnicodeError"),
    ("MessageQueue", lambda q: q.send(b"x", type=2**31), "OverflowError"),
    ("MessageQueue", lambda q: q.send(b"x", type=1.0), "TypeError"),
    ("MessageQueue", lambda q: q.send(memoryview(b"abcdef")[::2]), "BufferError"),
    ("MessageQueue", lambda q: q.send(), "TypeError"),
    ("MessageQueue", lambda q: q.send(data=b"x"), "TypeError"),
]


@pytest.mark.parametrize("number", range(len(CRASH_THERE)))
def test_what_crashes_there_is_an_error_here(number, made):
    kind, call, expected = CRASH_THERE[number]
    one = made(ours, kind, None, ours.IPC_CREX)
    assert _kind_of(lambda module, one: call(one), ours, one) == expected


def test_ours_tell_what_is_behind_them(key):
    with pytest.raises(ours.ExistentialError) as caught:
        ours.Semaphore(key)
    assert isinstance(caught.value.__cause__, pyipc.NotFoundError)
    assert str(key) in str(caught.value)


# ---- both sides ----


def use_theirs(say, hear, key):
    import sysv_ipc

    memory = sysv_ipc.SharedMemory(key)
    queue = sysv_ipc.MessageQueue(key)
    semaphore = sysv_ipc.Semaphore(key)
    semaphore.acquire()
    text = memory.read(5)
    memory.write(b"theirs", 10)
    data, type = queue.receive(type=4)
    queue.send(data + b" back", type=5)
    memory.detach()
    semaphore.release()
    say((text, data, type))


def test_theirs_in_another_process_shares_all_three(key, child, made):
    memory = made(ours, "SharedMemory", key, ours.IPC_CREX, size=100)
    queue = made(ours, "MessageQueue", key, ours.IPC_CREX)
    semaphore = made(ours, "Semaphore", key, ours.IPC_CREX)
    other = child(use_theirs, key)
    memory.write(b"ours!")
    queue.send(b"there", type=4)
    semaphore.release()
    assert other.hear() == (b"ours!", b"there", 4)
    assert queue.receive(type=5) == (b"there back", 5)
    assert memory.read(6, 10) == b"theirs"
    assert semaphore.value == 1
    assert semaphore.last_pid == other.pid
    assert queue.last_send_pid == other.pid
    assert other.end() == 0


def use_ours(say, hear, key):
    from pyipc.compat import sysv_ipc

    memory = sysv_ipc.SharedMemory(key)
    queue = sysv_ipc.MessageQueue(key)
    with sysv_ipc.Semaphore(key):
        text = memory.read(5)
        memory.write("ours", 10)
    queue.send(text + b" seen", type=2)
    say(memory.number_attached)


def test_ours_in_another_process_shares_what_theirs_made(key, child, made):
    memory = made(theirs, "SharedMemory", key, theirs.IPC_CREX, size=100)
    queue = made(theirs, "MessageQueue", key, theirs.IPC_CREX)
    made(theirs, "Semaphore", key, theirs.IPC_CREX, initial_value=1)
    memory.write(b"first")
    other = child(use_ours, key)
    assert queue.receive() == (b"first seen", 2)
    assert other.hear() == 2
    assert other.end() == 0
    assert memory.read(5, 10) == b"ours "
    assert memory.number_attached == 1


def test_a_peer_that_waits_is_woken(key, child, made, until, asleep):
    def wait(say, hear, key):
        from pyipc.compat import sysv_ipc

        semaphore = sysv_ipc.Semaphore(key)
        say()
        semaphore.acquire()
        say("taken")
        semaphore.Z()
        say("zero")

    semaphore = made(ours, "Semaphore", key, ours.IPC_CREX)
    other = child(wait, key)
    other.hear()
    until(lambda: asleep(other.pid))
    semaphore.release(2)
    assert other.hear() == "taken"
    until(lambda: asleep(other.pid))
    semaphore.acquire()
    assert other.hear() == "zero"
    assert other.end() == 0


def test_nothing_is_removed_by_ending(key, child, kind):
    def make(say, hear, key, kind):
        from pyipc.compat import sysv_ipc

        say(getattr(sysv_ipc, kind)(key, sysv_ipc.IPC_CREX).id)

    other = child(make, key, kind)
    id = other.hear()
    assert other.end() == 0
    found = getattr(ours, kind)(key)
    assert found.id == id
    if kind == "SharedMemory":
        found.detach()
    found.remove()


def test_the_first_to_operate_is_whom_others_wait_for(key, made):
    """Their documented way round Stevens' race: o_time is 0 until somebody operates."""
    made(ours, "Semaphore", key, ours.IPC_CREX, initial_value=3)
    assert theirs.Semaphore(key).o_time == ours.Semaphore(key).o_time == 0
    ours.Semaphore(key).release()
    assert theirs.Semaphore(key).o_time == ours.Semaphore(key).o_time > 0


def test_the_first_semaphore_of_a_larger_set_can_be_used(key):
    if not pyipc.capabilities()["sysv.semaphore_sets"]:
        pytest.skip("there is nobody to make the set")
    with pyipc.sysv.SemaphoreSet.create(3, key=key, initial=[5, 6, 7]) as s:
        semaphore = ours.Semaphore(key)
        semaphore.acquire()
        assert (semaphore.value, s.values) == (4, [4, 6, 7])


def test_a_plain_user_is_refused(key, made, unprivileged, kind):
    def try_all(say, hear, key, id, kind):
        import sysv_ipc as theirs

        from pyipc.compat import sysv_ipc as ours

        removers = {"SharedMemory": "remove_shared_memory", "MessageQueue": "remove_message_queue"}
        remove = removers.get(kind, "remove_semaphore")
        for module in ours, theirs:
            problems = []
            for attempt in (
                lambda m=module: getattr(m, kind)(key),
                lambda m=module: getattr(m, kind)(key, 0, 0o400),
                lambda m=module: getattr(m, kind)(key, m.IPC_CREAT),
                lambda m=module: getattr(m, remove)(id),
                lambda m=module: m.attach(id) if kind == "SharedMemory" else None,
            ):
                try:
                    attempt()
                    problems.append(None)
                except Exception as problem:
                    builtin = next((c for c in (PermissionError, OSError) if isinstance(problem, c)), None)
                    problems.append((builtin or type(problem)).__name__)
            say(problems)

    one = made(ours, kind, key, ours.IPC_CREX)
    other = unprivileged(try_all, key, one.id, kind)
    first, second = other.hear(), other.hear()
    assert first == second
    assert first[0] == "PermissionsError"
    assert other.end() == 0


def test_a_plain_user_may_read_what_is_for_all_to_read(key, made, unprivileged):
    def read(say, hear, key):
        from pyipc.compat import sysv_ipc

        memory = sysv_ipc.SharedMemory(key, 0, 0o400)
        try:
            memory.write(b"no")
        except OSError as problem:
            say(type(problem).__name__)
        say(memory.read(3))

    memory = made(ours, "SharedMemory", key, ours.IPC_CREX, 0o644)
    memory.write(b"yes")
    other = unprivileged(read, key)
    assert (other.hear(), other.hear()) == ("AccessError", b"yes")
    assert other.end() == 0


# ---- faults mended ----


@pytest.mark.needs("compat.memoryview")
def test_a_view_outlives_detach(made):
    memory = made(ours, "SharedMemory", None, ours.IPC_CREX)
    memory.write(b"alive")
    view = memoryview(memory)
    part = view[1:3]
    view.release()
    memory.detach()
    assert bytes(part) == b"li"
    assert memory.number_attached == 1
    part.release()
    assert memory.number_attached == 0
    with pytest.raises(BufferError):
        memoryview(memory)


@pytest.mark.needs("compat.memoryview", "sysv.read_only_views")
def test_a_view_of_what_is_attached_for_reading_is_read_only(made):
    memory = made(ours, "SharedMemory", None, ours.IPC_CREX)
    memory.detach()
    memory.attach(flags=ours.SHM_RDONLY)
    view = memoryview(memory)
    assert view.readonly
    with pytest.raises(TypeError):
        view[0] = 1
    with pytest.raises((BufferError, TypeError)):
        os.readv(0, [memory])


def test_a_handler_that_returns_does_not_end_a_wait(made, handling):
    handled = []
    semaphore = made(ours, "Semaphore", None, ours.IPC_CREX)
    queue = made(ours, "MessageQueue", None, ours.IPC_CREX)

    def come(number, frame):
        handled.append(number)
        if len(handled) % 3 == 0:
            semaphore.release()
            queue.send(b"now")

    handling(signal.SIGALRM, come)
    for wait in semaphore.acquire, queue.receive:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        wait()
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert len(handled) >= 3


def test_a_timeout_holds(made):
    """Theirs are often compiled without semtimedop(2), and wait for ever."""
    semaphore = made(ours, "Semaphore", None, ours.IPC_CREX)
    for attempt in (
        lambda: semaphore.acquire(0),
        lambda: semaphore.acquire(0.05),
        lambda: semaphore.acquire(timeout=0.05, delta=2),
    ):
        with pytest.raises(ours.BusyError):
            attempt()
    semaphore.release()
    for attempt in lambda: semaphore.Z(0), lambda: semaphore.Z(0.05):
        with pytest.raises(ours.BusyError):
            attempt()


def test_opening_with_ipc_creat_leaves_the_value(key, made):
    made(ours, "Semaphore", key, ours.IPC_CREAT, initial_value=3)
    assert ours.Semaphore(key, ours.IPC_CREAT, initial_value=1).value == 3
    assert theirs.Semaphore(key, theirs.IPC_CREAT, initial_value=1).value == 1


def test_what_fails_while_it_is_made_leaves_nothing(key):
    with pytest.raises(ValueError, match="SEMVMX"):
        ours.Semaphore(key, ours.IPC_CREX, initial_value=40000)
    with pytest.raises(ours.ExistentialError):
        ours.Semaphore(key)


def test_memory_that_is_forgotten_is_detached(made, key):
    keeper = made(ours, "SharedMemory", key, ours.IPC_CREX)
    for _ in range(3):
        ours.SharedMemory(key)
    assert keeper.number_attached == 1
    keeper.attach()
    assert keeper.number_attached == 1


def test_the_key_of_what_is_attached_by_its_id_is_no_random_number(made):
    memory = made(ours, "SharedMemory", None, ours.IPC_CREX)
    again = ours.attach(memory.id)
    assert (again.key, again.id, again.attached) == (-1, memory.id, True)
    again.detach()


def test_it_never_replaces_what_is_mapped(made):
    memory = made(ours, "SharedMemory", None, ours.IPC_CREX)
    with pytest.raises(ValueError, match="SHM_REMAP"):
        memory.attach(memory.address, ours.SHM_REMAP)
    assert memory.attached


def test_a_message_that_never_fits_does_not_wait_for_ever(made):
    queue = made(ours, "MessageQueue", None, ours.IPC_CREX)
    queue.max_size = 100
    with pytest.raises(ours.BusyError, match="max_bytes is 100"):
        queue.send(b"x" * 101)


def test_what_its_maker_may_not_attach_is_not_left_behind(key, unprivileged):
    def make(say, hear, key):
        from pyipc.compat import sysv_ipc

        try:
            sysv_ipc.SharedMemory(key, sysv_ipc.IPC_CREX, 0)
        except sysv_ipc.PermissionsError:
            say("refused")

    other = unprivileged(make, key)
    assert other.hear() == "refused"
    assert other.end() == 0
    with pytest.raises(ours.ExistentialError):
        ours.SharedMemory(key)


def test_a_removed_queue_is_missed_by_senders_too(made):
    queue = made(ours, "MessageQueue", None, ours.IPC_CREX)
    queue.remove()
    with pytest.raises(ours.ExistentialError):
        queue.send(b"nobody there")


# ---- the rest of what they do ----


def test_deltas_may_be_negative(made):
    semaphore = made(ours, "Semaphore", None, ours.IPC_CREX, initial_value=5)
    semaphore.acquire(None, -2)
    semaphore.release(-1)
    assert semaphore.value == 4


@pytest.mark.parametrize("undo", [False, True])
def test_undo_gives_back_at_the_end_of_the_process(key, made, child, undo):
    def take(say, hear, key, undo):
        from pyipc.compat import sysv_ipc

        semaphore = sysv_ipc.Semaphore(key)
        semaphore.undo = undo
        semaphore.acquire()
        say(semaphore.undo)

    semaphore = made(ours, "Semaphore", key, ours.IPC_CREX, initial_value=1)
    other = child(take, key, undo)
    assert other.hear() is undo
    assert other.end() == 0
    assert semaphore.value == int(undo)


def test_without_block_a_timeout_does_not_matter(made):
    semaphore = made(ours, "Semaphore", None, ours.IPC_CREX)
    semaphore.block = 0
    assert semaphore.block is False
    with pytest.raises(ours.BusyError):
        semaphore.acquire(1000)


@pytest.mark.needs("sysv.waiter_counts")
def test_waiters_are_counted(made, until):
    semaphore = made(ours, "Semaphore", None, ours.IPC_CREX)
    waiter = threading.Thread(target=semaphore.acquire)
    waiter.start()
    until(lambda: semaphore.waiting_for_nonzero == 1)
    semaphore.release()
    waiter.join()
    semaphore.value = 1
    waiter = threading.Thread(target=semaphore.Z)
    waiter.start()
    until(lambda: semaphore.waiting_for_zero == 1)
    semaphore.value = 0
    waiter.join()


def test_messages_of_all_forms(made):
    queue = made(ours, "MessageQueue", None, ours.IPC_CREX, max_message_size=8192)
    for given in b"bytes", "stück", bytearray(b"array"), memoryview(b"view"), b"", b"x" * 8192:
        queue.send(given)
        data, type = taken = queue.receive()
        assert data == (given.encode() if isinstance(given, str) else bytes(given))
        assert (type, taken.__class__) == (1, tuple)
    queue.send(b"kw", block=False, type=7)
    assert queue.receive(type=-9, block=False) == (b"kw", 7)


def test_a_queue_waits_for_room_and_for_messages(made, key, child, until, asleep):
    def echo(say, hear, key):
        from pyipc.compat import sysv_ipc

        queue = sysv_ipc.MessageQueue(key)
        say()
        data, _ = queue.receive(True, 1)
        queue.send(data * 2, True, 2)

    queue = made(ours, "MessageQueue", key, ours.IPC_CREX)
    other = child(echo, key)
    other.hear()
    until(lambda: asleep(other.pid))
    queue.send(b"ab")
    assert queue.receive(True, 2) == (b"abab", 2)
    assert other.end() == 0


def test_memory_is_read_and_written_in_all_forms(made):
    memory = made(ours, "SharedMemory", None, ours.IPC_CREX, size=10, init_character=b".")
    memory.write("ä")
    memory.write(bytearray(b"12"), 2)
    memory.write(memoryview(b"3"), offset=4)
    memory.write(b"", 10)
    assert memory.read() == "ä123.....".encode()
    assert memory.read(100, 8) == memory.read(0, 8) == b".."
    assert memory.read(byte_count=2, offset=2) == b"12"


def test_memory_of_more_than_one_block_is_filled(made):
    size = (1 << 20) + 5
    memory = made(ours, "SharedMemory", None, ours.IPC_CREX, size=size, init_character=b"\xff")
    assert memory.read() == b"\xff" * size


def test_memory_at_an_address(made):
    memory = made(ours, "SharedMemory", None, ours.IPC_CREX)
    at = memory.address
    memory.detach()
    assert memory.address == 0
    memory.attach(at + 5, ours.SHM_RND)
    assert memory.address == at


def test_private_objects_have_key_0(kind):
    one = getattr(ours, kind)(ours.IPC_PRIVATE, ours.IPC_CREX)
    other = getattr(ours, kind)(ours.IPC_PRIVATE, ours.IPC_CREX)
    assert one.key == 0
    assert one.id != other.id
    for each in one, other:
        if kind == "SharedMemory":
            each.detach()
        each.remove()


def test_keys_are_taken_as_the_kernel_has_them(kind, made):
    low = int.from_bytes(os.urandom(3), "little") - (1 << 24) - 5
    there = made(theirs, kind, low, theirs.IPC_CREX)
    for key in low, low + 2**32, low - 2**40:
        found = getattr(ours, kind)(key)
        assert (found.id, found.key) == (there.id, low)
        if kind == "SharedMemory":
            found.detach()


def test_owner_and_mode_can_be_changed(kind, made):
    one = made(ours, kind, None, ours.IPC_CREX)
    one.mode = 0o640
    one.uid = one.uid
    one.gid = one.gid
    assert (one.mode, one.uid, one.gid) == (0o640, os.geteuid(), os.getegid())


def test_ftok_is_theirs(tmp_path):
    for number in 1, 42, 0, 255, 256, -1, 300:
        assert ours.ftok(str(tmp_path), number, True) == theirs.ftok(str(tmp_path), number, True)
    with pytest.warns(Warning, match="ftok"):
        ours.ftok("/", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.ftok("/", 1, silence_warning=True)


def test_threads_that_fill_one_queue_lose_nothing(made):
    queue = made(ours, "MessageQueue", None, ours.IPC_CREX)
    senders = [threading.Thread(target=lambda: [queue.send(b"x") for _ in range(200)]) for _ in range(3)]
    for sender in senders:
        sender.start()
    for _ in range(600):
        assert queue.receive() == (b"x", 1)
    for sender in senders:
        sender.join()
    assert queue.current_messages == 0


def test_classes_can_be_derived_from(made, kind):
    cls = getattr(ours, kind)
    derived = type("Derived", (cls,), {"more": 1})
    one = derived(None, ours.IPC_CREX)
    one.other = 2
    assert (one.more, one.other, isinstance(one, cls)) == (1, 2, True)
    if kind == "SharedMemory":
        one.detach()
    one.remove()


# ---- one module in the place of the other ----

IN_PLACE = """
import sys
import pyipc.compat.sysv_ipc
sys.modules["sysv_ipc"] = pyipc.compat.sysv_ipc
from pyipc._backend import load
assert load("fallback").NAME == "fallback"
from pyipc._backend import fallback_foreign
assert fallback_foreign.sysv.__file__.endswith(".so"), fallback_foreign.sysv
import sysv_ipc
assert sysv_ipc is pyipc.compat.sysv_ipc
semaphore = sysv_ipc.Semaphore(None, sysv_ipc.IPC_CREX, initial_value=1)
semaphore.acquire()
assert semaphore.value == 0
semaphore.remove()
"""


@pytest.mark.parametrize("backend", ["native", "fallback"])
def test_the_fallback_does_not_import_its_own_imitation(backend):
    if backend == "native" and pyipc.backend() != "native":
        pytest.skip("there is no compiled core, perhaps")
    environment = {**os.environ, "PYIPC_BACKEND": backend}
    subprocess.run([sys.executable, "-c", IN_PLACE], env=environment, check=True, timeout=30)


def test_nothing_is_said_of_objects_that_are_forgotten(key):
    program = (
        "import pyipc.compat.sysv_ipc as s\n"
        f"objects = [k({key}, s.IPC_CREX) for k in (s.Semaphore, s.SharedMemory, s.MessageQueue)]\n"
        "objects[0].block = False; objects[0].release(2); objects[2].receive(True) if 0 else None\n"
        "[o.remove() for o in objects]\n"
    )
    words = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
