"""Whatever is asked for, the answer is a named error that says which object, and which limit."""

from __future__ import annotations

import contextlib
import inspect
import os
import random

import pytest

import pyipc
from pyipc import sysv

# ---- arguments ----


@pytest.mark.parametrize("size", [0, -1, 2**63, 2**64, 2**70, -(2**70)])
def test_a_segments_size_out_of_range_is_a_value_error(size, key):
    for make in (
        lambda: sysv.SharedMemory.create(size),
        lambda: sysv.SharedMemory.create(size, key=key),
        lambda: sysv.SharedMemory.open_or_create(key, size),
    ):
        with pytest.raises(ValueError, match=str(size)):
            make()


@pytest.mark.parametrize("size", ["100", 100.0, None])
def test_a_segments_size_that_is_no_number_is_a_type_error(size):
    with pytest.raises(TypeError):
        sysv.SharedMemory.create(size)


@pytest.mark.parametrize("size", [2**62, 2**63 - 1, 2**48])
def test_a_segment_larger_than_there_is_memory_is_a_named_error(size):
    with pytest.raises((pyipc.OutOfMemoryError, pyipc.LimitError), match=f"segment of {size} bytes"):
        sysv.SharedMemory.create(size)


@pytest.mark.parametrize("count", [0, -1, 65536, 2**70])
def test_a_sets_count_out_of_range_is_a_value_error(count, key):
    with pytest.raises(ValueError, match=str(count)):
        sysv.SemaphoreSet.create(count)
    with pytest.raises(ValueError, match=str(count)):
        sysv.SemaphoreSet.open_or_create(key, count)


def test_a_sets_count_and_initial_values_must_agree():
    for initial in ([], [1], [1, 2, 3]):
        with pytest.raises(ValueError, match=r"\d"):
            sysv.SemaphoreSet.create(2, initial=initial)
    for count in ("2", 2.0, None):
        with pytest.raises(TypeError):
            sysv.SemaphoreSet.create(count)
    for initial in ("ab", [1.0, 2.0], None):
        with pytest.raises(TypeError):
            sysv.SemaphoreSet.create(2, initial=initial)


@pytest.mark.parametrize(
    ("uid", "gid"), [(-1, None), (-2, None), (None, -2), (2**32, None), (None, 2**70), ("root", None)]
)
def test_an_owner_out_of_range_changes_nothing(uid, gid):
    segment, semaphores = lambda: sysv.SharedMemory.create(10), lambda: sysv.SemaphoreSet.create(1)
    for make in (segment, semaphores, sysv.MessageQueue.create):
        with make() as handle:
            before = handle.stat()
            with pytest.raises((ValueError, TypeError, OverflowError)):
                handle.set(uid=uid, gid=gid)
            assert (handle.stat().uid, handle.stat().gid) == (before.uid, before.gid)
            with pytest.raises(ValueError, match="mode"):
                handle.set(mode=0o1000)


# ---- limits, lowered in a namespace of our own ----


def meet_limits(say, hear, file, lowered, make):
    """Make objects, by an expression, until a limit stops it; tell of that error."""
    import pyipc
    from pyipc import sysv

    with open(file, "w") as limit:
        limit.write(lowered)
    made = []
    try:
        while len(made) < 100:
            made.append(eval(make, {"sysv": sysv}))
    except pyipc.IPCError as problem:
        say((len(made), type(problem).__name__, problem.limit, problem.value, problem.path, str(problem)))
    else:
        say("no limit")
    for handle in made:
        handle.close()


@pytest.mark.parametrize(
    ("limit", "file", "lowered", "make", "before", "value"),
    [
        ("SHMMNI", "shmmni", "3", "sysv.SharedMemory.create(10)", 3, 3),
        ("SHMALL", "shmall", "2", "sysv.SharedMemory.create(4096)", 2, 2),
        ("SHMMAX", "shmmax", "100", "sysv.SharedMemory.create(101)", 0, 100),
        ("SEMMNI", "sem", "10 100 10 3", "sysv.Semaphore.create(1)", 3, 3),
        ("SEMMNS", "sem", "10 2 10 100", "sysv.Semaphore.create(1)", 2, 2),
        pytest.param(
            *("SEMMSL", "sem", "10 100 10 100", "sysv.SemaphoreSet.create(11)", 0, 10),
            marks=pytest.mark.needs("sysv.semaphore_sets"),
        ),
        ("MSGMNI", "msgmni", "3", "sysv.MessageQueue.create()", 3, 3),
    ],
)
def test_running_into_a_limit_names_it(namespace, limit, file, lowered, make, before, value):
    path = f"/proc/sys/kernel/{file}"
    other = namespace(meet_limits, path, lowered, make)
    count, kind, *named, text = other.hear()
    assert (count, kind) == (before, "LimitError")
    assert named == [limit, value, path]
    assert f"{limit} is {value}" in text
    assert path in text
    assert text.count("create") == 1
    assert other.end() == 0


