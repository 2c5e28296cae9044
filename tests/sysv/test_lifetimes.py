"""What is removed when, by whom, and what stays."""

from __future__ import annotations

import os
import pickle
import signal
from pathlib import Path

import pytest

import pyipc
from pyipc import sysv

MAKERS = {
    "segment": lambda **how: sysv.SharedMemory.create(100, **how),
    "set": lambda **how: sysv.SemaphoreSet.create(1, **how),
    "semaphore": lambda **how: sysv.Semaphore.create(1, **how),
    "queue": lambda **how: sysv.MessageQueue.create(**how),
}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def exists(handle):
    table = {"segment": "shm", "message queue": "msg"}.get(handle.kind, "sem")
    lines = Path(f"/proc/sysvipc/{table}").read_text().splitlines()[1:]
    return any(int(line.split()[1]) == handle.id for line in lines)


def lists(table, id):
    lines = Path(f"/proc/sysvipc/{table}").read_text().splitlines()[1:]
    return any(int(line.split()[1]) == id for line in lines)


# ---- in one process ----


def test_closing_what_was_made_removes_it(make, key):
    for how in ({}, {"key": key}):
        handle = make(**how)
        assert exists(handle)
        handle.close()
        assert not exists(handle)


def test_what_was_made_to_persist_stays(make, key):
    handle = make(key=key, persist=True)
    assert not handle.owner
    handle.close()
    assert exists(handle)
    found = type(handle).open(key)
    found.remove()
    found.close()
    assert not exists(handle)


def test_a_private_object_can_persist_too(make):
    handle = make(persist=True)
    handle.close()
    assert exists(handle)
    found = type(handle).attach(handle.id)
    assert found.key == handle.key or pyipc.backend() == "fallback"  # whose private objects have a key
    found.remove()
    found.close()
    assert not exists(handle)


def test_what_was_found_is_not_removed_by_closing(make, key):
    owner = make(key=key)
    for find in (lambda: type(owner).open(key), lambda: type(owner).attach(owner.id)):
        borrowed = find()
        assert not borrowed.owner
        borrowed.close()
        assert exists(owner)
    owner.close()


def test_closing_twice_is_fine(make):
    handle = make()
    handle.close()
    handle.close()
    assert handle.closed


def test_closing_what_somebody_else_removed_is_fine(make, key):
    owner = make(key=key)
    other = type(owner).open(key)
    other.remove()
    other.close()
    owner.close()


def test_removing_twice_is_a_removed_error(make, key):
    owner = make(key=key)
    other = type(owner).open(key)
    owner.remove()
    if owner.kind == "segment":
        other.detach()
        owner.detach()
    for handle in (owner, other):
        with pytest.raises(pyipc.RemovedError, match=f"id {owner.id}"):
            handle.remove()
        handle.close()


def test_a_removed_owner_does_not_remove_what_has_its_key_now(make, key):
    owner = make(key=key)
    owner.remove()
    second = make(key=key)
    owner.close()
    assert exists(second)
    second.close()


def test_a_handle_dropped_open_complains_and_cleans_up(make, key):
    handle = make(key=key)
    id, kind, text = handle.id, handle.kind, repr(handle)
    kept = [handle]
    del handle
    with pytest.warns(ResourceWarning, match=f"id {id}") as caught:
        kept.clear()
    assert text in str(caught[0].message)
    assert not lists({"segment": "shm", "message queue": "msg"}.get(kind, "sem"), id)


def test_a_borrowed_handle_dropped_open_complains_and_removes_nothing(make, key):
    owner = make(key=key)
    with pytest.warns(ResourceWarning, match=f"id {owner.id}"):
        type(owner).open(key)
    assert exists(owner)
    owner.close()


# ---- at the end of a process ----


def make_and_end(say, hear, how, ending):
    import os
    import sys

    from pyipc import sysv

    global made  # open until the interpreter ends

    options = {"key": how} if how else {}
    made = [
        sysv.SharedMemory.create(100, **options),
        sysv.Semaphore.create(1, **options),
        sysv.MessageQueue.create(**options),
    ]
    say([handle.id for handle in made])
    hear()
    if ending == "sys.exit":
        sys.exit(3)
    if ending == "exception":
        raise RuntimeError("this child fails, as it should")
    if ending == "interrupt":
        raise KeyboardInterrupt
    if ending == "os._exit":
        os._exit(4)


