from __future__ import annotations

import os
from errno import EACCES, EAGAIN, EEXIST, EIDRM, EINVAL, ENOENT, ENOTSUP, EPERM, ERANGE

import pytest

from pyipc._backend import load

PRIVATE = 0
NOBODY = 65534
MOST = 32767


def op(backend, id, delta, flags=0):
    return backend.now_sem_op(id, backend.sem_prepare([(0, delta, flags)]), 1)


def value(backend, id):
    return backend.now_sem_get(id, 0, backend.SEM_GET_VALUE)


def test_one_makes_what_the_other_takes_gives_and_removes(pair, key, row):
    maker, other = pair
    id = maker.sem_create(key, [2], 0o640)
    assert (row("sem", id)["key"], row("sem", id)["nsems"], row("sem", id)["perms"]) == (key, 1, 0o640)
    assert other.now_sem_find(key, 0) == other.now_sem_find(key, 1) == id
    assert other.now_sem_take(id) == 0
    assert value(maker, id) == value(other, id) == 1
    assert maker.now_sem_take(id) == 0
    assert other.now_sem_take(id) == -EAGAIN
    assert other.now_sem_give(id) == 0
    assert maker.now_sem_get_all(id, 1) == [1]
    assert other.sem_remove(id) == 0
    assert row("sem", id) is None
    assert maker.now_sem_find(key, 0) == -ENOENT


@pytest.mark.parametrize("first", [0, 1, 2, MOST])
def test_a_set_is_initialised_and_says_so(backend, first, row):
    id = backend.sem_create(PRIVATE, [first], 0o600)
    assert row("sem", id)["otime"] > 0
    assert backend.now_sem_get_all(id, 1) == [first]
    assert backend.now_sem_get(id, 0, backend.SEM_GET_PID) == os.getpid()
    assert backend.sem_remove(id) == 0


@pytest.mark.parametrize("mode", [0, 0o200, 0o444, 0o777])
def test_the_mode_is_the_one_that_was_asked_for(backend, key, row, mode):
    id = backend.sem_create(key, [1], mode)
    assert row("sem", id)["perms"] == mode
    assert backend.sem_remove(id) == 0


def test_private_sets_are_new_each_time_and_used_by_both(pair):
    maker, other = pair
    ids = [maker.sem_create(PRIVATE, [0], 0o600) for _ in range(3)]
    assert len(set(ids)) == 3
    if other is maker or maker.NAME == "fallback":
        assert other.now_sem_give(ids[1]) == 0
    else:  # it has no key to open it by
        assert other.now_sem_give(ids[1]) == -ENOTSUP
        assert maker.now_sem_give(ids[1]) == 0
    assert [value(maker, id) for id in ids] == [0, 1, 0]
    assert [other.sem_remove(id) for id in ids] == [0, 0, 0]


def test_operations_that_cannot_be_done_change_nothing(pair, key):
    maker, other = pair
    id = maker.sem_create(key, [5], 0o600)
    assert op(other, id, -6) == op(other, id, 0) == -EAGAIN
    assert op(other, id, MOST) == -ERANGE
    assert op(other, id, -6, other.SEM_NOWAIT) == -EAGAIN
    assert value(maker, id) == 5
    assert op(other, id, -5) == op(other, id, 0) == op(other, id, MOST) == 0
    assert value(maker, id) == MOST
    assert other.now_sem_give(id) == -ERANGE
    assert other.sem_remove(id) == 0


def test_values_are_set_within_their_bounds(pair, key):
    maker, other = pair
    id = maker.sem_create(key, [5], 0o600)
    assert other.now_sem_set_value(id, 0, 9) == 0
    assert maker.now_sem_get_all(id, 1) == [9]
    assert other.now_sem_set_all(id, [MOST]) == 0
    assert maker.now_sem_get_all(id, 1) == [MOST]
    for wrong in (-1, MOST + 1, 2**31 - 1):
        assert other.now_sem_set_value(id, 0, wrong) == -ERANGE
    assert value(maker, id) == MOST
    assert [
        other.now_sem_get(id, 0, what) for what in (other.SEM_GET_WAITERS, other.SEM_GET_ZERO_WAITERS)
    ] == [0, 0]
    assert other.sem_remove(id) == 0


