"""Memory by itself: what it is made of, how it grows and is sealed; fstat(2), fcntl(2) and /proc tell."""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import stat
import sys
from fcntl import F_GETFD, FD_CLOEXEC, fcntl

import numpy
import pytest

import pyipc
from pyipc import fds
from pyipc.memory import Memory, memfd

PAGE = mmap.PAGESIZE
F_ADD_SEALS, F_GET_SEALS = 1033, 1034
SEAL_SEAL, SEAL_SHRINK, SEAL_GROW, SEAL_WRITE, SEAL_EXEC = 1, 2, 4, 8, 32
MFD_NOEXEC_SEAL = 8


def seals(memory):
    return fcntl(memory.fileno(), F_GET_SEALS)


def present(memory):
    """Bytes of it that are there (st_blocks)."""
    return os.fstat(memory.fileno()).st_blocks * 512


def mappings(inode):
    with open("/proc/self/maps") as lines:
        return [line for line in lines if line.split()[4] == str(inode)]


def descriptors(inode):
    """Ours that lead to this file."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that listed them
            if os.stat(f"/proc/self/fd/{name}").st_ino == inode:
                found.add(int(name))
    return found


def inode(memory):
    return os.fstat(memory.fileno()).st_ino


@pytest.fixture
def memory():
    with Memory(100_000) as made:
        yield made


# ---- creation ----


def test_new_memory_has_its_size_and_is_all_zero(memory):
    assert memory.size == os.fstat(memory.fileno()).st_size == 100_000
    assert memory.read() == bytes(100_000)
    assert (memory.read_only, memory.sealed, memory.frozen, memory.closed) == (False, False, False, False)
    assert repr(memory) == "<memory of 100000 bytes>"


def test_it_has_no_name_and_is_close_on_exec(memory):
    facts = os.fstat(memory.fileno())
    assert stat.S_ISREG(facts.st_mode)
    assert facts.st_nlink == 0
    assert os.readlink(f"/proc/self/fd/{memory.fileno()}") == "/memfd:pyipc (deleted)"
    assert fcntl(memory.fileno(), F_GETFD) & FD_CLOEXEC


@pytest.mark.parametrize("size", [1, 7, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_any_size_can_be_had_to_the_byte(size):
    with Memory(size) as memory:
        memory.write(b"z", size - 1)
        assert (memory.size, len(memory.buf), memory.read(1, size - 1)) == (size, size, b"z")
        with pytest.raises(ValueError, match=str(size)):
            memory.write(b"z", size)


@pytest.mark.parametrize("size", [0, -1, 2**62, 2**63, 2**64, -(2**70)])
def test_a_size_out_of_range_is_a_value_error(memory, size):
    for use in (Memory, memory.grow):
        with pytest.raises(ValueError, match=str(size)):
            use(size)


@pytest.mark.parametrize("size", ["100", 100.0, None, b"1"])
def test_a_size_that_is_no_number_is_a_type_error(memory, size):
    for use in (Memory, memory.grow):
        with pytest.raises(TypeError, match="size is an int"):
            use(size)


def test_what_is_written_is_read_by_every_way_there_is(memory):
    memory.write(b"by write", 10)
    memory.buf[20:27] = b"by view"
    memory.array("u2", (3, 2), 40)[1] = 0x4241, 0x4443
    os.pwrite(memory.fileno(), b"by pwrite", 60)
    assert memory.read(8, 10) == bytes(memory.buf[10:18]) == os.pread(memory.fileno(), 8, 10) == b"by write"
    assert memory.read(7, 20) == bytes(memory.array("u1")[20:27]) == b"by view"
    assert memory.read(4, 44) == b"ABCD"
    assert bytes(memory.buf[60:69]) == b"by pwrite"


@pytest.mark.parametrize("size", [1, 65536, 65537, 99_990])
@pytest.mark.parametrize("make", [bytes, bytearray, memoryview], ids=lambda kind: kind.__name__)
def test_small_and_large_pieces_arrive_whole(memory, size, make):
    data = bytes(range(251)) * 400
    memory.write(make(data[:size]), 10)
    assert memory.read(size, 10) == data[:size]
    assert memory.read(10) == bytes(10)
    assert memory.read(offset=size + 10) == bytes(100_000 - size - 10)


# ---- what it is sealed against ----


def test_it_cannot_shrink_from_birth(memory):
    assert seals(memory) & ~SEAL_EXEC == SEAL_SHRINK
    with pytest.raises(PermissionError):
        os.ftruncate(memory.fileno(), 99_999)
    with pytest.raises(PermissionError):
        os.truncate(f"/proc/self/fd/{memory.fileno()}", 0)
    assert os.fstat(memory.fileno()).st_size == 100_000


def test_it_can_never_be_executed_where_the_kernel_knows_that(memory):
    try:
        os.close(os.memfd_create("probe", MFD_NOEXEC_SEAL))
    except (OSError, AttributeError):
        pytest.skip("this kernel knows no memory that is sealed against execution (Linux 6.3)")
    assert seals(memory) & SEAL_EXEC
    with pytest.raises(PermissionError):
        os.fchmod(memory.fileno(), 0o700)


# ---- pages and descriptors ----


def test_its_pages_are_there_from_the_start():
    with Memory(100 * PAGE + 1) as memory:
        assert present(memory) == 101 * PAGE


def test_what_is_not_reserved_comes_when_it_is_touched():
    with Memory(100 * PAGE, reserve=False) as memory:
        assert present(memory) == 0
        memory.write(b"x", 50 * PAGE)
        assert 0 < present(memory) < 100 * PAGE
        assert memory.read(2, 50 * PAGE - 1) == b"\0x"


def test_a_huge_promise_costs_nothing(monkeypatch):
    monkeypatch.setattr(memfd.ops, "memory_reserve", None)  # which would end the machine
    with Memory(1 << 45, reserve=False) as memory:
        memory.write(b"far away", (1 << 45) - 8)
        assert memory.read(8, (1 << 45) - 8) == b"far away"
        assert present(memory) < 1 << 30


def test_one_memory_is_one_descriptor_and_one_mapping():
    if pyipc.backend() == "fallback" and sys.version_info < (3, 13):
        pytest.skip("the standard library's mmap keeps a descriptor of its own (before Python 3.13)")
    with Memory(PAGE) as memory:
        assert descriptors(inode(memory)) == {memory.fileno()}
        assert len(mappings(inode(memory))) == 1


def test_a_closed_memory_refuses_everything(memory, watch):
    watched = watch(memory)
    memory.close()
    memory.close()
    assert memory.closed
    assert watched.gone()
    for use in (
        lambda: memory.read(1),
        lambda: memory.read(),
        lambda: memory.write(b"x"),
        lambda: memory.write(bytearray(70_000)),
        lambda: memory.buf,
        lambda: memory.array("u1"),
        lambda: memory.grow(200_000),
        memory.seal,
        memory.freeze,
        lambda: memory.sealed,
        lambda: memory.frozen,
        memory.fileno,
        memory.detach,
        memory.dup,
    ):
        with pytest.raises(pyipc.ClosedError):
            use()
    assert repr(memory) == "<memory of 100000 bytes, closed>"


def test_a_detached_memory_lives_on_under_its_number(memory, watch):
    watched = watch(memory)
    memory.write(b"still here")
    with fds.Handle(memory.detach()) as handle:
        memory.close()
        assert not watched.gone()
        assert os.pread(handle.fileno(), 10, 0) == b"still here"
    assert watched.gone()


@pytest.mark.parametrize("how", ["detached", "taken over"])
def test_what_gave_its_descriptor_up_is_closed(memory, how):
    with fds.Handle(memory.detach() if how == "detached" else memory):
        assert memory.closed
        for use in (
            lambda: memory.grow(200_000),
            lambda: memory.read(1),
            lambda: memory.read(),
            lambda: memory.write(b"x"),
            lambda: memory.write(bytearray(1)),
            lambda: memory.buf,
        ):
            with pytest.raises(pyipc.ClosedError):
                use()


def test_a_duplicate_is_the_same_memory_by_another_descriptor(memory):
    with memory.dup() as twin:
        assert twin.fileno() != memory.fileno()
        assert inode(twin) == inode(memory)
        assert (twin.size, twin.read_only) == (100_000, False)
        memory.write(b"to the twin")
        assert twin.read(11) == b"to the twin"
        memory.close()
        twin.write(b"TO")
        assert bytes(twin.buf[:11]) == b"TO the twin"


def test_a_duplicate_of_what_is_read_only_is_read_only(memory):
    number = os.dup(memory.fileno())
    with Memory.from_fd(number, read_only=True) as reader, reader.dup() as twin:
        assert twin.read_only
        with pytest.raises(pyipc.AccessError):
            twin.write(b"x")


def test_a_duplicate_grows_as_its_original_does():
    with Memory(10 * PAGE, reserve=False) as memory, memory.dup() as twin:
        twin.grow(50 * PAGE)
        assert present(twin) == 0


def test_memory_dropped_open_complains_and_goes(watch):
    memory = Memory(PAGE)
    watched = watch(memory)
    kept = [memory]
    del memory
    with pytest.warns(ResourceWarning, match="memory of"):
        kept.clear()
    gc.collect()
    assert watched.gone()


# ---- growing ----


def test_what_grows_keeps_its_bytes_and_the_new_ones_are_zero(memory):
    memory.write(b"x" * 100_000)
    memory.grow(300_000)
    assert memory.size == os.fstat(memory.fileno()).st_size == 300_000
    assert memory.read() == b"x" * 100_000 + bytes(200_000)
    memory.write(b"the end", 299_993)
    assert bytes(memory.buf[-7:]) == b"the end"
    assert memory.array("u1").shape == (300_000,)


def test_growing_makes_the_new_pages_present():
    with Memory(10 * PAGE) as memory:
        memory.grow(50 * PAGE + 1)
        assert present(memory) == 51 * PAGE
    with Memory(10 * PAGE, reserve=False) as memory:
        memory.grow(50 * PAGE)
        assert present(memory) == 0


def test_growing_to_less_changes_nothing(memory):
    memory.write(b"kept", 99_996)
    for size in (1, 99_999, 100_000):
        memory.grow(size)
        assert memory.size == os.fstat(memory.fileno()).st_size == 100_000
    assert memory.read(4, 99_996) == b"kept"


def test_views_of_before_stay_as_they_are_and_show_the_same_memory(memory):
    view, array = memory.buf, memory.array("u1")
    memory.grow(200_000)
    assert (len(view), array.shape) == (100_000, (100_000,))
    memory.write(b"new")
    assert bytes(view[:3]) == bytes(array[:3]) == b"new"
    view[99_999] = 7
    assert memory.read(2, 99_999) == b"\7\0"


def test_the_mapping_of_before_goes_with_its_last_view(memory):
    number = inode(memory)
    view = memory.buf
    memory.grow(200_000)
    assert len(mappings(number)) == 2
    del view
    assert len(mappings(number)) == 1


def grow_too(say, hear, end):
    from pyipc import fds
    from pyipc.memory import Memory

    with fds.receive(end) as message, Memory.from_fd(message.fds[0]) as memory:
        view = memory.buf
        say(memory.size)
        assert hear() == "it has grown"
        say(memory.size)  # until it says so itself
        memory.grow(1)
        say((memory.size, len(view), memory.read(4, 299_996)))
        memory.write(b"seen there", 200_000)
        memory.grow(400_000)
        say(memory.size)
        hear()


def test_another_process_sees_the_growth_when_it_asks_for_it(partner, memory):
    other, sock = partner(grow_too)
    fds.send(sock, b"it", [memory])
    assert other.hear() == 100_000
    memory.grow(300_000)
    memory.write(b"last", 299_996)
    other.say("it has grown")
    assert other.hear() == 100_000
    assert other.hear() == (300_000, 100_000, b"last")
    assert other.hear() == 400_000
    assert (memory.size, memory.read(10, 200_000)) == (300_000, b"seen there")
    memory.grow(300_000)
    assert memory.size == 400_000
    other.say()
    assert other.end() == 0


# ---- sealing ----


def test_what_is_sealed_grows_no_more(memory):
    memory.seal()
    memory.seal()
    assert memory.sealed
    assert not memory.frozen
    assert seals(memory) & SEAL_GROW
    with pytest.raises(pyipc.AccessError, match="sealed"):
        memory.grow(100_001)
    with pytest.raises(PermissionError):
        os.ftruncate(memory.fileno(), 100_001)
    memory.grow(100_000)
    memory.write(b"still written to")
    assert memory.read(5) == b"still"


def test_what_somebody_else_sealed_for_good_is_not_sealed_further(memory):
    fcntl(memory.fileno(), F_ADD_SEALS, SEAL_SEAL)
    for use in (memory.seal, memory.freeze):
        with pytest.raises(pyipc.AccessError):
            use()
    memory.write(b"and works")
    assert memory.read(9) == b"and works"
    assert not memory.sealed


class Named(Memory):
    __slots__ = ()


def test_a_copy_is_of_the_same_kind():
    with Named(100) as memory, memory.dup() as twin:
        assert type(twin) is Named


def test_what_pads_too_far_is_refused_before_it_is_made():
    with Memory(100) as memory:
        for far in 101, 1 << 40, 1 << 70:
            with pytest.raises(ValueError, match="do not lie within"):
                memory.write(b"a", pad_to=far)


def test_a_length_may_be_a_number_of_numpys():
    with Memory(100) as memory:
        assert memory.array("u1", numpy.int64(3)).shape == (3,)