@pytest.mark.parametrize("private", [True, False], ids=["private", "by key"])
@pytest.mark.parametrize(
    ("ending", "status"), [("return", 0), ("sys.exit", 3), ("exception", 1), ("interrupt", -signal.SIGINT)]
)
def test_what_is_still_open_goes_when_the_interpreter_ends(child, key, private, ending, status):
    other = child(make_and_end, None if private else key, ending)
    ids = other.hear()
    assert all(lists(table, id) for table, id in zip(("shm", "sem", "msg"), ids))
    other.say("end")
    assert other.end() == status
    assert not any(lists(table, id) for table, id in zip(("shm", "sem", "msg"), ids))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_private_segment_goes_with_a_killed_process_and_the_rest_can_be_found(child, number):
    other = child(make_and_end, None, "return")
    segment, semaphore, queue = other.hear()
    other.kill(number)
    assert other.end() == -number
    assert not lists("shm", segment)
    # Nothing in the kernel ties the others to a process: they are listed, and can be removed.
    for cls, listed, id in (
        (sysv.Semaphore, sysv.semaphore_sets(), semaphore),
        (sysv.MessageQueue, sysv.message_queues(), queue),
    ):
        assert id in [row.id for row in listed]
        left = cls.attach(id)
        left.remove()
        left.close()


def test_persisting_objects_outlive_their_maker(child, key):
    def make_to_persist(say, hear, key):
        from pyipc import sysv

        segment = sysv.SharedMemory.create(100, key=key, persist=True)
        segment.write(b"inherited")
        queue = sysv.MessageQueue.create(key=key, persist=True)
        queue.send(b"left behind")
        say("made")

    other = child(make_to_persist, key)
    assert other.hear() == "made"
    assert other.end() == 0
    with sysv.SharedMemory.open(key) as segment, sysv.MessageQueue.open(key) as queue:
        assert segment.read(9) == b"inherited"
        assert queue.receive(timeout=0).data == b"left behind"
        segment.remove()
        queue.remove()


def make_attach_and_hang(say, hear):
    import os

    from pyipc import sysv

    made = [sysv.SharedMemory.create(5000) for _ in range(20)]
    grandchildren = []
    for _ in range(3):
        pid = os.fork()
        if not pid:
            attached = [sysv.SharedMemory.attach(segment.id) for segment in made]
            attached[0].write(b"x")
            say("attached")
            hear()
        grandchildren.append(pid)
    say((os.getpid(), grandchildren, [segment.id for segment in made]))
    hear()


def test_a_run_killed_half_way_leaves_no_private_segment(child, until):
    other = child(make_attach_and_hang)
    heard = [other.hear() for _ in range(4)]
    ((_, _, ids),) = [answer for answer in heard if answer != "attached"]
    assert len(ids) == 20
    assert all(lists("shm", id) for id in ids)
    other.kill_all()
    assert other.end() == -signal.SIGKILL
    until(lambda: not any(lists("shm", id) for id in ids))  # its children die in their own time


# ---- fork ----


def fork_and_close(say, hear, how, ending):
    import os
    import sys

    from pyipc import sysv

    options = {"key": how} if how else {}
    made = [
        sysv.SharedMemory.create(100, **options),
        sysv.SemaphoreSet.create(1, **options),
        sysv.MessageQueue.create(**options),
    ]
    pid = os.fork()
    if not pid:
        made[0].write(b"child")
        made[1].op(made[1][0] + 1)
        made[2].send(b"from the child")
        assert not any(handle.owner for handle in made)
        own = sysv.MessageQueue.create()  # the child's, which goes with it
        made[2].send(str(own.id).encode(), type=2)
        if ending == "close":
            for handle in (*made, own):
                handle.close()
        if ending == "_exit":
            own.close()
            os._exit(0)
        sys.exit(0)  # through atexit, which the child inherited
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    say((status, [handle.id for handle in made], int(made[2].receive(2, timeout=5).data)))
    hear()
    assert made[0].read(5) == b"child"
    assert made[1].values == [1]
    assert made[2].receive(timeout=0).data == b"from the child"
    assert all(handle.owner for handle in made[1:])  # a private segment needs no owner
    say("usable")


@pytest.mark.parametrize("private", [True, False], ids=["private", "by key"])
@pytest.mark.parametrize("ending", ["close", "exit", "_exit"])
def test_a_forked_child_uses_the_handles_and_only_the_maker_removes(child, key, private, ending):
    other = child(fork_and_close, None if private else key, ending)
    status, ids, childs_own = other.hear()
    assert status == 0
    assert all(lists(table, id) for table, id in zip(("shm", "sem", "msg"), ids))
    assert not lists("msg", childs_own)
    other.say("go on")
    assert other.hear() == "usable"
    assert other.end() == 0
    assert not any(lists(table, id) for table, id in zip(("shm", "sem", "msg"), ids))


