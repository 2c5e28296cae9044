"""Shared memory: what is in it, what a peer may do to it, how large it can be."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

import pyipc
from pyipc import posix


@pytest.fixture
def memory(name):
    with posix.SharedMemory.create(name, 10_000) as made:
        yield made


# ---- reading and writing ----


def test_it_is_there_and_zero_when_it_has_a_name(memory, name):
    assert (memory.name, memory.size, memory.read_only, memory.owner) == (name, 10_000, False, True)
    assert memory.read() == bytes(10_000)
    assert os.stat(f"/dev/shm{name}").st_blocks * 512 >= 10_000
    assert repr(memory) == f"<shared memory {name}>"
    assert not os.get_inheritable(memory.fileno())


@pytest.mark.parametrize("size", [1, 7, 4096, 65_536, 65_537, 300_000])
def test_what_is_written_is_read_by_another_handle(size):
    data = os.urandom(size)
    with posix.SharedMemory.create(None, size + 9) as memory, posix.SharedMemory.open(memory.name) as other:
        memory.write(data, 5)
        assert other.read(size, 5) == data
        assert memory.read() == bytes(5) + data + bytes(4)
        other.write(memoryview(data)[::-1], offset=9)
        assert memory.read(offset=9) == data[::-1]
        other.write(b"padded", pad_to=size + 9)
        assert memory.read() == b"padded".ljust(size + 9, b"\0")[: size + 9]


def test_the_name_may_come_without_its_slash(name):
    with posix.SharedMemory.create(name[1:], 10) as memory:
        assert memory.name == name
        for spelling in name, name[1:]:
            with posix.SharedMemory.open(spelling) as other:
                assert other.name == name


@pytest.mark.parametrize(
    ("size", "offset"),
    [(1, 10_000), (10_001, 0), (2, 9_999), (1, 1 << 40), (1, (1 << 63) - 1), (1 << 45, 0), (1 << 61, 5)],
)
def test_bytes_that_are_not_there_cannot_be_read(memory, size, offset):
    with pytest.raises(pyipc.IPCError, match=f"{memory.name}.*10000") as caught:
        memory.read(size, offset)
    assert caught.value.errno == errno.ENODATA


def test_nothing_is_written_past_the_end(memory):
    for data, offset in (b"x", 10_000), (b"xy", 9_999), (bytes(10_001), 0), (b"x", (1 << 63) - 1):
        with pytest.raises(pyipc.IPCError, match="10000") as caught:
            memory.write(data, offset)
        assert caught.value.errno == errno.ENODATA
    assert (memory.size, memory.read()) == (10_000, bytes(10_000))
    memory.write(b"", 10_000)
    assert memory.read(0, 10_000) == b""
    with pytest.raises(pyipc.IPCError):
        memory.write(b"", 10_001)


@pytest.mark.parametrize("offset", [-1, 1 << 63, -(1 << 70)])
def test_an_offset_that_is_none(memory, offset):
    with pytest.raises(ValueError, match=r"\d"):
        memory.read(1, offset)
    with pytest.raises(ValueError, match=r"\d"):
        memory.write(b"x", offset)


def test_what_cannot_be_written(memory):
    for wrong in "text", None, 5, ["x"]:
        with pytest.raises(TypeError):
            memory.write(wrong)
    with pytest.raises(ValueError, match="pad_to=3"):
        memory.write(b"four", pad_to=3)
    with pytest.raises(ValueError, match=r"\d"):
        memory.read(-1)
    for wrong in "5", 2.5:
        with pytest.raises(TypeError):
            memory.read(wrong)


def test_reading_alone(memory):
    memory.write(b"look")
    with posix.SharedMemory.open(memory.name, read_only=True, trust=True) as other:
        assert (other.read_only, other.read(4)) == (True, b"look")
        for refused in lambda: other.write(b"x"), lambda: other.resize(5), lambda: other.write(b""):
            with pytest.raises(pyipc.AccessError, match=memory.name):
                refused()
        with pytest.raises(OSError, match=r"Bad file|descriptor"):
            os.write(other.fileno(), b"x")  # the kernel agrees
        view = other.buf
        assert view.readonly
        assert bytes(view[:4]) == b"look"
        with pytest.raises(TypeError):
            view[0] = 1
    assert memory.size == 10_000


def test_views_live_on(memory):
    numbers = memory.array("<u4", 100, offset=400)
    numbers[:] = range(100)
    view = memory.buf[400:404]
    with posix.SharedMemory.open(memory.name, trust=True) as other:
        other.write(b"\7", 400)
        again = other.array("<u4", offset=400)
        assert again[0] == 7
    memory.close()
    numbers[0] += 1
    assert bytes(view) == b"\x08\0\0\0"
    assert (again[0], again[99]) == (8, 99)


def test_what_others_made_is_mapped_only_with_trust(memory):
    with posix.SharedMemory.open(memory.name) as other:
        for refused in lambda: other.buf, lambda: other.array("u1"):
            with pytest.raises(pyipc.AccessError, match="trust=True"):
                refused()


# ---- the same memory gets longer and shorter ----


def test_resizing(memory):
    memory.write(b"begin")
    memory.write(b"end", 9_997)
    with posix.SharedMemory.open(memory.name) as other:
        memory.resize(20_000)
        assert (other.size, other.read(6, 9_997)) == (20_000, b"end\0\0\0")
        other.resize(5)
        assert memory.read() == b"begin"
        with pytest.raises(pyipc.IPCError) as caught:
            memory.read(6)
        assert caught.value.errno == errno.ENODATA
        memory.resize(0)
        assert memory.read() == b""
        memory.resize(10, reserve=False)
        assert other.read() == bytes(10)


def test_views_of_before_keep_their_length(memory):
    before = memory.buf
    memory.resize(30_000)
    after = memory.buf
    assert (len(before), len(after)) == (10_000, 30_000)
    after[9_999] = 7
    assert before[9_999] == 7


@pytest.mark.parametrize("reserve", [True, False])
def test_reserving(name, reserve):
    size = 3 << 20
    with posix.SharedMemory.create(name, size, reserve=reserve) as memory:
        present = os.stat(f"/dev/shm{name}").st_blocks * 512
        assert present == (size if reserve else 0)
        memory.resize(2 * size, reserve=reserve)
        assert os.stat(f"/dev/shm{name}").st_blocks * 512 == (2 * size if reserve else 0)


def shorten_under(say, hear, name, how):
    import ctypes
    import os
    import signal

    signal.alarm(20)
    import pyipc
    from pyipc import posix

    with posix.SharedMemory.open(name, trust=how == "mapped") as memory:
        view = memory.buf if how == "mapped" else None
        say(memory.read(4, 8000))
        hear()
        if view is not None:
            ctypes.CDLL(None).prctl(4, 0)  # no core dump of what is about to die (PR_SET_DUMPABLE)
            view[8000]
        wrong = []
        for attempt in (
            lambda: memory.read(4, 8000),
            lambda: memory.read(10_000),
            lambda: memory.read(100_000),
            lambda: memory.write(b"x", 8000),
            lambda: memory.write(bytes(9_000)),
            lambda: memory.write(bytes(90_000)),
        ):
            try:
                attempt()
            except pyipc.IPCError as problem:
                wrong.append(problem.errno)
        say((wrong, memory.size, memory.read()))
    os._exit(0)


@pytest.mark.parametrize("how", ["by the kernel", "mapped"])
def test_a_peer_makes_it_shorter(how, name, posix_peer, ask, child):
    peer = posix_peer("shm", name, 10_000)
    ask(peer, "write 0 stays")
    ask(peer, "write 8000 goes")
    other = child(shorten_under, name, how)
    assert other.hear() == b"goes"
    assert ask(peer, "truncate 5") == "0"
    other.say()
    if how == "mapped":
        assert other.end() == -signal.SIGBUS  # so there is something to be safe from
    else:
        assert other.hear() == ([errno.ENODATA] * 6, 5, b"stays")
        assert other.end() == 0
    assert ask(peer, "size") == "5"  # nobody made it longer again
    assert ask(peer, "unlink") == "0"


def read_and_write_for_ever(say, hear, name):
    import errno

    import pyipc
    from pyipc import posix

    with posix.SharedMemory.open(name) as memory:
        say()
        came, failed = 0, 0
        while came < 300 or failed < 300:
            for attempt in lambda: memory.read(200_000), lambda: memory.write(bytes(5000), 195_000):
                try:
                    attempt()
                    came += 1
                except pyipc.IPCError as problem:
                    if problem.errno != errno.ENODATA:
                        raise
                    failed += 1
        say("done")


def test_a_peer_makes_it_shorter_and_longer_all_the_time(name, child, fork):
    with posix.SharedMemory.create(name, 200_000) as memory:
        other = child(read_and_write_for_ever, name)
        other.hear()
        disturber = fork(lambda us: [disturb_once(memory) for _ in iter(int, 1)])
        assert other.hear() == "done"
        assert other.end() == 0
        disturber.kill()


def disturb_once(memory):
    os.truncate(memory.fileno(), 10)
    os.truncate(memory.fileno(), 200_000)


# ---- limits ----


def full(say, hear):
    import os

    import pyipc
    from pyipc import posix

    told = []
    for size in 1 << 20, 65_537:
        try:
            posix.SharedMemory.create("/much", size)
        except pyipc.LimitError as problem:
            told.append((problem.limit, problem.value, "/much" in str(problem) or str(size) in str(problem)))
    told.append(os.listdir("/dev/shm"))
    with posix.SharedMemory.create("/some", 40_000) as memory:
        memory.write(b"kept", 39_996)
        try:
            memory.resize(200_000)
        except pyipc.LimitError as problem:
            told.append(problem.limit)
        told.append((memory.size, memory.read(4, 39_996)))
        memory.resize(200_000, reserve=False)
        memory.write(b"fits", 50_000)
        try:
            memory.write(bytes(150_000))
        except pyipc.LimitError as problem:
            told.append(problem.limit)
        memory.resize(100)
    told.append(os.listdir("/dev/shm"))
    say(told)


def test_dev_shm_is_full(own_dev):
    other = own_dev(full, size="64k")
    limit = "size of /dev/shm"
    told = other.hear()
    assert told[:2] == [(limit, 65_536, True)] * 2
    assert told[2:] == [[], limit, (40_000, b"kept"), limit, []]
    assert other.end() == 0


def beyond_file_size(say, hear, name):
    import resource

    import pyipc
    from pyipc import posix

    with posix.SharedMemory.create(name, 10_000) as memory:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
        told = []
        for attempt in (
            lambda: posix.SharedMemory.create(None, 5001),
            lambda: posix.SharedMemory.create(None, 5001, reserve=False),
            lambda: posix.SharedMemory.create(None, 1 << 61, reserve=False),
            lambda: memory.resize(10_001),
            lambda: memory.resize(10_001, reserve=False),
            lambda: memory.write(b"x", 6000),
        ):
            try:
                attempt()
            except pyipc.LimitError as problem:
                told.append((problem.limit, problem.value))
        with posix.SharedMemory.create(None, 5000) as small:
            told.append(small.size)
        memory.write(b"below")
        say((told, memory.size, memory.read(5)))


def test_sizes_beyond_rlimit_fsize(child, name):
    other = child(beyond_file_size, name)
    assert other.hear() == ([("RLIMIT_FSIZE", 5000)] * 6 + [5000], 10_000, b"below")
    assert other.end() == 0


def test_more_than_there_is():
    before = set(os.listdir("/dev/shm"))
    for size in 1 << 50, 1 << 61:
        with pytest.raises((pyipc.LimitError, pyipc.OutOfMemoryError), match=f"{size}"):
            posix.SharedMemory.create(None, size)
    assert set(os.listdir("/dev/shm")) == before


# ---- what else may be there ----


def test_what_is_no_memory(names):
    fifo, link, folder = names(), names(), names()
    os.mkfifo(f"/dev/shm{fifo}")
    os.symlink("/etc/hostname", f"/dev/shm{link}")
    os.mkdir(f"/dev/shm{folder}")
    try:
        for name in fifo, link, folder:
            for read_only in False, True:
                with pytest.raises(pyipc.IPCError, match=name):
                    posix.SharedMemory.open(name, read_only=read_only)
            with pytest.raises(pyipc.AlreadyExistsError):
                posix.SharedMemory.create(name, 10)
    finally:
        os.rmdir(f"/dev/shm{folder}")
        for name in fifo, link:
            Path(f"/dev/shm{name}").unlink()