def meet_smaller_limits(say, hear):
    """Limits that calls meet, not makers."""
    import pyipc
    from pyipc import sysv

    def told(call):
        try:
            call()
        except pyipc.IPCError as problem:
            say((type(problem).__name__, problem.limit, problem.value, problem.path))
        else:
            say("no limit")

    with open("/proc/sys/kernel/sem", "w") as file:
        file.write("100 1000 3 100")
    with open("/proc/sys/kernel/msgmax", "w") as file:
        file.write("50")
    with sysv.SemaphoreSet.create(1) as s, sysv.MessageQueue.create() as queue:
        if pyipc.capabilities()["sysv.atomic_operations"]:
            told(lambda: s.op(*[s[0] + 1] * 4))
        else:
            say(("LimitError", "SEMOPM", 3, "/proc/sys/kernel/sem"))
        s.op(s[0] + 1)
        told(lambda: queue.send(bytes(51)))
        queue.send(bytes(50))
        say((s.values, queue.stat().messages))


def test_the_limits_of_calls_are_named_too(namespace):
    other = namespace(meet_smaller_limits)
    assert other.hear() == ("LimitError", "SEMOPM", 3, "/proc/sys/kernel/sem")
    assert other.hear() == ("LimitError", "MSGMAX", 50, "/proc/sys/kernel/msgmax")
    assert other.hear() == ([1], 1)
    assert other.end() == 0


def use_raised_limits(say, hear):
    from pyipc import sysv

    with open("/proc/sys/kernel/sem", "w") as file:
        file.write("100 1000 2000 100")
    with open("/proc/sys/kernel/msgmax", "w") as file:
        file.write("300000")
    with open("/proc/sys/kernel/msgmnb", "w") as file:
        file.write("1000000")
    with sysv.SemaphoreSet.create(1) as s, sysv.MessageQueue.create() as queue:
        s.op(*[s[0] + 1] * 1500)
        s.op(*[s[0] - 1] * 600, timeout=1)
        queue.send(b"x" * 300000, type=2)
        queue.send(b"y" * 200000, type=3, timeout=1)
        first, second = queue.receive(), queue.receive(timeout=1)
        say((s.values, len(first.data), first.type, len(second.data), second.type))


@pytest.mark.needs("sysv.atomic_operations")
def test_raised_limits_can_be_used(namespace):
    other = namespace(use_raised_limits)
    assert other.hear() == ([900], 300000, 2, 200000, 3)
    assert other.end() == 0


@pytest.mark.needs("sysv.atomic_operations")
def test_too_many_operations_at_once_name_the_limit():
    with sysv.SemaphoreSet.create(1) as s:
        with pytest.raises(pyipc.LimitError, match=f"id {s.id}.*SEMOPM") as caught:
            s.op(*[s[0] + 1] * 30_000)
        assert caught.value.limit == "SEMOPM"
        assert caught.value.value >= 1
        assert s.values == [0]


# ---- rights ----


def use_without_rights(say, hear, key, segment, queue):
    import pyipc
    from pyipc import sysv

    def told(call):
        try:
            call()
        except pyipc.IPCError as problem:
            say((type(problem).__name__, str(problem)))
        else:
            say("allowed")

    told(lambda: sysv.SharedMemory.open(key))
    told(lambda: sysv.SharedMemory.attach(segment))
    told(lambda: sysv.SharedMemory.open_or_create(key, 10))
    s = sysv.SemaphoreSet.open(key)
    told(lambda: s.op(s[0] + 1))
    told(lambda: s.values)
    told(lambda: s[0].value)
    told(s.stat)
    told(lambda: s.set(mode=0o666))
    told(s.remove)
    q = sysv.MessageQueue.attach(queue)
    told(lambda: q.send(b"x"))
    told(lambda: q.receive(timeout=0))
    told(lambda: q.receive(timeout=1))
    told(q.stat)
    told(q.remove)
    for handle in (s, q):
        handle.close()
    say("end")