def fork_while_a_thread_waits(say, hear):
    import os
    import threading

    import pyipc
    from pyipc import sysv

    owner = sysv.Semaphore.create(0)
    borrowed = sysv.Semaphore.attach(owner.id)

    def wait():
        try:
            borrowed.acquire()
        except pyipc.ClosedError:
            say("closed")

    waiter = threading.Thread(target=wait)
    waiter.start()
    say((os.getpid(), waiter.native_id))
    hear()  # once it sleeps
    pid = os.fork()
    if not pid:
        borrowed.close()  # the waiter is the parent's, and is not to be waited for
        os._exit(0)
    say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    say(waiter.is_alive())
    owner.release()
    waiter.join()
    borrowed.close()
    owner.close()


def test_closing_in_a_forked_child_leaves_the_parents_waiters(child, until, asleep):
    other = child(fork_while_a_thread_waits)
    pid, thread = other.hear()
    until(lambda: asleep(pid, thread))
    other.say("go on")
    assert other.hear() == 0
    assert other.hear() is True
    assert other.end() == 0


# ---- multiprocessing ----


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize(("ending", "status"), [("return", 0), ("exception", 1), ("sys.exit", 3)])
def test_a_multiprocessing_child_cleans_up_and_can_use_pickled_handles(child, method, ending, status):
    other = child("owns_in_multiprocessing.py", method, ending)
    ids, code, value, closed = other.hear()
    assert code == status
    assert (value, closed) == (4, False)  # the child took one, and removed nothing of its parent's
    assert not any(lists(table, id) for table, id in zip(("shm", "sem", "msg"), ids))
    other.say("end")
    assert other.end() == 0


def test_pickling_a_closed_handle_is_refused(make):
    import pickle

    handle = make()
    handle.close()
    with pytest.raises(pyipc.ClosedError, match=f"id {handle.id}"):
        pickle.dumps(handle)


def test_a_pickle_of_what_is_gone_is_a_removed_error(make):
    import pickle

    handle = make()
    text = pickle.dumps(handle)
    handle.close()
    with pytest.raises(pyipc.RemovedError, match=f"id {handle.id}"):
        pickle.loads(text)


def drop_rights_and_end(say, hear, user):
    import os

    from pyipc import sysv

    global mine, others  # open until the interpreter ends
    mine = sysv.MessageQueue.create()
    os.seteuid(user)
    others = [sysv.MessageQueue.create() for _ in range(5)]
    say([mine.id, *(queue.id for queue in others)])


def test_one_object_that_cannot_be_removed_does_not_keep_the_others(child):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    other = child(drop_rights_and_end, 65534)
    mine, *others = other.hear()
    other.end()
    assert not any(lists("msg", id) for id in others)
    with sysv.MessageQueue.attach(mine) as left:
        left.remove()


def drop_what_was_made(say, hear):
    import warnings

    from pyipc import sysv

    warnings.simplefilter("error")
    say(sysv.Semaphore.create().id)


def test_what_is_dropped_is_removed_also_where_warnings_are_errors(child):
    other = child(drop_what_was_made)
    id = other.hear()
    other.end()
    assert not lists("sem", id)


def interrupt_close_and_drop(say, hear):
    from pyipc import sysv

    class Interrupted(sysv.Semaphore):
        def _let_go(self):
            if not hasattr(sysv, "interrupted"):
                sysv.interrupted = True
                raise KeyboardInterrupt

    semaphore = Interrupted.create()
    say(semaphore.id)
    try:
        semaphore.close()
    except KeyboardInterrupt:
        say("interrupted")
    del semaphore


def test_what_an_interrupted_close_left_is_removed_with_the_handle(child):
    other = child(interrupt_close_and_drop)
    id = other.hear()
    assert other.hear() == "interrupted"
    assert other.end() == 0
    assert not lists("sem", id)


def test_a_pickled_segment_stays_read_only(key):
    with sysv.SharedMemory.create(10, key=key), sysv.SharedMemory.open(key, read_only=True) as reader:
        again = pickle.loads(pickle.dumps(reader))
        assert again.read_only
        assert again.id == reader.id
        again.close()
