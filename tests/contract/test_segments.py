from __future__ import annotations

import gc
import itertools
import mmap
import os
import resource
from errno import EACCES, EEXIST, EIDRM, EINVAL, ENOENT, ENOMEM, ENOTSUP, EPERM

import pytest

from pyipc._backend import load

PAGE = mmap.PAGESIZE
PRIVATE = 0
NOBODY = 65534


class Bytes:
    """The bytes of a segment, by the calls of the protocol."""

    def __init__(self, backend, attachment, size, read_only=False):
        assert not isinstance(attachment, int)
        self.backend = backend
        self.memory = backend.shm_memory(attachment, size, read_only)

    def __getitem__(self, part):
        return self.backend.copy_out(self.memory, part.start, part.stop - part.start)

    def view(self):
        return self.backend.view(self.memory)

    def __setitem__(self, part, data):
        assert len(data) == part.stop - part.start
        self.backend.copy_in(self.memory, part.start, data)


def bytes_of(backend, id, size):
    return Bytes(backend, backend.shm_attach(id, 0, 0), size)


def test_one_makes_what_the_other_finds_reads_and_removes(pair, key, row):
    maker, finder = pair
    id = maker.shm_create(key, 1000, 0, 0o640)
    assert id >= 0
    assert (row("shm", id)["key"], row("shm", id)["size"], row("shm", id)["perms"]) == (key, 1000, 0o640)
    assert finder.now_shm_find(key, 0) == finder.now_shm_find(key, 1000) == id
    ours, theirs = bytes_of(maker, id, 1000), bytes_of(finder, id, 1000)
    ours[100:105] = b"hello"
    assert theirs[99:106] == b"\0hello\0"
    theirs[0:2] = memoryview(b"!!")
    assert ours[0:3] == b"!!\0"
    assert row("shm", id)["nattch"] == 2
    del ours, theirs
    assert row("shm", id)["nattch"] == 0
    assert finder.shm_remove(id) == 0
    assert row("shm", id) is None


def test_a_private_segment_is_marked_and_goes_with_its_last_attachment(pair, row):
    maker, finder = pair
    id, attachment = maker.shm_create_private(1000, 0, 0o600)
    assert (row("shm", id)["key"], row("shm", id)["perms"], row("shm", id)["nattch"]) == (0, 0o1600, 1)
    Bytes(maker, attachment, 1000)[0:1] = b"x"
    theirs = bytes_of(finder, id, 1000)
    del attachment
    assert theirs[0:1] == b"x"
    assert row("shm", id)["nattch"] == 1
    del theirs
    assert row("shm", id) is None


def test_a_new_segment_is_zero_and_takes_no_memory_yet(backend, key, row):
    size = 1 << 20
    id = backend.shm_create(key, size, 0, 0o600)
    memory = bytes_of(backend, id, size)
    assert row("shm", id)["rss"] == 0
    assert memory[0:size] == bytes(size)
    backend.shm_remove(id)


def test_populating_makes_every_page(backend, row):
    size = 10 * PAGE + 1
    id, attachment = backend.shm_create_private(size, 0, 0o600)
    memory = backend.shm_memory(attachment, size, False)
    assert row("shm", id)["rss"] == 0
    assert backend.shm_populate(memory) == 0
    assert row("shm", id)["rss"] == 11 * PAGE


@pytest.mark.parametrize(("size", "mode"), [(10, 0o600), (1000, 0o600), (10, 0)])
def test_a_taken_key_exists_whatever_is_asked_of_it(pair, key, size, mode):
    maker, other = pair
    id = maker.shm_create(key, 100, 0, mode)
    assert other.shm_create(key, size, 0, 0o600) == -EEXIST
    assert maker.shm_create(key, size, 0, 0o600) == -EEXIST
    assert maker.shm_remove(id) == 0
    again = other.shm_create(key, size, 0, 0o600)
    assert again >= 0
    assert maker.shm_remove(again) == 0


def test_a_smaller_segment_is_not_what_was_asked_for(pair, key):
    maker, finder = pair
    id = maker.shm_create(key, 100, 0, 0o600)
    assert finder.now_shm_find(key, 101) == -EINVAL
    assert finder.now_shm_find(key, 100) == id
    assert finder.shm_remove(id) == 0
    assert finder.now_shm_find(key, 0) == -ENOENT


@pytest.mark.parametrize("size", [0, 1 << 62])
def test_both_refuse_the_same_sizes(key, pair, size):
    answers = {backend.shm_create(at, size, 0, 0o600) for backend in pair for at in (key, PRIVATE)}
    assert len(answers) == 1
    assert answers <= {-EINVAL, -ENOMEM}


