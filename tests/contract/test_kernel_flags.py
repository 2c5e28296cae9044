"""Objects made and found by the kernel's own flags, as programs bring them."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENOENT, ERANGE

import pytest

CREAT, EXCL = 0o1000, 0o2000
CREX = CREAT | EXCL
PRIVATE = 0


@pytest.fixture(params=["shm", "sem", "msg"])
def table(request):
    return request.param


def get(backend, table, key, flags):
    more = {"shm": (100,), "msg": ()}.get(table)
    if more is None:
        return backend.sem_get(key, flags, 3)
    return getattr(backend, f"{table}_get")(key, *more, flags)


def remove(backend, table, id):
    return getattr(backend, f"{table}_remove")(id)


def test_one_makes_what_the_other_finds(pair, key, table, row):
    maker, other = pair
    assert get(other, table, key, 0o600) == -ENOENT
    id = get(maker, table, key, CREX | 0o640)
    assert (row(table, id)["key"], row(table, id)["perms"]) == (key, 0o640)
    assert get(other, table, key, 0o600) == id
    assert get(other, table, key, CREX | 0o600) == -EEXIST
    assert remove(other, table, id) == 0
    assert get(maker, table, key, 0o600) == -ENOENT


def test_ipc_creat_finds_or_makes_memory_and_queues(pair, key):
    maker, other = pair
    for table in "shm", "msg":
        id = get(maker, table, key, CREAT | 0o600)
        assert get(other, table, key, CREAT | 0o600) == id
        assert remove(other, table, id) == 0


def test_private_ones_are_all_new(backend, table):
    ids = [get(backend, table, PRIVATE, CREAT | 0o600) for _ in range(2)]
    assert min(ids) >= 0
    assert ids[0] != ids[1]
    assert [remove(backend, table, id) for id in ids] == [0, 0]


def test_a_new_set_has_its_value_and_looks_unused(backend, key, row):
    id = backend.sem_get(key, CREX | 0o600, 7)
    assert backend.now_sem_get(id, 0, backend.SEM_GET_VALUE) == 7
    assert row("sem", id)["otime"] == 0
    assert backend.sem_get(key, 0o600, 1) == id
    assert backend.now_sem_get(id, 0, backend.SEM_GET_VALUE) == 7
    assert backend.sem_remove(id) == 0


def test_what_its_owner_may_not_write_gets_no_value(backend, key):
    id = backend.sem_get(key, CREX | 0o400, 7)
    assert backend.now_sem_get(id, 0, backend.SEM_GET_VALUE) == 0
    assert backend.sem_remove(id) == 0


def test_a_value_that_no_semaphore_has_leaves_none_behind(key):
    from pyipc._backend import load

    native = pytest.importorskip("pyipc._core") and load("native")
    assert native.sem_get(key, CREX | 0o600, 40000) == -ERANGE
    assert native.now_sem_find(key, 0) == -ENOENT


def test_new_memory_is_all_zero(backend, key):
    id = backend.shm_get(key, 100, CREX | 0o600)
    attachment = backend.shm_attach(id, 0, 0)
    assert backend.copy_out(backend.shm_memory(attachment, 100, False), 0, 100) == bytes(100)
    del attachment
    assert backend.shm_get(key, 101, 0o600) == -EINVAL
    assert backend.shm_get(key, 0, 0o600) == id
    assert backend.shm_remove(id) == 0
