"""Memory behind a descriptor, and mapping it; the kernel says how large, how sealed and where mapped."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import os
import resource
import socket
from errno import EACCES, EBADF, EBUSY, EINVAL, EMFILE, ENODEV, ENOMEM, EPERM
from fcntl import F_GETFD, FD_CLOEXEC, fcntl
from pathlib import Path

import pytest

from pyipc._backend import load

PAGE = mmap.PAGESIZE
MIB = 1 << 20
F_GET_SEALS = 1034
F_SEAL_EXEC = 32  # comes with memory that is never to be executed, since Linux 6.3
F_SEALS = {"SEAL_SEAL": 1, "SEAL_SHRINK": 2, "SEAL_GROW": 4, "SEAL_WRITE": 8, "SEAL_FUTURE_WRITE": 16}


def owners(backend):
    """A type of owners, as the chapters have them."""

    class Owner(backend.Descriptor):
        __slots__ = ()

    return Owner


@pytest.fixture
def new():
    """Make an owner that owns nothing yet; what it owns in the end is closed."""
    made = []

    def make(backend):
        kind = owners(backend)
        made.append(kind.__new__(kind))
        return made[-1]

    yield make
    for owner in made:
        owner._close()


@pytest.fixture
def create(new):
    """Make memory; its number."""

    def make(backend, size=PAGE):
        owner = new(backend)
        assert backend.memory_create(owner, size, 0) == 0
        return owner.fileno()

    return make


@pytest.fixture
def reopen():
    """The same memory by a descriptor of another mode."""
    kept = []

    def make(number, flags=os.O_RDONLY):
        kept.append(os.open(f"/proc/self/fd/{number}", flags))
        return kept[-1]

    yield make
    for number in kept:
        os.close(number)


def size_of(number):
    return os.fstat(number).st_size


def present(number):
    """How many bytes of pages it has."""
    return os.fstat(number).st_blocks * 512


def seals_of(number):
    return fcntl(number, F_GET_SEALS) & ~F_SEAL_EXEC


def mappings(number):
    """How many there are of it in this process, and the rights of each."""
    inode = str(os.fstat(number).st_ino)
    lines = (line.split() for line in Path("/proc/self/maps").read_text().splitlines())
    return [line[1] for line in lines if line[4] == inode]


# ---- making it ----


@pytest.mark.parametrize("size", [0, 1, PAGE + 1, 1 << 40, 2**63 - 1])
def test_new_memory_is_as_large_as_asked_and_takes_none_yet(backend, create, size):
    number = create(backend, size)
    assert size_of(number) == size
    assert present(number) == 0
    assert os.readlink(f"/proc/self/fd/{number}") == "/memfd:pyipc (deleted)"
    assert fcntl(number, F_GETFD) & FD_CLOEXEC
    assert os.pread(number, 10, 0) == bytes(min(size, 10))
    assert backend.now_memory_stat(number)[0] == size


def test_new_memory_never_shrinks(backend, create):
    number = create(backend, PAGE)
    assert seals_of(number) == backend.SEAL_SHRINK
    with pytest.raises(PermissionError):
        os.ftruncate(number, PAGE - 1)
    os.ftruncate(number, PAGE + 1)


def test_new_memory_cannot_be_executed_where_the_kernel_knows_that(backend, create):
    number = create(backend)
    executable = os.fstat(number).st_mode & 0o111
    assert bool(executable) is not bool(fcntl(number, F_GET_SEALS) & F_SEAL_EXEC)


def test_what_no_file_can_be_is_refused(backend, new):
    owner = new(backend)
    assert backend.memory_create(owner, 2**63, 0) == -EINVAL
    assert owner._number == -1


def test_a_full_table_has_no_room_for_memory(backend, forked):
    def make():
        owner = owners(backend)()
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        with contextlib.suppress(OSError):
            while True:
                os.dup(0)
        return [backend.memory_create(owner, PAGE, 0), owner._number]

    assert forked(make)() == [-EMFILE, -1]


@pytest.mark.parametrize("kind", ["MEMORY_HUGE_2M", "MEMORY_HUGE_1G"])
def test_huge_pages_are_had_or_refused_alike(both, new, kind, huge_page_pool):
    """Whether there are any is only known once they are reserved."""
    seen = []
    for backend in map(load, ("native", "fallback")):
        owner = new(backend)
        result = backend.memory_create(owner, 2 * MIB, getattr(backend, kind))
        seen.append((result, owner._number >= 0))
        if result == 0:
            facts = backend.now_memory_stat(owner.fileno())
            huge = os.fstatvfs(owner.fileno()).f_bsize
            assert facts[2] == huge == {"MEMORY_HUGE_2M": 2 * MIB, "MEMORY_HUGE_1G": 1 << 30}[kind]
            assert facts[0] == size_of(owner.fileno())
    assert seen[0] == seen[1]
    assert seen[0][1] is (seen[0][0] == 0)


def test_huge_pages_that_are_not_there_cannot_be_mapped(backend, new, huge_page_pool):
    with open("/proc/meminfo") as lines:
        free = next(int(line.split()[1]) for line in lines if line.startswith("HugePages_Free"))
    if free:
        pytest.skip("there are huge pages here; this is about machines without")
    owner = new(backend)
    if backend.memory_create(owner, 2 * MIB, backend.MEMORY_HUGE_2M) < 0:
        pytest.skip("this kernel has no huge pages")
    assert backend.map_memory(owner.fileno(), 2 * MIB, backend.MAP_WRITABLE) == -ENOMEM


# ---- its size and its pages ----


@pytest.mark.parametrize("size", [1, PAGE, 5 * PAGE + 1])
def test_pages_that_are_reserved_are_present(backend, create, size):
    number = create(backend, 10 * PAGE)
    assert backend.memory_reserve(number, 0, size) == size
    assert present(number) == -(-size // PAGE) * PAGE
    assert size_of(number) == 10 * PAGE


def test_pages_behind_the_end_are_reserved_and_given_back(backend, create):
    number = create(backend, 2 * PAGE)
    assert backend.memory_reserve(number, PAGE, 3 * PAGE) == 3 * PAGE
    assert present(number) == 3 * PAGE
    if backend.NAME == "fallback":  # posix_fallocate(3) lets the file grow
        assert size_of(number) == 4 * PAGE
        return
    assert size_of(number) == 2 * PAGE
    assert backend.memory_grow(number, 2 * PAGE) == 0
    assert (size_of(number), present(number)) == (2 * PAGE, PAGE)


def test_much_is_reserved_piece_by_piece(backend, create):
    number, size, done = create(backend, 64 * MIB + PAGE), 64 * MIB + PAGE, []
    while sum(done) < size:
        done.append(backend.memory_reserve(number, sum(done), size - sum(done)))
        assert present(number) == sum(done)
    assert done == [64 * MIB, PAGE]


def test_reserving_leaves_the_bytes_as_they_are(pair, create):
    maker, other = pair
    number = create(maker, 2 * PAGE)
    os.pwrite(number, b"here", PAGE)
    assert other.memory_reserve(number, 0, 2 * PAGE) == 2 * PAGE
    assert os.pread(number, 4, PAGE) == b"here"


def test_what_cannot_be_reserved_is_refused_alike(both, create, reopen):
    def answers(backend):
        number = create(backend)
        reading, writing = os.pipe()
        refused = [
            backend.memory_reserve(number, 0, 0),
            backend.memory_reserve(number, 2**63, 1),
            backend.memory_reserve(number, 2**63 - 1, 1),
            backend.memory_reserve(reopen(number), 0, 1),
            backend.memory_reserve(writing, 0, 1),
            backend.memory_reserve(-1, 0, 1),
            backend.memory_reserve(1 << 20, 0, 1),
        ]
        assert backend.memory_seal(number, backend.SEAL_GROW) == 0
        refused.append(backend.memory_reserve(number, PAGE, 1))
        os.close(reading)
        os.close(writing)
        assert (size_of(number), present(number)) == (PAGE, 0)
        return refused

    native, fallback = (answers(load(name)) for name in ("native", "fallback"))
    assert native == fallback
    assert native[0] == native[1] == -EINVAL
    assert native[5:] == [-EBADF, -EBADF, -EPERM]
    assert max(native) < 0


def test_memory_grows_and_is_never_less_than_before(pair, create):
    maker, other = pair
    number = create(maker, PAGE)
    assert other.memory_grow(number, 3 * PAGE) == 0
    assert size_of(number) == 3 * PAGE
    for smaller in 3 * PAGE, PAGE, 0:
        assert maker.memory_grow(number, smaller) == 0
        assert size_of(number) == 3 * PAGE
    assert present(number) == 0


def test_what_may_shrink_is_not_shrunk_either(backend, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("r+b") as file:
        for size in 0, 6, 7:
            assert backend.memory_grow(file.fileno(), size) == 0
            assert path.read_bytes() == b"content"
        assert backend.memory_grow(file.fileno(), 9) == 0
    assert path.read_bytes() == b"content\0\0"


def test_what_cannot_grow_says_why(backend, create, reopen):
    number = create(backend, PAGE)
    assert backend.memory_grow(number, 2**63) == -EINVAL
    assert backend.memory_grow(reopen(number), 2 * PAGE) == -EINVAL
    assert backend.memory_grow(-1, 2 * PAGE) == backend.memory_grow(1 << 20, 2 * PAGE) == -EBADF
    assert backend.memory_seal(number, backend.SEAL_GROW) == 0
    assert backend.memory_grow(number, PAGE + 1) == -EPERM
    assert backend.memory_grow(number, PAGE) == 0
    assert size_of(number) == PAGE


# ---- what it is ----


def test_memory_of_one_is_seen_alike_by_the_other(pair, create, reopen):
    maker, other = pair
    number = create(maker, 5)
    seals = fcntl(number, F_GET_SEALS)
    assert other.now_memory_stat(number) == (5, seals, 0, False)
    assert other.now_memory_stat(reopen(number)) == (5, seals, 0, True)
    assert other.now_memory_stat(reopen(number, os.O_RDWR)) == (5, seals, 0, False)


@pytest.mark.parametrize("place", ["here", "/dev/shm"])
def test_a_file_is_memory_too(both, tmp_path, place):
    """On a file system for memory it has a seal, against sealing; elsewhere none. Neither is huge."""
    folder = tmp_path if place == "here" else Path(place)
    if not folder.is_dir():
        pytest.skip(f"there is no {place}")
    path = folder / f"pyipc-{os.getpid()}"
    path.write_bytes(b"content")
    try:
        with open(path, "rb") as file:
            number = file.fileno()
            try:
                seals = fcntl(number, F_GET_SEALS)
            except OSError:
                seals = 0
            for backend in map(load, ("native", "fallback")):
                assert backend.now_memory_stat(number) == (7, seals, 0, True)
                assert backend.memory_seal(number, backend.SEAL_WRITE) in (-EINVAL, -EPERM)
    finally:
        path.unlink()


def test_what_has_no_size_is_no_memory(backend, tmp_path):
    reading, writing = os.pipe()
    ours, theirs = socket.socketpair()
    others = [os.open(path, os.O_RDONLY) for path in ("/dev/zero", "/dev/null", tmp_path)]
    for number in (reading, ours.fileno(), *others):
        assert backend.now_memory_stat(number) == -ENODEV
    for number in reading, writing, *others:
        os.close(number)
    ours.close()
    theirs.close()
    assert backend.now_memory_stat(reading) == backend.now_memory_stat(-1) == -EBADF


# ---- seals ----


@pytest.mark.parametrize("name", F_SEALS)
def test_each_seal_is_the_kernels_and_stays(pair, create, name):
    maker, other = pair
    number = create(maker)
    seal = getattr(other, name)
    assert seal == F_SEALS[name] == getattr(maker, name)
    assert other.memory_seal(number, seal) == 0
    assert seals_of(number) == maker.SEAL_SHRINK | seal
    assert maker.now_memory_stat(number)[1] == fcntl(number, F_GET_SEALS)


def test_what_is_sealed_is_refused(backend, create, reopen):
    number = create(backend)
    assert backend.memory_seal(number, backend.SEAL_WRITE | backend.SEAL_SEAL) == 0
    assert backend.memory_seal(number, backend.SEAL_GROW) == -EPERM
    with pytest.raises(PermissionError):
        os.pwrite(number, b"x", 0)
    assert backend.map_memory(number, PAGE, backend.MAP_WRITABLE) == -EPERM
    assert not mappings(number)


def test_what_cannot_be_sealed_says_why(backend, create, reopen):
    number = create(backend)
    assert backend.memory_seal(reopen(number), backend.SEAL_GROW) == -EPERM
    assert backend.memory_seal(number, 1 << 20) == -EINVAL
    assert backend.memory_seal(-1, backend.SEAL_GROW) == backend.memory_seal(1 << 20, 1) == -EBADF
    reading, writing = os.pipe()
    assert backend.memory_seal(writing, backend.SEAL_GROW) == -EINVAL
    os.close(reading)
    os.close(writing)
    assert seals_of(number) == backend.SEAL_SHRINK


def test_memory_that_is_written_to_is_not_sealed_against_it(pair, create):
    maker, sealer = pair
    number = create(maker)
    mapped = maker.map_memory(number, PAGE, maker.MAP_WRITABLE)
    assert sealer.memory_seal(number, sealer.SEAL_WRITE) == -EBUSY
    assert seals_of(number) == maker.SEAL_SHRINK
    assert sealer.memory_seal(number, sealer.SEAL_FUTURE_WRITE) == 0
    maker.copy_in(mapped[1], 0, b"still")
    assert sealer.map_memory(number, PAGE, sealer.MAP_WRITABLE) == -EPERM
    del mapped
    assert sealer.memory_seal(number, sealer.SEAL_WRITE) == 0
    attachment, memory = sealer.map_memory(number, PAGE, sealer.MAP_PRIVATE)
    assert sealer.copy_out(memory, 0, 5) == b"still"
    del attachment, memory


# ---- mapping it ----


def test_what_one_has_made_and_sent_the_other_maps(pair, create):
    maker, mapper = pair
    number = create(maker, 3 * PAGE)
    _ours, here = maker.map_memory(number, 3 * PAGE, maker.MAP_WRITABLE)
    one, other = socket.socketpair()
    assert maker.now_send(one.fileno(), b"x", [number], None, None) == 1
    (handle,) = mapper.now_receive(other.fileno(), 10, owners(mapper))[2]
    one.close()
    other.close()
    assert mapper.now_memory_stat(handle.fileno()) == maker.now_memory_stat(number)
    _theirs, there = mapper.map_memory(handle.fileno(), 3 * PAGE, mapper.MAP_WRITABLE)
    maker.copy_in(here, PAGE - 2, b"there")
    assert mapper.copy_out(there, PAGE - 3, 7) == b"\0there\0"
    mapper.view(there)[2 * PAGE : 2 * PAGE + 4] = b"back"
    assert maker.copy_out(here, 2 * PAGE, 5) == b"back\0"
    assert mappings(number) == ["rw-s"] * 2
    assert handle._close() == 0


def test_another_process_sees_what_is_written(pair, create, forked):
    maker, other = pair
    number = create(maker)
    _ours, here = maker.map_memory(number, PAGE, maker.MAP_WRITABLE)

    def answer():
        _theirs, there = other.map_memory(number, PAGE, other.MAP_WRITABLE)
        seen = other.copy_out(there, 0, 5)
        other.copy_in(there, 0, b"reply")
        return seen

    maker.copy_in(here, 0, b"quest")
    assert forked(answer)() == b"quest"
    assert maker.copy_out(here, 0, 5) == b"reply"


def test_memory_stays_mapped_until_its_last_view_dies_whether_or_not_it_is_open(backend, new):
    owner = new(backend)
    assert backend.memory_create(owner, PAGE, 0) == 0
    looking = os.dup(owner.fileno())
    attachment, memory = backend.map_memory(owner.fileno(), PAGE, backend.MAP_WRITABLE)
    assert owner._close() == 0
    view = backend.view(memory)
    assert (len(view), view.readonly, view.format) == (PAGE, False, "B")
    backend.copy_in(memory, 0, b"abc")
    del attachment, memory
    gc.collect()
    assert mappings(looking) == ["rw-s"]
    part = view[1:3]
    view.release()
    assert bytes(part) == b"bc"
    part[0] = ord("x")
    assert bytes(part) == b"xc"
    del view, part
    assert mappings(looking) == []
    assert os.pread(looking, 3, 0) == b"axc"
    os.close(looking)


class Late:
    """Garbage that looks at its view when it is collected."""

    def __init__(self, view, seen):
        self.view, self.seen, self.itself = view, seen, self

    def __del__(self):
        self.seen.append(bytes(self.view[:3]))


def test_garbage_may_look_at_its_view_to_the_end(backend, create):
    number, seen = create(backend), []
    attachment, memory = backend.map_memory(number, PAGE, backend.MAP_WRITABLE)
    backend.copy_in(memory, 0, b"abc")
    late = Late(backend.view(memory), seen)
    late.attachment, late.memory = attachment, memory
    del attachment, memory, late
    gc.collect()
    assert seen == [b"abc"]
    gc.collect()
    assert mappings(number) == []


def test_read_only_memory_is_read_and_looked_at_and_never_written(pair, create, reopen):
    maker, reader = pair
    number = create(maker)
    os.pwrite(number, b"read", 0)
    _attachment, memory = reader.map_memory(reopen(number), PAGE, 0)
    assert mappings(number) == ["r--s"]
    assert reader.copy_out(memory, 0, 5) == b"read\0"
    view = reader.view(memory)
    if not isinstance(view, int):  # where memory that is read-only can be looked at
        assert view.readonly
        with pytest.raises(TypeError):
            view[0] = 0
        with pytest.raises(TypeError):
            ctypes.c_char.from_buffer(view)
    with pytest.raises(TypeError):
        reader.copy_in(memory, 0, b"x")
    os.pwrite(number, b"more", 0)
    assert reader.copy_out(memory, 0, 4) == b"more"


def test_what_is_written_to_a_private_mapping_nobody_else_sees(pair, create):
    maker, other = pair
    number = create(maker)
    os.pwrite(number, b"shared", 0)
    _attachment, memory = other.map_memory(number, PAGE, other.MAP_WRITABLE | other.MAP_PRIVATE)
    assert mappings(number) == ["rw-p"]
    assert other.copy_out(memory, 0, 6) == b"shared"
    other.copy_in(memory, 0, b"mine")
    assert other.copy_out(memory, 0, 6) == b"mineed"
    assert os.pread(number, 6, 0) == b"shared"


def test_as_much_is_mapped_as_was_asked_for(backend, create):
    number = create(backend, 10 * PAGE)
    for size in 1, PAGE, 10 * PAGE:
        _attachment, memory = backend.map_memory(number, size, backend.MAP_WRITABLE)
        assert len(backend.view(memory)) == size


def test_large_copies_are_exact_and_may_overlap(backend, create):
    data = os.urandom(300_000)
    _attachment, memory = backend.map_memory(create(backend, 400_000), 400_000, backend.MAP_WRITABLE)
    backend.copy_in(memory, 7, data)
    assert backend.copy_out(memory, 7, len(data)) == data
    backend.copy_in(memory, 1007, backend.view(memory)[7 : 7 + len(data)])
    assert backend.copy_out(memory, 1007, len(data)) == data
    backend.copy_in(memory, 0, memoryview(data)[5:])
    assert backend.copy_out(memory, 0, len(data) - 5) == data[5:]
    assert backend.copy_out(memory, 0, 0) == b""


def test_nothing_of_no_bytes_is_mapped(backend, create):
    number = create(backend)
    assert backend.map_memory(number, 0, 0) == -EINVAL
    assert backend.map_memory(number, 0, backend.MAP_WRITABLE) == -EINVAL
    assert mappings(number) == []


def test_no_memory_comes_from_what_is_not_open(backend):
    for number in -1, 1 << 20:
        for flags in 0, backend.MAP_WRITABLE, backend.MAP_PRIVATE:
            assert backend.map_memory(number, PAGE, flags) == -EBADF


def test_what_is_past_the_end_is_mapped_or_refused(backend, create):
    """The kernel maps it, for what may come; Python's mmap does not."""
    mapped = backend.map_memory(create(backend, PAGE), 2 * PAGE, 0)
    assert mapped == -EINVAL or len(mapped[1]) == 2 * PAGE


