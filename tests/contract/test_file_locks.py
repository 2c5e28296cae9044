"""Lock files, call by call: one backend locks what the other has locked."""

from __future__ import annotations

import os
import stat
from errno import EACCES, EAGAIN, EBADF, EINTR, ELOOP, ENOENT, ENOTDIR, ENXIO, ETIMEDOUT
from time import monotonic_ns

import pytest


@pytest.fixture
def opened():
    """Open a lock file by a backend; closed when the test ends."""
    owners = []

    def open_by(backend, path, shared=False, mode=0o600):
        owner = backend.Descriptor()
        assert backend.lock_file_open(owner, os.fspath(path), mode, shared) >= 0
        owners.append(owner)
        return owner

    yield open_by
    for owner in owners:
        owner._close()


def test_who_has_it_keeps_the_other_backend_out(pair, opened, tmp_path):
    first, second = pair
    one, two = (opened(backend, tmp_path / "lock").fileno() for backend in pair)
    assert first.lock_file(one, False, 0, 0) == 0
    assert second.lock_file(two, False, 0, 0) == -ETIMEDOUT
    assert first.unlock_file(one) == 0
    assert second.lock_file(two, False, 0, 0) == 0
    assert first.lock_file(one, False, 0, 0) == -ETIMEDOUT
    assert second.unlock_file(two) == 0
    assert second.unlock_file(two) == 0
    assert second.now_lock_file(two, False) == 0
    assert first.now_lock_file(one, False) == -EAGAIN
    assert second.now_unlock_file(two) == 0
    assert first.now_lock_file(one, False) == 0


def test_shared_ones_keep_each_other_in(pair, opened, tmp_path):
    first, second = pair
    alone = opened(first, tmp_path / "lock").fileno()
    one, two = (opened(backend, tmp_path / "lock", True).fileno() for backend in pair)
    assert first.lock_file(one, True, 0, 0) == 0
    assert second.lock_file(two, True, 0, 0) == 0
    assert first.lock_file(alone, False, 0, 0) == -ETIMEDOUT
    first.unlock_file(one)
    second.unlock_file(two)
    assert first.lock_file(alone, False, 0, 0) == 0
    assert second.lock_file(two, True, 0, 0) == -ETIMEDOUT


def test_a_wait_looks_around_and_ends_by_its_deadline(backend, opened, tmp_path):
    one, two = (opened(backend, tmp_path / "lock").fileno() for _ in range(2))
    backend.lock_file(one, False, 0, 0)
    began = monotonic_ns()
    assert backend.lock_file(two, False, began, began + 20_000_000) == -ETIMEDOUT
    assert 20_000_000 <= monotonic_ns() - began < 1_000_000_000
    assert backend.lock_file(two, False, began, began + 30_000_000_000) == -EINTR
    assert monotonic_ns() - began < 2_000_000_000


def test_the_mode_is_exact_and_only_of_a_new_one(backend, opened, tmp_path):
    old = os.umask(0o077)
    try:
        opened(backend, tmp_path / "lock", mode=0o666)
    finally:
        os.umask(old)
    opened(backend, tmp_path / "lock", mode=0o640)
    assert stat.S_IMODE(os.stat(tmp_path / "lock").st_mode) == 0o666
    assert not os.get_inheritable(opened(backend, tmp_path / "lock").fileno())


def test_what_cannot_be_opened_says_why_and_owns_nothing(backend, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    os.symlink("lock", tmp_path / "link")
    (tmp_path / "file").touch()
    refused = {"fifo": ENXIO, "link": ELOOP, ".": ENXIO, "no/lock": ENOENT, "file/lock": ENOTDIR}
    for name, number in refused.items():
        owner = backend.Descriptor()
        assert backend.lock_file_open(owner, str(tmp_path / name), 0o600, False) == -number, name
        assert owner._number == -1
    assert sorted(os.listdir(tmp_path)) == ["fifo", "file", "link"]


def test_a_number_that_is_not_open_is_refused(backend):
    assert backend.lock_file(-1, False, 0, 0) == backend.now_lock_file(-1, False) == -EBADF
    assert backend.unlock_file(-1) == backend.now_unlock_file(-1) == -EBADF


def test_others_files_are_refused(backend, forked, privileged, tmp_path):
    os.chmod(tmp_path, 0o755)
    (tmp_path / "lock").touch(0o600)

    def look():
        return [
            backend.lock_file_open(backend.Descriptor(), str(tmp_path / name), 0o600, False)
            for name in ("lock", "new")
        ]

    assert forked(look, user=65534)() == [-EACCES, -EACCES]
