from __future__ import annotations

import os
import subprocess

import pytest

import pyipc
from pyipc import sysv

MAKERS = [
    pytest.param(lambda key: sysv.SharedMemory.create(10, key=key), id="segment"),
    pytest.param(lambda key: sysv.SemaphoreSet.create(1, key=key), id="set"),
    pytest.param(lambda key: sysv.MessageQueue.create(key=key), id="queue"),
]
FINDERS = [sysv.SharedMemory.open, sysv.SemaphoreSet.open, sysv.Semaphore.open, sysv.MessageQueue.open]
ATTACHERS = [
    sysv.SharedMemory.attach,
    sysv.SemaphoreSet.attach,
    sysv.Semaphore.attach,
    sysv.MessageQueue.attach,
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.touch()
    return path


@pytest.mark.parametrize("project", [1, 65, 127, 128, 255])
def test_ftok_agrees_with_perl(file, project, perl):
    other = perl("use IPC::SysV 'ftok'; print ftok($ARGV[0], $ARGV[1] + 0), qq(\\n)", file, project)
    theirs = int(other.line())
    assert other.end() == 0
    assert sysv.ftok(file, project) & 0xFFFFFFFF == theirs & 0xFFFFFFFF


@pytest.mark.parametrize("project", [1, 65, 127, 128, 255])
def test_ftok_agrees_with_c(file, project, peer):
    for path in (file, "/", "/proc/self"):
        other = peer("ftok", path, project)
        if path != "/proc/self":  # whose inode is the peer's own
            assert sysv.ftok(path, project) == int(other.line())
        assert other.end() == 0


def test_ftok_takes_every_kind_of_path(file):
    key = sysv.ftok(file, 7)
    assert key == sysv.ftok(str(file), 7) == sysv.ftok(os.fsencode(file), 7)
    assert key >> 24 == 7
    assert sysv.ftok(file, 200) < 0  # a key_t is signed


def test_ftok_of_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        sysv.ftok(tmp_path / "nothing", 1)


@pytest.mark.parametrize("project", [0, 256, -1, 2**70])
def test_ftok_refuses_a_project_of_more_than_8_bits(file, project):
    with pytest.raises(ValueError, match=r"1\.\.255"):
        sysv.ftok(file, project)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("key", [0, 2**32, -(2**31) - 1, 2**70, -(2**70)])
def test_a_key_out_of_range_is_a_value_error(make, key):
    with pytest.raises(ValueError, match=str(key)):
        make(key)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("key", ["1234", 1.0, b"x"])
def test_a_key_that_is_no_number_is_a_type_error(make, key):
    with pytest.raises(TypeError, match=type(key).__name__):
        make(key)


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("key", [0, 2**32, -(2**31) - 1])
def test_finding_by_a_key_out_of_range_is_a_value_error(find, key):
    with pytest.raises(ValueError, match=str(key)):
        find(key)


@pytest.mark.parametrize("attach", ATTACHERS)
def test_an_id_out_of_range_is_a_value_error(attach):
    for id in (-1, 2**31, 2**70):
        with pytest.raises(ValueError, match=str(id)):
            attach(id)
    for id in ("1", 1.0, None):
        with pytest.raises(TypeError):
            attach(id)


@pytest.mark.parametrize("attach", ATTACHERS)
def test_an_id_that_nobody_has_is_a_removed_object(attach):
    with pytest.raises(pyipc.RemovedError, match=f"id {2**31 - 1}"):
        attach(2**31 - 1)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("key", [2**31 - 1, -(2**31), -1, 0xFFFFFFFF, 0x80000000])
def test_keys_at_the_edges_work(make, key):
    try:
        handle = make(key)
    except pyipc.AlreadyExistsError:
        pytest.skip(f"somebody else uses key {key}")
    with handle:
        assert handle.stat().key & 0xFFFFFFFF == key & 0xFFFFFFFF
        with type(handle).open(key) as found:
            assert found.id == handle.id
        with type(handle).attach(handle.id) as found:
            assert found.key & 0xFFFFFFFF == key & 0xFFFFFFFF


@pytest.mark.parametrize("make", MAKERS)
def test_a_key_is_shown_as_ipcs_shows_it(make):
    key = 0xF0000000 | int.from_bytes(os.urandom(3), "little")
    with make(key) as handle:
        assert f"{key:#x}" in repr(handle)
        listing = subprocess.run(["ipcs"], capture_output=True, text=True, check=True).stdout
        assert f"{key:#x}" in listing


@pytest.mark.parametrize("mode", [-1, 0o1000, 2**70])
def test_a_mode_out_of_range_is_a_value_error(mode):
    for make in (
        lambda: sysv.SharedMemory.create(10, mode=mode),
        lambda: sysv.SemaphoreSet.create(1, mode=mode),
        lambda: sysv.Semaphore.create(1, mode=mode),
        lambda: sysv.MessageQueue.create(mode=mode),
    ):
        with pytest.raises(ValueError, match="mode"):
            make()