def test_what_cannot_be_mapped_says_why(backend, create, reopen):
    reading, writing = os.pipe()
    assert backend.map_memory(reading, PAGE, 0) == -ENODEV
    os.close(reading)
    os.close(writing)
    number = create(backend)
    assert backend.map_memory(reopen(number), PAGE, backend.MAP_WRITABLE) == -EACCES
    assert backend.map_memory(reopen(number, os.O_WRONLY), PAGE, 0) == -EACCES
    assert mappings(number) == []


def test_more_than_there_is_room_for_is_not_mapped(backend, create, forked):
    number = create(backend, 8 << 30)

    def attempt():
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        return backend.map_memory(number, 8 << 30, backend.MAP_WRITABLE)

    assert forked(attempt)() == -ENOMEM


def test_a_full_table_does_not_hinder_mapping_where_it_needs_no_descriptor(backend, create, forked):
    number = create(backend)

    def attempt():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        with contextlib.suppress(OSError):
            while True:
                os.dup(0)
        mapped = backend.map_memory(number, PAGE, backend.MAP_WRITABLE)
        return mapped if isinstance(mapped, int) else len(mapped[1])

    # Before Python 3.13, mmap.mmap() keeps a descriptor of its own.
    assert forked(attempt)() in ([PAGE] if backend.NAME == "native" else [PAGE, -EMFILE])