def test_a_taken_key_exists(pair, key):
    maker, other = pair
    id = maker.sem_create(key, [1], 0)
    assert maker.sem_create(key, [1], 0o600) == other.sem_create(key, [1], 0o600) == -EEXIST
    assert other.now_sem_find(key, 2) == -EINVAL
    assert other.sem_remove(id) == 0


def test_what_was_removed_is_gone_for_both(pair, key):
    maker, other = pair
    id = maker.sem_create(key, [1], 0o600)
    assert value(maker, id) == value(other, id) == 1  # so that each of them may have kept something
    assert maker.sem_remove(id) == 0
    for backend in pair:
        assert backend.sem_remove(id) == -EIDRM
        assert backend.now_sem_take(id) == backend.now_sem_give(id) == op(backend, id, 0) == -EIDRM
        assert value(backend, id) == backend.now_sem_set_value(id, 0, 1) == -EIDRM
        assert backend.now_sem_get_all(id, 1) == backend.now_sem_set_all(id, [1]) == -EIDRM
        assert backend.now_sem_stat(id) == backend.now_sem_set(id, -1, -1, 0o600) == -EIDRM
        assert backend.now_sem_take(-1) == backend.now_sem_stat(-1) == -EIDRM
    again = other.sem_create(key, [7], 0o600)
    assert again != id
    assert value(maker, again) == 7
    assert value(maker, id) == -EIDRM
    assert maker.sem_remove(again) == 0


def test_stat_is_what_the_kernel_lists(pair, key, row):
    maker, other = pair
    id = maker.sem_create(key, [1], 0o640)
    owner = (key, os.geteuid(), os.getegid(), os.geteuid(), os.getegid(), 0o640)
    expected = (owner, 1, row("sem", id)["otime"], row("sem", id)["ctime"])
    assert maker.now_sem_stat(id) == other.now_sem_stat(id) == expected
    assert other.sem_remove(id) == 0


def test_owner_group_and_mode_are_changed_each_alone_or_together(pair, key):
    if os.geteuid() != 0:
        pytest.skip("only root can give its objects away")
    maker, other = pair
    id = maker.sem_create(key, [1], 0o600)
    assert other.now_sem_set(id, -1, -1, 0o604) == 0
    assert other.now_sem_set(id, 5, -1, -1) == 0
    assert maker.now_sem_stat(id)[0] == (key, 5, 0, 0, 0, 0o604)
    assert other.now_sem_set(id, 6, 7, 0) == 0
    assert maker.now_sem_stat(id)[0] == (key, 6, 7, 0, 0, 0)
    assert other.now_sem_set(id, -1, 2**32 - 1, -1) == -EINVAL
    assert maker.sem_remove(id) == 0


def test_a_maker_may_give_away_all_its_rights_at_once(backend, key, forked, row):
    def give_away():
        id = backend.sem_create(key, [1], 0o600)
        return [id, backend.now_sem_set(id, 5, 6, 0), backend.now_sem_set(id, -1, -1, 0o600)]

    id, *answers = forked(give_away, user=NOBODY)()
    assert answers == [0, -EACCES]
    assert [row("sem", id)[name] for name in ("perms", "uid", "gid")] == [0, 5, 6]
    assert backend.sem_remove(id) == 0


def test_a_user_without_rights_is_refused_alike(privileged, pair, key, forked):
    maker, other = pair
    id = maker.sem_create(key, [1], 0o600)

    def attempts():
        return [
            other.now_sem_find(key, 0) == id,
            other.now_sem_take(id),
            other.now_sem_give(id),
            op(other, id, 0),
            value(other, id),
            other.now_sem_get_all(id, 1),
            other.now_sem_set_value(id, 0, 1),
            other.now_sem_stat(id),
            other.now_sem_set(id, -1, -1, 0o666),
            other.sem_remove(id),
            other.sem_create(key, [1], 0o600),
        ]

    assert forked(attempts, user=NOBODY)() == [True, *[-EACCES] * 8, -EPERM, -EEXIST]
    assert value(maker, id) == 1
    assert maker.sem_remove(id) == 0