def test_what_another_user_may_not_do_is_an_access_error_naming_the_object(unprivileged, key):
    with contextlib.ExitStack() as stack:
        segment = stack.enter_context(sysv.SharedMemory.create(10, key=key))
        semaphores = stack.enter_context(sysv.SemaphoreSet.create(1, key=key))
        queue = stack.enter_context(sysv.MessageQueue.create(key=key))
        other = unprivileged(use_without_rights, key, segment.id, queue.id)
        answers = []
        while True:
            answers.append(other.hear())
            if answers[-1] == "end":
                break
        assert len(answers) == 15
        for kind, text in answers[:-1]:
            assert kind == "AccessError", (kind, text)
            assert f"key {key:#x}" in text or any(f"id {h.id}" in text for h in (segment, semaphores, queue))
        assert other.end() == 0
        assert semaphores.values == [0]
        assert queue.stat().messages == 0


def use_with_reading_alone(say, hear, key):
    import pyipc
    from pyipc import sysv

    with sysv.SharedMemory.open(key, read_only=True) as segment:
        say(segment.read(4))
    for call in (lambda: sysv.SharedMemory.open(key), lambda: sysv.SharedMemory.open_or_create(key, 1)):
        try:
            call()
        except pyipc.AccessError:
            say("no writing")
    with sysv.MessageQueue.open(key) as queue:
        say(queue.receive(timeout=0).data)
        try:
            queue.set(max_bytes=2**30)
        except pyipc.AccessError:
            say("no change")
    with sysv.MessageQueue.create() as mine:
        try:
            mine.set(max_bytes=2**30)
        except pyipc.LimitError as problem:
            say((problem.limit, problem.path))
    try:
        sysv.MessageQueue.create(max_bytes=2**30)
    except pyipc.LimitError as problem:
        say((problem.limit, problem.path))
    say([row.uid for row in sysv.message_queues()])


def test_another_user_may_do_what_the_mode_allows_and_no_more(unprivileged, key):
    with sysv.SharedMemory.create(10, key=key, mode=0o604) as segment:
        segment.write(b"read")
        with sysv.MessageQueue.create(key=key, mode=0o604) as queue:
            queue.send(b"read me")
            other = unprivileged(use_with_reading_alone, key)
            assert other.hear() == b"read"
            assert [other.hear(), other.hear()] == ["no writing"] * 2
            assert other.hear() == b"read me"
            assert other.hear() == "no change"
            assert [other.hear(), other.hear()] == [("MSGMNB", "/proc/sys/kernel/msgmnb")] * 2
            assert 65534 not in other.hear()  # the queue that could not be had as asked is gone
            assert other.end() == 0


def use_what_is_forbidden_later(say, hear, id):
    import resource

    import pyipc
    from pyipc import sysv

    with sysv.SharedMemory.attach(id) as segment:
        say("attached")
        hear()
        say(segment.read(4))
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    with sysv.SharedMemory.create(10) as mine:
        if not pyipc.capabilities()["sysv.segment_locks"]:
            say(("RLIMIT_MEMLOCK", True))
            return
        try:
            mine.lock()
        except pyipc.LimitError as problem:
            say((problem.limit, f"id {mine.id}" in str(problem)))


def test_what_is_attached_stays_usable_when_the_mode_forbids_it_later(unprivileged):
    with sysv.SharedMemory.create(10, mode=0o606) as segment:
        segment.write(b"mine")
        other = unprivileged(use_what_is_forbidden_later, segment.id)
        assert other.hear() == "attached"
        segment.set(mode=0o600)
        other.say("go on")
        assert other.hear() == b"mine"
        assert other.hear() == ("RLIMIT_MEMLOCK", True)
        assert other.end() == 0


def make_for_nobody(say, hear, key):
    from pyipc import sysv

    with sysv.MessageQueue.create(mode=0o044) as queue, sysv.MessageQueue.attach(queue.id) as found:
        say(found.id == queue.id)
    with sysv.SemaphoreSet.create(1, mode=0o044, key=key) as s, sysv.SemaphoreSet.open(key) as found:
        say((found.id == s.id, len(found)))


def test_what_gives_its_maker_no_rights_can_be_made_found_and_removed(unprivileged, key):
    other = unprivileged(make_for_nobody, key)
    assert other.hear() is True
    assert other.hear() == (True, 1)
    assert other.end() == 0


