from __future__ import annotations

import contextlib
import os
import resource
import threading
from errno import EMFILE, ESRCH

import pytest

from pyipc._backend import load
from pyipc._backend.protocol import Backend


def promised():
    """Every name of the protocol, and whether it is a call."""
    names = {}
    for part in Backend.__mro__:
        if part.__module__ == Backend.__module__:
            names.update(dict.fromkeys(getattr(part, "__annotations__", ()), False))
            names.update(dict.fromkeys((name for name in vars(part) if not name.startswith("_")), True))
    return names


@pytest.mark.parametrize("name", promised())
def test_every_name_of_the_protocol_is_there(backend, name):
    there = getattr(backend, name)
    if promised()[name]:
        assert callable(there)
    else:
        assert type(there) in (bool, int, str, type)


def test_the_protocol_is_not_empty():
    assert {"NAME", "interrupt", "shm_create", "now_sem_op", "msg_receive"} <= set(promised())


def test_each_is_known_by_its_name(both):
    assert [load(name).NAME for name in ("native", "fallback")] == ["native", "fallback"]


def test_both_answer_for_the_same_capabilities(both):
    native, fallback = load("native").capabilities(), load("fallback").capabilities()
    assert set(native) == set(fallback)
    assert {type(value) for value in (*native.values(), *fallback.values())} == {bool}
    assert all(native[name] for name in fallback if fallback[name])


def test_capabilities_are_a_copy(backend):
    backend.capabilities().clear()
    assert backend.capabilities()


def test_a_class_stays_usable_however_it_is_accelerated(backend):
    @backend.accelerate()
    class Plain:
        pass

    assert isinstance(Plain, type)


def test_flags_of_one_kind_differ(pair):
    for kind in ("SHM_", "SEM_GET_", "MSG_"):
        flags = [getattr(pair[0], name) for name in promised() if name.startswith(kind)]
        assert len(flags) == len(set(flags)) > 1


def test_a_thread_that_is_not_ours_cannot_be_interrupted(backend, forked):
    assert backend.interrupt(2**22 + 1) == -ESRCH  # above the kernel's PID_MAX_LIMIT
    mine = threading.get_native_id()
    assert forked(backend.interrupt, mine)() == -ESRCH


def test_a_full_descriptor_table_is_an_answer_not_an_exception(backend, key, forked):
    """The fallback reads files of /proc."""
    id = backend.shm_create(key, 100, 0, 0o600)

    def look():
        taken = []
        with contextlib.suppress(OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            while True:
                taken.append(os.dup(0))
        answers = [backend.now_shm_find(key, 0), backend.now_shm_size(id), backend.shm_create(0, 1, 0, 0o600)]
        for descriptor in taken:
            os.close(descriptor)
        return answers

    found, size, made = forked(look)()
    if backend.NAME == "native":
        assert (found, size) == (id, 100)
        assert backend.shm_remove(made) == 0
    else:
        assert (found, size, made) == (-EMFILE,) * 3
    assert backend.shm_remove(id) == 0
