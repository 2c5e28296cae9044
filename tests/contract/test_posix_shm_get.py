"""posix_shm_get: shm_open(3) with flags of the caller's, and a size."""

from __future__ import annotations

import os
from errno import EACCES, EEXIST, EINVAL, EISDIR, ELOOP, ENOENT

import pytest

NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR


@pytest.fixture
def name():
    chosen = f"pyipc-test-{os.urandom(6).hex()}".encode()
    yield chosen
    if os.path.lexists(b"/dev/shm/" + chosen):
        os.unlink(b"/dev/shm/" + chosen)


@pytest.fixture
def get(backend, name):
    """What the call says; and the size of what it has opened."""

    def get(flags, size=0, mode=0o600):
        owner = backend.Descriptor()
        result = backend.posix_shm_get(owner, name, flags, mode, size)
        facts = None
        if result < 0:
            assert owner._number == -1
        else:
            assert not os.get_inheritable(owner._number)
            facts = os.fstat(owner._number)
            owner._close()
        return result, facts and facts.st_size, facts and facts.st_mode & 0o7777

    return get


def test_made_found_and_resized(get):
    assert get(os.O_RDWR)[0] == -ENOENT
    assert get(NEW, 10, 0o640) == (0, 10, 0o640)
    assert get(NEW, 10)[0] == -EEXIST
    assert get(os.O_RDWR) == (0, 10, 0o640)
    assert get(os.O_CREAT | os.O_RDWR, mode=0o777) == (0, 10, 0o640)
    assert get(os.O_CREAT | os.O_RDWR, 5000) == (0, 5000, 0o640)
    assert get(os.O_RDONLY)[:2] == (0, 5000)
    assert get(os.O_RDWR | os.O_TRUNC)[:2] == (0, 0)


def test_made_by_o_creat(get):
    assert get(os.O_CREAT | os.O_RDWR, 7) == (0, 7, 0o600)


@pytest.mark.parametrize("flags", [NEW, os.O_CREAT | os.O_RDWR, NEW & ~os.O_RDWR])
def test_what_cannot_get_its_size_goes_again(get, flags):
    assert get(flags, 5 if flags == NEW & ~os.O_RDWR else 1 << 63)[0] == -EINVAL
    assert get(os.O_RDWR)[0] == -ENOENT


def test_what_was_there_stays(get):
    get(NEW, 10)
    for flags in os.O_RDWR, os.O_CREAT | os.O_RDWR:
        assert get(flags, 1 << 63)[0] == -EINVAL
    assert get(os.O_RDONLY, 5)[0] == -EINVAL
    assert get(os.O_RDWR)[:2] == (0, 10)


def test_other_files_are_not_memory(backend, get, name):
    os.symlink("/dev/null", b"/dev/shm/" + name)
    assert get(os.O_RDWR)[0] == -ELOOP
    assert get(os.O_RDWR | os.O_CREAT)[0] == -ELOOP
    os.unlink(b"/dev/shm/" + name)
    os.mkfifo(b"/dev/shm/" + name)
    assert get(os.O_RDONLY)[0] == 0  # and does not wait for the other end
    assert backend.posix_shm_get(backend.Descriptor(), b".", os.O_RDWR, 0, 0) == -EISDIR


def test_mode_forbids(backend, name, fork):
    owner = backend.Descriptor()
    assert backend.posix_shm_get(owner, name, NEW, 0o600, 10) == 0
    owner._close()
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def other(child):
        os.setresuid(65534, 65534, 65534)
        child.say(backend.posix_shm_get(backend.Descriptor(), name, os.O_RDWR, 0, 0))

    plain = fork(other)
    assert plain.hear() == -EACCES
    assert plain.end() == 0