def test_what_was_removed_is_gone_for_both(pair, key):
    maker, other = pair
    id = maker.shm_create(key, 100, 0, 0o600)
    assert maker.shm_remove(id) == 0
    for backend in pair:
        assert backend.shm_remove(id) == -EIDRM
        assert backend.shm_attach(id, 0, 0) == -EIDRM
        assert backend.shm_attach(id, 0, backend.SHM_READ_ONLY) == -EIDRM
        assert backend.shm_attach(id, PAGE, 0) == -EIDRM
        assert backend.now_shm_stat(id) == -EIDRM
        assert backend.now_shm_size(id) == -EIDRM
        assert backend.now_shm_set(id, -1, -1, 0o600) == -EIDRM
    assert other.now_shm_find(key, 0) == -ENOENT


def test_a_segment_that_is_removed_while_attached_can_still_be_used(pair, key, row):
    maker, other = pair
    id = maker.shm_create(key, 100, 0, 0o600)
    ours = bytes_of(maker, id, 100)
    assert other.shm_remove(id) == 0
    assert other.now_shm_find(key, 0) == -ENOENT
    theirs = bytes_of(other, id, 100)
    theirs[0:1] = b"x"
    assert ours[0:1] == b"x"
    assert other.now_shm_size(id) == maker.now_shm_size(id) == 100
    del ours, theirs
    assert row("shm", id) is None


def test_an_address_in_use_is_refused_and_a_free_one_taken(backend, key, row):
    id = backend.shm_create(key, PAGE, 0, 0o600)
    attachment = backend.shm_attach(id, 0, 0)
    taken = backend.shm_address(attachment)
    assert taken % PAGE == 0
    assert backend.shm_attach(id, taken, 0) == -EINVAL
    assert backend.shm_attach(id, taken + 1, 0) == -EINVAL
    assert row("shm", id)["nattch"] == 1
    del attachment
    again = backend.shm_attach(id, taken, 0)
    assert backend.shm_address(again) == taken
    assert backend.shm_remove(id) == 0


def test_read_only_memory_is_read_and_never_written(pair, key):
    maker, reader = pair
    id = maker.shm_create(key, 100, 0, 0o600)
    bytes_of(maker, id, 100)[0:4] = b"read"
    attachment = reader.shm_attach(id, 0, reader.SHM_READ_ONLY)
    memory = Bytes(reader, attachment, 100, True)
    assert memory[0:5] == b"read\0"
    assert memory[1:4] == b"ead"
    view = memory.view()
    assert view.readonly if reader.capabilities()["sysv.read_only_views"] else view == -ENOTSUP
    start = f"{reader.shm_address(attachment):x}-"
    with open("/proc/self/maps") as maps:
        assert next(line for line in maps if line.startswith(start)).split()[1] == "r--s"
    assert maker.shm_remove(id) == 0


def test_large_copies_are_exact(backend):
    data = os.urandom(300_000)
    id, attachment = backend.shm_create_private(len(data) + 10, 0, 0o600)
    assert id >= 0
    memory = Bytes(backend, attachment, len(data) + 10)
    memory[7 : 7 + len(data)] = data
    assert memory[7 : 7 + len(data)] == data
    memory[3 : len(data) - 2] = memoryview(data)[5:]
    assert memory[3:13] == data[5:15]


@pytest.mark.parametrize("keyed", [False, True], ids=["private", "by key"])
def test_memory_lives_until_the_last_view_dies(backend, keyed, key, row):
    if keyed:
        id = backend.shm_create(key, 100, 0, 0o600)
        attachment = backend.shm_attach(id, 0, 0)
        assert backend.shm_remove(id) == 0
    else:
        id, attachment = backend.shm_create_private(100, 0, 0o600)
    memory = Bytes(backend, attachment, 100)
    view = memory.view()
    assert (len(view), view.readonly, view.format) == (100, False, "B")
    memory[0:3] = b"abc"
    del attachment, memory
    gc.collect()
    assert row("shm", id)["nattch"] == 1
    part = view[1:3]
    view.release()
    assert bytes(part) == b"bc"
    part[0] = ord("x")
    assert bytes(part) == b"xc"
    del view, part
    assert row("shm", id) is None


def test_views_that_died_before_leave_nothing_mapped(pair, row):
    maker, finder = pair
    id, attachment = maker.shm_create_private(100, 0, 0o600)
    theirs = bytes_of(finder, id, 100)
    view = theirs.view()
    assert view[0] == 0
    del view, theirs, attachment
    assert row("shm", id) is None


class Late:
    """Garbage that looks at its view when it is collected."""

    seen = ()

    def __init__(self, view):
        self.view = view
        self.itself = self

    def __del__(self):
        Late.seen = bytes(self.view[:3])


def look_at_garbage(backend, keep_memory):
    id, attachment = backend.shm_create_private(100, 0, 0o600)
    memory = Bytes(backend, attachment, 100)
    memory[0:3] = b"abc"
    late = Late(memory.view())
    if keep_memory:
        late.memory = memory
    del attachment, memory, late
    gc.collect()
    return id >= 0, Late.seen