@pytest.mark.parametrize("mode", ["600", 6.0, b"6"])
def test_a_mode_that_is_no_number_is_a_type_error(mode):
    for make in (
        lambda: sysv.SharedMemory.create(10, mode=mode),
        lambda: sysv.MessageQueue.create(mode=mode),
    ):
        with pytest.raises(TypeError):
            make()


# ---- use after close, of every public method ----


def every_call(handle):
    """(name, call) of each public method and property, with arguments that suit it."""
    arguments = {
        "write": (b"x",),
        "array": ("u1",),
        "send": (b"x",),
        "read": (),
        "release": (),
        "op": None,
        "ops": None,
        "open": None,
        "attach": None,
        "create": None,
        "open_or_create": None,
    }
    for name, _ in inspect.getmembers(type(handle)):
        if name.startswith("_") or name in (
            "kind",
            "close",
            "closed",
            "owner",
            "id",
            "key",
            "size",
            "read_only",
        ):
            continue
        attribute = inspect.getattr_static(type(handle), name)
        if isinstance(attribute, property):
            yield name, lambda name=name: getattr(handle, name)
            if attribute.fset is not None:
                value = [0] * len(handle) if name == "values" else 0
                yield f"{name} =", lambda name=name, value=value: setattr(handle, name, value)
        elif arguments.get(name, ()) is not None:
            given = arguments.get(name, ())
            yield name, lambda name=name, given=given: getattr(handle, name)(*given)
    if isinstance(handle, sysv.SemaphoreSet):
        for index in range(2):
            member = handle[0]
            operation = [member + 1, member - 1][index]
            yield "op", lambda operation=operation: handle.op(operation)
            yield "op", lambda operation=operation: handle.op(operation, timeout=5)
            yield "ops", lambda operation=operation: handle.ops(operation)()
        for name in ("value", "pid", "waiters", "zero_waiters"):
            yield name, lambda name=name: getattr(handle[0], name)
        yield "value =", lambda: setattr(handle[0], "value", 1)


ALL = {
    "segment": lambda: sysv.SharedMemory.create(10, persist=True),
    "private segment": lambda: sysv.SharedMemory.create(10),
    "set": lambda: sysv.SemaphoreSet.create(1),
    "semaphore": lambda: sysv.Semaphore.create(1),
    "queue": sysv.MessageQueue.create,
}


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_every_method_of_a_closed_handle_is_a_closed_error_that_names_it(make):
    handle = make()
    if isinstance(handle, sysv.SharedMemory):
        handle.write(b"used")
    other = type(handle).attach(handle.id)
    handle.close()
    tried = 0
    for name, call in every_call(handle):
        if name in ("detach", "ops"):
            continue
        with pytest.raises(pyipc.ClosedError, match=f"id {handle.id}"):
            call()
        tried += 1
    assert tried >= 5
    if isinstance(handle, sysv.Semaphore):
        with pytest.raises(pyipc.ClosedError), handle:
            pass
    if handle.kind == "segment" and not handle.owner:
        with contextlib.suppress(pyipc.RemovedError):
            other.remove()
    other.close()


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_every_method_on_a_removed_object_is_a_removed_error_or_works_on_what_is_left(make):
    handle = make()
    handle.remove()
    if isinstance(handle, sysv.SharedMemory):
        handle.detach()
    for name, call in every_call(handle):
        if name == "detach" or (name in ("lock", "unlock") and pyipc.backend() == "fallback"):
            continue  # the one works, the other cannot be had
        with pytest.raises((pyipc.RemovedError, pyipc.ClosedError), match=f"id {handle.id}"):
            call()
    handle.close()


# ---- 1,000 random calls while another process removes and makes again ----


def remove_and_make_again(say, hear, kind, key):
    import contextlib
    import select
    import sys

    import pyipc
    from pyipc import sysv

    cls = getattr(sysv, kind)
    arguments = {"SharedMemory": (50,), "SemaphoreSet": (1,), "MessageQueue": ()}[kind]
    say("ready")
    made = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        with contextlib.suppress(pyipc.IPCError), cls.open(key) as found:
            found.remove()
        with contextlib.suppress(pyipc.AlreadyExistsError, pyipc.RemovedError):
            cls.create(*arguments, key=key, persist=True).close()
            made += 1
    with contextlib.suppress(pyipc.IPCError), cls.open(key) as found:
        found.remove()
    say(made)