def test_a_user_who_may_read_reads_and_no_more(privileged, pair, key, forked):
    maker, other = pair
    id = maker.sem_create(key, [0], 0o604)

    def attempts():
        return [
            value(other, id),
            op(other, id, 0),
            other.now_sem_stat(id)[1],
            other.now_sem_take(id),
            other.now_sem_set_value(id, 0, 1),
            other.now_sem_set(id, -1, -1, 0o666),
        ]

    assert forked(attempts, user=NOBODY)() == [0, 0, 1, -EACCES, -EACCES, -EPERM]
    assert maker.sem_remove(id) == 0


def test_the_kernel_undoes_what_a_process_left(pair, key, forked):
    maker, other = pair
    id = maker.sem_create(key, [3], 0o600)

    def take_and_end():
        answers = [op(other, id, -1, other.SEM_UNDO), op(other, id, -1), value(other, id)]
        return [*answers, op(other, id, -1, other.SEM_UNDO), op(other, id, 1, other.SEM_UNDO)]

    assert forked(take_and_end)() == [0, 0, 1, 0, 0]
    assert value(maker, id) == 2  # 1 is back, and the other is not
    assert maker.sem_remove(id) == 0


def test_a_forked_child_uses_what_its_parent_made(backend, forked):
    id = backend.sem_create(PRIVATE, [0], 0o600)
    assert forked(backend.now_sem_give, id)() == 0
    assert value(backend, id) == 1
    assert backend.sem_remove(id) == 0


def test_the_fallback_says_which_operations_it_cannot_do(backend):
    several = [[(0, 0, 0), (0, 1, 0)], [(1, 1, 0)]]
    able = backend.capabilities()["sysv.atomic_operations"]
    assert [backend.sem_prepare(ops) == -ENOTSUP for ops in several] == [not able, not able]


def test_larger_sets_are_made_where_they_can_be(backend, key, row):
    id = backend.sem_create(key, [1, 2, 3], 0o600)
    if backend.capabilities()["sysv.semaphore_sets"]:
        assert backend.now_sem_get_all(id, 3) == [1, 2, 3]
        assert backend.sem_remove(id) == 0
    else:
        assert id == -ENOTSUP
        assert backend.now_sem_find(key, 0) == -ENOENT


def test_of_a_larger_set_the_first_is_reached_and_the_rest_is_not_touched(both, key, row):
    native, fallback = load("native"), load("fallback")
    id = native.sem_create(key, [1, 2, 3], 0o600)
    assert fallback.now_sem_find(key, 3) == id
    assert fallback.now_sem_find(key, 4) == -EINVAL
    assert fallback.now_sem_stat(id) == native.now_sem_stat(id)
    assert fallback.now_sem_take(id) == 0
    assert fallback.now_sem_take(id) == -EAGAIN
    for refused in (
        fallback.now_sem_get(id, 1, fallback.SEM_GET_VALUE),
        fallback.now_sem_set_value(id, 1, 9),
        fallback.now_sem_get_all(id, 3),
        fallback.now_sem_set_all(id, [9, 9, 9]),
    ):
        assert refused == -ENOTSUP
    assert native.now_sem_get_all(id, 3) == [0, 2, 3]
    assert fallback.sem_remove(id) == 0
    assert row("sem", id) is None


def test_many_sets_are_told_apart(pair):
    """More than anything that is kept for speed holds."""
    maker, other = pair
    keys = range(0x51000001, 0x51000001 + 300)
    ids = {key: maker.sem_create(key, [key % 100], 0o600) for key in keys}
    for _ in range(2):
        assert all(value(other, ids[key]) == key % 100 for key in keys)
    assert {other.sem_remove(id) for id in ids.values()} == {0}