@pytest.mark.parametrize("keep_memory", [False, True])
def test_garbage_may_look_at_its_view_to_the_end(backend, forked, keep_memory):
    """The collector finds segment, view and owner dead together, and may start with any of them."""
    # In a child, since what was garbage together with its views may stay mapped in the fallback.
    assert forked(look_at_garbage, backend, keep_memory)() == (True, b"abc")


def test_stat_is_what_the_kernel_lists(pair, key, row):
    maker, other = pair
    id = maker.shm_create(key, 100, 0, 0o640)
    attachment = maker.shm_attach(id, 0, 0)
    assert not isinstance(attachment, int)
    mine, theirs, listed = maker.now_shm_stat(id), other.now_shm_stat(id), row("shm", id)
    names = ("size", "nattch", "atime", "dtime", "ctime", "cpid", "lpid")
    owner = (key, os.geteuid(), os.getegid(), os.geteuid(), os.getegid(), 0o640)
    assert mine == theirs == (owner, *(listed[name] for name in names))
    assert listed["cpid"] == os.getpid()
    assert other.now_shm_size(id) == 100
    assert other.shm_remove(id) == 0


def test_owner_group_and_mode_are_changed_each_alone_or_together(pair, key):
    if os.geteuid() != 0:
        pytest.skip("only root can give its objects away")
    maker, other = pair
    id = maker.shm_create(key, 100, 0, 0o600)
    assert other.now_shm_set(id, -1, -1, 0o604) == 0
    assert maker.now_shm_stat(id)[0] == (key, 0, 0, 0, 0, 0o604)
    assert other.now_shm_set(id, 5, -1, -1) == 0
    assert maker.now_shm_stat(id)[0] == (key, 5, 0, 0, 0, 0o604)
    assert other.now_shm_set(id, 6, 7, 0) == 0
    assert maker.now_shm_stat(id)[0] == (key, 6, 7, 0, 0, 0)
    assert other.now_shm_set(id, 2**32 - 1, -1, -1) == -EINVAL
    assert maker.shm_remove(id) == 0


def test_a_user_without_rights_is_refused_alike(privileged, pair, key, forked):
    maker, other = pair
    id = maker.shm_create(key, 100, 0, 0o600)

    def attempts():
        return [
            other.now_shm_find(key, 0) == id,
            other.shm_attach(id, 0, 0),
            other.shm_attach(id, 0, other.SHM_READ_ONLY),
            other.now_shm_stat(id),
            other.now_shm_size(id),
            other.now_shm_set(id, -1, -1, 0o666),
            other.shm_remove(id),
            other.shm_create(key, 10, 0, 0o600),
        ]

    expected = [True, *[-EACCES] * 5, -EPERM, -EEXIST]
    assert forked(attempts, user=NOBODY)() == expected
    assert maker.shm_remove(id) == 0


def test_a_user_who_may_read_reads_and_no_more(privileged, pair, key, forked):
    maker, other = pair
    id = maker.shm_create(key, 100, 0, 0o604)
    bytes_of(maker, id, 100)[0:4] = b"read"

    def attempts():
        attachment = other.shm_attach(id, 0, other.SHM_READ_ONLY)
        return [
            Bytes(other, attachment, 100, True)[0:4],
            other.now_shm_size(id),
            other.shm_attach(id, 0, 0),
            other.now_shm_set(id, -1, -1, 0o666),
            other.shm_remove(id),
        ]

    assert forked(attempts, user=NOBODY)() == [b"read", 100, -EACCES, -EPERM, -EPERM]
    assert maker.shm_remove(id) == 0


@pytest.mark.parametrize("user", [NOBODY, None], ids=["ordinary", "as we are"])
@pytest.mark.parametrize(("gid", "mode"), [(-1, 0o600), (-1, 0o440), (5, 0o400)])
def test_an_owner_may_look_if_the_mode_says_so(backend, key, forked, user, gid, mode):
    def look():
        id = backend.shm_create(key, 100, 0, 0o600)
        return [backend.now_shm_set(id, -1, gid, mode), backend.now_shm_size(id), backend.shm_remove(id)]

    assert forked(look, user=user)() == [0, 100, 0]


@pytest.mark.parametrize(("mode", "answer"), [(0o640, 100), (0o604, -EACCES)])
def test_the_group_has_bits_of_its_own(backend, key, forked, mode, answer):
    if os.geteuid() != 0:
        pytest.skip("only root can give its objects away")
    id = backend.shm_create(key, 100, 0, mode)
    assert backend.now_shm_set(id, -1, NOBODY, -1) == 0
    assert forked(backend.now_shm_size, id, user=NOBODY)() == answer
    assert backend.shm_remove(id) == 0