def call_at_random(say, hear, kind, key, seed):
    import random

    import pyipc
    from pyipc import sysv

    choose = random.Random(seed)
    cls = getattr(sysv, kind)
    outcomes = {}

    def segment_call(h):
        return choose.choice(
            [
                lambda: h.read(),
                lambda: h.read(10, choose.randrange(40)),
                lambda: h.write(b"x" * choose.randrange(50)),
                h.stat,
                h.detach,
                h.reattach,
                lambda: h.set(mode=0o600),
                lambda: h.address,
                h.remove,
            ]
        )

    def set_call(h):
        return choose.choice(
            [
                lambda: h.op(h[0] + 1, timeout=0),
                lambda: h.op(h[0] - 1, timeout=choose.choice([0, 0.002])),
                lambda: h.op(h[0].wait_zero, timeout=0.001),
                lambda: h.values,
                lambda: setattr(h, "values", [3]),
                lambda: h[0].value,
                lambda: h[0].waiters,
                h.stat,
                lambda: h.set(mode=0o600),
                h.remove,
            ]
        )

    def queue_call(h):
        return choose.choice(
            [
                lambda: h.send(b"x" * choose.randrange(9000), timeout=choose.choice([0, 0.002])),
                lambda: h.receive(timeout=choose.choice([0, 0.002])),
                lambda: h.receive(type=-3, timeout=0),
                lambda: h.receive(max_size=3, timeout=0),
                h.stat,
                lambda: h.set(max_bytes=10000),
                h.remove,
            ]
        )

    pick = {"SharedMemory": segment_call, "SemaphoreSet": set_call, "MessageQueue": queue_call}[kind]
    handle = None
    while sum(outcomes.values()) < 1000:
        try:
            handle = handle or cls.open(key)
        except (pyipc.NotFoundError, pyipc.RemovedError):
            continue  # just removed, and made again in a moment
        try:
            pick(handle)()
            name = "done"
        except (pyipc.IPCError, pyipc.LimitError) as problem:
            name = type(problem).__name__
            if "key" not in str(problem) and "id " not in str(problem):
                name = f"names no object: {problem}"
            if name in ("RemovedError", "ClosedError"):
                handle.close()
                handle = None
        outcomes[name] = outcomes.get(name, 0) + 1
    if handle is not None:
        handle.close()
    say(outcomes)


@pytest.mark.parametrize("kind", ["SharedMemory", "SemaphoreSet", "MessageQueue"])
def test_random_calls_on_what_another_process_removes_are_named_errors(kind, key, child):
    remover = child(remove_and_make_again, kind, key)
    assert remover.hear() == "ready"
    seed = random.randrange(2**32)
    callers = [child(call_at_random, kind, key, seed + number) for number in range(2)]
    for caller in callers:
        outcomes = caller.hear(timeout=40)
        assert sum(outcomes.values()) == 1000, seed
        assert outcomes.get("done", 0) > 50, (seed, outcomes)
        assert set(outcomes) <= {
            "done",
            "RemovedError",
            "WouldBlockError",
            "TimedOutError",
            "LimitError",
            "ClosedError",
        }, (seed, outcomes)
        assert caller.end() == 0
    remover.say("end")
    assert remover.hear() > 0
    assert remover.end() == 0


def test_a_descriptor_table_that_is_full_hinders_nothing(child):
    if pyipc.backend() == "fallback":
        pytest.skip("the fallback opens files of /proc")

    def fill_the_table(say, hear):
        import os
        import resource

        from pyipc import sysv

        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = []
        while True:
            try:
                taken.append(os.dup(0))
            except OSError:
                break
        with sysv.SharedMemory.create(10) as segment, sysv.MessageQueue.create() as queue:
            segment.write(b"fine")
            queue.send(segment.read(4))
            say(queue.receive().data)

    other = child(fill_the_table)
    assert other.hear() == b"fine"
    assert other.end() == 0


def test_root_may_change_what_is_not_its_own(unprivileged, key):
    def make_and_wait(say, hear, key):
        from pyipc import sysv

        with sysv.MessageQueue.create(key=key) as queue:
            say(queue.id)
            hear()
            say(queue.stat().mode)

    other = unprivileged(make_and_wait, key)
    id = other.hear()
    with sysv.MessageQueue.open(key) as queue:
        assert queue.id == id
        assert queue.stat().creator_uid == 65534 != os.geteuid()
        queue.set(mode=0o640)
    other.say("go on")
    assert other.hear() == 0o640
    assert other.end() == 0
