"""Memory of huge pages, of which the test configures a few; /proc/meminfo and hugetlbfs tell."""

from __future__ import annotations

import os
from fcntl import fcntl
from pathlib import Path

import pytest

import pyipc
from pyipc import fds
from pyipc.memory import Memory

MIB = 1 << 20
POOL = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
F_ADD_SEALS, SHRINK, WRITE = 1033, 2, 8


def pool(file):
    return int((POOL / file).read_text())


@pytest.fixture
def pages(huge_page_pool):
    """Three huge pages that nobody uses; the pool is as it was afterwards."""
    before = pool("nr_hugepages")
    try:
        (POOL / "nr_hugepages").write_text(str(before + 3))
    except OSError:
        pytest.skip("only root can configure huge pages")
    try:
        if pool("nr_hugepages") < before + 3:
            pytest.skip("the machine's memory is too much in pieces for three huge pages")
        yield pool("free_hugepages")
    finally:
        (POOL / "nr_hugepages").write_text(str(before))


@pytest.fixture
def none_free(huge_page_pool):
    if pool("free_hugepages") - pool("resv_hugepages") or pool("nr_overcommit_hugepages"):
        pytest.skip("there are huge pages to be had")


def test_it_is_made_of_whole_huge_pages_that_are_there(pages):
    with Memory(2 * MIB + 1, huge_pages="2M") as memory:
        assert memory.size == os.fstat(memory.fileno()).st_size == 4 * MIB
        assert os.fstatvfs(memory.fileno()).f_bsize == 2 * MIB
        assert pool("free_hugepages") == pages - 2
        memory.write(b"huge", 4 * MIB - 4)
        assert memory.read(4, 4 * MIB - 4) == bytes(memory.buf[-4:]) == b"huge"
        with pytest.raises(PermissionError):
            os.ftruncate(memory.fileno(), 2 * MIB)
    assert pool("free_hugepages") == pages


def test_it_grows_by_whole_huge_pages(pages):
    with Memory(1, huge_pages="2M") as memory:
        view = memory.buf
        memory.write(b"first")
        memory.grow(2 * MIB + 1)
        assert memory.size == 4 * MIB
        assert pool("free_hugepages") == pages - 2
        assert (bytes(view[:5]), memory.read(5, 2 * MIB)) == (b"first", bytes(5))
        memory.grow(1)
        assert memory.size == 4 * MIB


def test_too_few_of_them_is_a_limit_that_is_named_and_nothing_is_left(pages):
    with Memory(2 * MIB, huge_pages="2M") as memory:
        for use in (
            lambda: Memory((pages + 1) * 2 * MIB, huge_pages="2M"),
            lambda: memory.grow((pages + 2) * 2 * MIB),
        ):
            with pytest.raises(pyipc.LimitError, match="2M huge pages") as caught:
                use()
            assert caught.value.path == f"{POOL}/nr_hugepages"
            assert caught.value.limit == "2M huge pages"
        memory.write(b"alive")
        assert memory.read(5) == b"alive"
    assert pool("free_hugepages") == pages


def test_without_any_it_is_the_same(none_free):
    with pytest.raises(pyipc.LimitError, match="2M huge pages") as caught:
        Memory(1, huge_pages="2M")
    assert caught.value.path == f"{POOL}/nr_hugepages"


@pytest.mark.parametrize("size", ["4K", "2m", 2 << 20, True, ""])
def test_other_sizes_are_value_errors(size):
    with pytest.raises(ValueError, match="huge_pages"):
        Memory(1, huge_pages=size)


def test_unreserved_huge_pages_are_refused():
    with pytest.raises(ValueError, match="not reserved"):
        Memory(1, huge_pages="2M", reserve=False)


def test_it_can_be_sealed_and_frozen(pages):
    with Memory(1, huge_pages="2M") as memory:
        memory.write(b"fixed")
        memory.seal()
        with pytest.raises(pyipc.AccessError):
            memory.grow(2 * MIB + 1)
        memory.freeze()
        assert (memory.frozen, memory.read_only, memory.read(5)) == (True, True, b"fixed")


def foreign(seals):
    number = os.memfd_create("foreign", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | os.MFD_HUGETLB)
    os.ftruncate(number, 2 * MIB)
    fcntl(number, F_ADD_SEALS, seals)
    return number


def test_from_elsewhere_it_must_be_sealed_against_writing_or_trusted(pages):
    number = foreign(SHRINK)
    with pytest.raises(pyipc.AccessError, match="huge"):
        Memory.from_fd(number)
    able_to_shrink = foreign(WRITE)
    with pytest.raises(pyipc.AccessError, match="huge"):
        Memory.from_fd(able_to_shrink)
    os.close(able_to_shrink)
    with Memory.from_fd(number, trust=True) as memory:
        memory.write(b"trusted")
        assert (memory.size, memory.read(7)) == (2 * MIB, b"trusted")
    with Memory.from_fd(foreign(SHRINK | WRITE)) as memory:
        assert (memory.frozen, memory.read(7)) == (True, bytes(7))


def test_our_own_goes_to_others_once_it_is_frozen_or_trusted(pages):
    ours, theirs = fds.socketpair()
    with ours, theirs, Memory(1, huge_pages="2M") as memory:
        memory.write(b"passed on")
        fds.send(ours, b"x", [memory])
        with fds.receive(theirs) as message:
            with pytest.raises(pyipc.AccessError):
                Memory.from_fd(message.fds[0])
            with Memory.from_fd(message.fds[0], trust=True) as twin:
                assert twin.read(9) == b"passed on"
        memory.freeze()
        fds.send(ours, b"x", [memory])
        with fds.receive(theirs) as message, Memory.from_fd(message.fds[0]) as twin:
            assert twin.read(9) == b"passed on"


def test_a_duplicate_of_our_own_is_ours(pages):
    with Memory(1, huge_pages="2M") as memory, memory.dup() as twin:
        memory.write(b"twice")
        assert (twin.size, twin.read(5)) == (2 * MIB, b"twice")
    assert pool("free_hugepages") == pages


def test_what_came_grows_by_whole_huge_pages_too(pages):
    with Memory.from_fd(foreign(SHRINK), trust=True) as memory:
        memory.grow(2 * MIB + 1)
        assert memory.size == 4 * MIB
        with pytest.raises(pyipc.LimitError, match="huge pages"):
            memory.grow((pages + 2) * 2 * MIB)
        assert memory.read(4, 4 * MIB - 4) == bytes(4)