@pytest.mark.parametrize("mode", [0, 0o200, 0o400, 0o066])
def test_a_maker_may_lock_itself_out(backend, key, forked, mode, remains, row):
    def attempts():
        before = remains()
        id = backend.shm_create(key, 100, 0, mode)
        assert id >= 0
        private = backend.shm_create_private(100, 0, mode)
        answers = [backend.shm_attach(id, 0, 0), private if isinstance(private, int) else 0]
        del private
        return [*answers, row("shm", id)["perms"], backend.shm_remove(id), before == remains()]

    kept = 0 if backend.NAME == "native" else -EACCES  # the fallback cannot use what it may not look at
    assert forked(attempts, user=NOBODY)() == [-EACCES, kept, mode, 0, True]


def test_rights_that_are_lost_later_do_not_hinder_what_is_attached(backend, key, forked):
    def attempts():
        id = backend.shm_create(key, 100_000, 0, 0o600)
        memory = bytes_of(backend, id, 100_000)
        assert backend.now_shm_set(id, -1, -1, 0) == 0
        memory[0:5] = b"still"
        memory[80_000:80_004] = b"here"
        answers = [
            memory[0:5],
            memory[80_000:80_004],
            backend.now_shm_size(id),
        ]
        return [*answers, bytes(memory.view()[:5]), backend.shm_remove(id)]

    assert forked(attempts, user=NOBODY)() == [b"still", b"here", -EACCES, b"still", 0]


@pytest.mark.parametrize("private", [False, True], ids=["by key", "private"])
def test_a_segment_that_cannot_be_mapped_is_not_left_behind(backend, key, forked, remains, private):
    def attempts():
        before = remains()
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        if private:
            return [backend.shm_create_private(8 << 30, 0, 0o600), before == remains()]
        id = backend.shm_create(key, 8 << 30, 0, 0o600)  # the fallback must map it to make it
        attached = backend.shm_attach(id, 0, 0) if id >= 0 else id
        if id >= 0:
            backend.shm_remove(id)
        return [attached, before == remains()]

    assert forked(attempts)() == [-ENOMEM, True]


def test_huge_pages_are_had_or_refused_alike(pair, key):
    with open("/proc/meminfo") as lines:
        free = next(int(line.split()[1]) for line in lines if line.startswith("HugePages_Free"))
    if free:
        pytest.skip("there are huge pages here; this is about machines without")
    answers = {backend.shm_create(key, 2 << 20, backend.SHM_HUGE_2M, 0o600) for backend in pair}
    assert answers == {-ENOMEM if os.geteuid() == 0 else -EPERM}


def test_of_many_who_create_one_key_one_does(both, key, forked):
    rounds = 60

    def race(name, gate):
        backend = load(name)
        won = []
        for number in range(rounds):
            os.read(gate, 1)
            id = backend.shm_create(key + number, 100, 0, 0o600)
            assert id >= 0 or id == -EEXIST
            won.append(id)
        return won

    gates = [os.pipe() for _ in range(4)]
    racers = [forked(race, ("native", "fallback")[i % 2], gates[i][0]) for i in range(4)]
    for _ in range(rounds):
        for _, start in gates:
            os.write(start, b"x")
    results = [result() for result in racers]
    for end in itertools.chain(*gates):
        os.close(end)
    native = load("native")
    for number in range(rounds):
        (id,) = (won[number] for won in results if won[number] >= 0)
        assert native.now_shm_find(key + number, 0) == id
        assert native.shm_remove(id) == 0


def test_of_many_threads_who_create_one_key_one_does(backend, key):
    import threading

    for number in range(60):
        ids = []
        barrier = threading.Barrier(4)

        def create(at=key + number, ids=ids, barrier=barrier):
            barrier.wait()
            ids.append(backend.shm_create(at, 100, 0, 0o600))

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (id,) = (id for id in ids if id >= 0)
        assert sorted(ids)[:3] == [-EEXIST] * 3
        assert backend.shm_remove(id) == 0


def test_creating_while_others_remove_meets_no_other_error(both, key, forked):
    def churn(name, removes):
        backend = load(name)
        seen = set()
        for number in range(600):
            id = (
                backend.now_shm_find(key, 0)
                if removes
                else backend.shm_create(key, 1 + number % 50, 0, 0o600)
            )
            attachment = backend.shm_attach(id, 0, 0) if id >= 0 else id
            removed = backend.shm_remove(id) if id >= 0 else 0
            seen |= {min(id, 0), attachment if isinstance(attachment, int) else 0, removed}
        return sorted(seen)

    results = [forked(churn, name, removes) for name in ("native", "fallback") for removes in (False, True)]
    for result, expected in zip(results, [{-EEXIST, -EIDRM, 0}, {-ENOENT, -EIDRM, 0}] * 2):
        assert set(result()) <= expected
