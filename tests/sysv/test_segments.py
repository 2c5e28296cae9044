from __future__ import annotations

import os
import pickle
import resource
import subprocess
from pathlib import Path

import numpy
import pytest

import pyipc
from pyipc import sysv

PAGE = os.sysconf("SC_PAGESIZE")
views = pytest.mark.needs("sysv.segment_views")


def row(id):
    """What the kernel itself lists of a segment."""
    with open("/proc/sysvipc/shm") as table:
        names = next(table).split()
        rows = [dict(zip(names, line.split())) for line in table]
    return next((row for row in rows if int(row["shmid"]) == id), None)


def write_into(say, hear, id):
    from pyipc import sysv

    with sysv.SharedMemory.attach(id) as segment:
        say(segment.read(5))
        segment.write(b"from the child", 100)
        say("written")


def test_two_processes_see_the_same_bytes(child):
    with sysv.SharedMemory.create(2000) as segment:
        segment.write(b"hello")
        other = child(write_into, segment.id)
        assert other.hear() == b"hello"
        assert other.hear() == "written"
        assert segment.read(14, 100) == b"from the child"
        assert other.end() == 0


def test_a_new_segment_is_all_zero():
    with sysv.SharedMemory.create(5000) as segment:
        assert segment.read() == bytes(5000)
        assert segment.size == 5000


def test_write_pads_with_nuls_and_read_keeps_them():
    with sysv.SharedMemory.create(100) as segment:
        segment.write(b"x" * 100)
        segment.write(b"Message #1", pad_to=60)
        assert segment.read(60) == b"Message #1".ljust(60, b"\0")
        assert segment.read(40, 60) == b"x" * 40


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        bytearray(b"a bytearray"),
        memoryview(b"a view"),
        memoryview(numpy.arange(12, dtype="u4").reshape(3, 4)),
        numpy.arange(5.0),
        b"",
        bytearray(),
    ],
)
def test_anything_bytes_like_can_be_written(data):
    with sysv.SharedMemory.create(100) as segment:
        segment.write(data, 3)
        raw = bytes(memoryview(data).cast("B")) if len(data) else b""
        assert segment.read(len(raw), 3) == raw


@pytest.mark.parametrize("data", ["text", 5, None, ["list"]])
def test_what_is_not_bytes_like_is_a_type_error(data):
    with sysv.SharedMemory.create(100) as segment, pytest.raises(TypeError):
        segment.write(data)


@pytest.mark.parametrize("size", [65535, 65536, 65537, 1_000_001])
def test_large_copies_are_exact(size):
    data = os.urandom(size)
    with sysv.SharedMemory.create(size + 7) as segment:
        segment.write(data, 3)
        assert segment.read(size, 3) == data
        segment.write(bytearray(data), 7)
        assert segment.read(offset=7) == data


@views
@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_writing_a_segment_into_itself_moves_the_bytes(size):
    data = os.urandom(size)
    with sysv.SharedMemory.create(size + 10) as segment:
        segment.write(data)
        segment.write(segment.buf[:size], 10)
        assert segment.read(size, 10) == data


@pytest.mark.parametrize(
    ("size", "offset"),
    [(11, 0), (1, 10), (0, 11), (-1, 0), (5, -1), (None, 11), (None, -1), (2**70, 0), (1, 2**70)],
)
def test_reading_outside_is_a_value_error(size, offset):
    with sysv.SharedMemory.create(10) as segment, pytest.raises(ValueError, match=f"id {segment.id}"):
        segment.read(size, offset)


@pytest.mark.parametrize(
    ("data", "offset", "pad_to"), [(b"x" * 11, 0, None), (b"x", 10, None), (b"x", -1, None)]
)
def test_writing_outside_is_a_value_error_and_writes_nothing(data, offset, pad_to):
    with sysv.SharedMemory.create(10) as segment:
        with pytest.raises(ValueError, match="lie within"):
            segment.write(data, offset, pad_to=pad_to)
        assert segment.read() == bytes(10)


def test_padding_must_hold_the_data_and_fit():
    with sysv.SharedMemory.create(10) as segment:
        with pytest.raises(ValueError, match="pad_to=2"):
            segment.write(b"abc", pad_to=2)
        with pytest.raises(ValueError, match="lie within"):
            segment.write(b"abc", pad_to=11)
        assert segment.read() == bytes(10)


def test_an_empty_read_at_the_end_is_empty():
    with sysv.SharedMemory.create(10) as segment:
        assert segment.read(0, 10) == b""
        assert segment.read(offset=10) == b""


@views
def test_buf_is_the_memory_itself():
    with sysv.SharedMemory.create(100) as segment:
        view = segment.buf
        assert (len(view), view.readonly, view.format) == (100, False, "B")
        view[3:6] = b"abc"
        assert segment.read(3, 3) == b"abc"


@views
def test_arrays_share_the_memory():
    with sysv.SharedMemory.create(2000) as segment:
        table = segment.array("u4", (10, 50))
        table[9, 49] = 0xDEADBEEF
        assert segment.read(4, 1996) == (0xDEADBEEF).to_bytes(4, "little")
        assert segment.array("u1").shape == (2000,)
        assert segment.array("f8", offset=1000).shape == (125,)
        assert segment.array("u2", 5, offset=2)[0] == 0


@views
def test_arrays_that_do_not_fit_are_value_errors():
    with sysv.SharedMemory.create(100) as segment:
        for arguments in (("u4", 26), ("u1", 1, 100), ("u1", None, 101), ("u1", None, -1), ("u4", (5, 6))):
            with pytest.raises(ValueError, match=f"id {segment.id}"):
                segment.array(*arguments)
        with pytest.raises(ValueError, match="references"):
            segment.array("O")


def test_stat_agrees_with_the_kernels_listing():
    with sysv.SharedMemory.create(4321, mode=0o640) as segment:
        stat, listed = segment.stat(), row(segment.id)
        assert stat.id == segment.id
        assert stat.key == 0
        assert stat.size == int(listed["size"]) == 4321
        assert stat.attach_count == int(listed["nattch"]) == 1
        assert stat.mode == 0o640
        assert stat.creator_pid == stat.last_pid == os.getpid()
        assert (stat.uid, stat.gid) == (stat.creator_uid, stat.creator_gid) == (os.geteuid(), os.getegid())
        assert stat.attach_time == int(listed["atime"]) > 0
        assert stat.change_time == int(listed["ctime"])
        assert stat.detach_time == int(listed["dtime"])
        assert stat.resident is None


def test_ipcs_sees_what_we_made(key):
    with sysv.SharedMemory.create(12345, key=key):
        listing = subprocess.run(["ipcs", "-m"], capture_output=True, text=True, check=True).stdout
        line = next(line for line in listing.splitlines() if line.startswith(f"{key:#010x}"))
        assert line.split()[3:5] == ["600", "12345"]


def test_a_key_leads_to_the_segment(key):
    with sysv.SharedMemory.create(100, key=key) as mine:
        mine.write(b"found")
        with sysv.SharedMemory.open(key) as found:
            assert (found.id, found.key, found.size) == (mine.id, key, 100)
            assert found.read(5) == b"found"
            assert mine.stat().attach_count == 2
        assert mine.stat().attach_count == 1


def test_a_taken_key_is_named(key):
    with sysv.SharedMemory.create(100, key=key):
        with pytest.raises(pyipc.AlreadyExistsError, match=f"key {key:#x}"):
            sysv.SharedMemory.create(100, key=key)
        with pytest.raises(FileExistsError):
            sysv.SharedMemory.create(100, key=key)


def test_a_key_that_nobody_has_is_named(key):
    with pytest.raises(pyipc.NotFoundError, match=f"segment with key {key:#x}"):
        sysv.SharedMemory.open(key)


def test_keys_may_be_written_signed_or_unsigned():
    unsigned = 0xF0000000 | int.from_bytes(os.urandom(3), "little")
    with sysv.SharedMemory.create(10, key=unsigned) as segment:
        assert segment.stat().key == unsigned - 2**32
        with sysv.SharedMemory.open(unsigned - 2**32) as found:
            assert found.id == segment.id


def test_open_or_create_makes_once_and_then_finds(key):
    with sysv.SharedMemory.open_or_create(key, 100) as first:
        assert not first.owner
        with sysv.SharedMemory.open_or_create(key, 50) as second:
            assert second.id == first.id
            assert second.size == 100
        with pytest.raises(pyipc.IPCError, match="less than 101 bytes"):
            sysv.SharedMemory.open_or_create(key, 101)
        first.remove()


def test_a_read_only_attachment_reads_and_refuses_the_rest(key):
    with sysv.SharedMemory.create(100_000, key=key) as writer:
        data = os.urandom(100_000)
        writer.write(data)
        with sysv.SharedMemory.open(key, read_only=True) as reader:
            assert reader.read_only
            assert reader.read(10, 5) == data[5:15]
            assert reader.read() == data
            for write in (lambda: reader.write(b"x"), lambda: reader.write(bytes(70_000))):
                with pytest.raises(pyipc.AccessError, match=f"read-only .*id {reader.id}"):
                    write()
            assert writer.read() == data


@pytest.mark.needs("sysv.read_only_views")
def test_a_view_of_a_read_only_attachment_cannot_be_written_at_any_depth(key):
    with sysv.SharedMemory.create(100, key=key) as writer:
        writer.write(b"fixed")
        with sysv.SharedMemory.open(key, read_only=True) as reader:
            view, array = reader.buf, reader.array("u1")
            assert view.readonly
            assert not array.flags.writeable
            for look in (view, memoryview(view.obj), view.cast("B"), memoryview(array)):
                with pytest.raises(TypeError, match="read-only"):
                    look[0] = 0
            with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
                array[0] = 0
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.flags.writeable = True
        writer.write(b"moved")
        assert bytes(view[:5]) == b"moved"
        assert bytes(array[:5]) == b"moved"


def test_where_views_cannot_be_read_only_there_are_none_of_read_only_memory(key):
    if pyipc.capabilities()["sysv.read_only_views"]:
        pytest.skip("here they can")
    with sysv.SharedMemory.create(100, key=key), sysv.SharedMemory.open(key, read_only=True) as reader:
        with pytest.raises(pyipc.UnsupportedError, match=f"read-only .*id {reader.id}"):
            _ = reader.buf
        with pytest.raises(pyipc.UnsupportedError, match=f"read-only .*id {reader.id}"):
            reader.array("u1")


def test_the_kernel_knows_that_an_attachment_is_read_only(key):
    with sysv.SharedMemory.create(PAGE, key=key), sysv.SharedMemory.open(key, read_only=True) as reader:
        start = f"{reader.address:x}-"
        line = next(x for x in Path("/proc/self/maps").read_text().splitlines() if x.startswith(start))
        assert line.split()[1] == "r--s"


def test_a_segment_can_be_mapped_at_an_address(key):
    with sysv.SharedMemory.create(PAGE, key=key) as segment:
        hole = sysv.SharedMemory.create(64 * PAGE)
        address = hole.address
        hole.close()  # nobody else maps here in between: this test has one thread
        with sysv.SharedMemory.open(key, address=address) as there:
            assert there.address == address
            there.write(b"at home")
        assert segment.read(7) == b"at home"


def test_an_address_in_use_or_off_a_page_is_refused(key):
    with sysv.SharedMemory.create(PAGE, key=key) as segment:
        for address in (segment.address, segment.address + 1):
            with pytest.raises(pyipc.IPCError, match=f"at {address:#x}"):
                sysv.SharedMemory.open(key, address=address)
        for address in (0, -PAGE, 2**63):
            with pytest.raises(ValueError, match="address"):
                sysv.SharedMemory.open(key, address=address)
        assert segment.read(1) == b"\0"


def test_detach_gives_up_the_mapping_and_keeps_the_handle(key):
    with sysv.SharedMemory.create(100, key=key) as segment:
        segment.write(b"kept")
        segment.detach()
        assert int(row(segment.id)["nattch"]) == 0
        for use in (lambda: segment.read(1), lambda: segment.write(b"x"), lambda: segment.address):
            with pytest.raises(pyipc.ClosedError, match=f"id {segment.id}"):
                use()
        assert not segment.closed
        segment.reattach()
        assert segment.read(4) == b"kept"
        segment.reattach(read_only=True)
        assert segment.read(4) == b"kept"
        with pytest.raises(pyipc.AccessError):
            segment.write(b"x")
        assert int(row(segment.id)["nattch"]) == 1


def test_a_private_segment_goes_with_the_last_attachment():
    segment = sysv.SharedMemory.create(100)
    segment.detach()
    assert row(segment.id) is None
    with pytest.raises(pyipc.RemovedError, match=f"id {segment.id}"):
        segment.reattach()
    segment.close()


def test_reattaching_a_closed_handle_is_refused(key):
    with sysv.SharedMemory.create(100, key=key, persist=True) as segment:
        pass
    with pytest.raises(pyipc.ClosedError, match=f"id {segment.id}"):
        segment.reattach()
    with sysv.SharedMemory.open(key) as again:
        again.remove()


def test_removing_leaves_the_memory_to_those_who_have_it(key):
    with sysv.SharedMemory.create(100, key=key) as segment, sysv.SharedMemory.open(key) as other:
        segment.write(b"still")
        segment.remove()
        assert other.read(5) == b"still"
        with pytest.raises(pyipc.NotFoundError):
            sysv.SharedMemory.open(key)
        with sysv.SharedMemory.attach(other.id) as third:  # Linux lets others attach by id
            assert third.read(5) == b"still"
    assert row(segment.id) is None


def test_mode_and_owner_can_be_changed():
    with sysv.SharedMemory.create(100) as segment:
        segment.set(mode=0o604)
        assert segment.stat().mode == 0o604
        if os.geteuid() == 0:
            segment.set(uid=65534, gid=65533)
            stat = segment.stat()
            assert (stat.uid, stat.gid, stat.creator_uid, stat.mode) == (65534, 65533, 0, 0o604)


def test_populate_makes_every_page_present(key):
    size = 100 * PAGE
    with sysv.SharedMemory.create(size, key=key) as lazy:
        assert int(row(lazy.id)["rss"]) == 0
    with sysv.SharedMemory.create(size, key=key, populate=True) as full:
        assert int(row(full.id)["rss"]) == size
        assert next(s for s in sysv.segments() if s.id == full.id).resident == size


@pytest.mark.needs("sysv.segment_locks")
def test_a_segment_can_be_locked_into_memory():
    with sysv.SharedMemory.create(PAGE) as segment:
        if os.geteuid() != 0 and not resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]:
            with pytest.raises(pyipc.LimitError, match="RLIMIT_MEMLOCK"):
                segment.lock()
            return
        segment.lock()
        assert int(row(segment.id)["perms"], 8) & 0o2000  # SHM_LOCKED
        segment.unlock()
        assert not int(row(segment.id)["perms"], 8) & 0o2000


@pytest.mark.needs("sysv.huge_pages")
def test_huge_pages_are_had_or_their_lack_is_named(huge_page_pool):
    if os.geteuid() != 0:
        with pytest.raises(pyipc.AccessError, match="hugetlb_shm_group"):
            sysv.SharedMemory.create(2 << 20, huge_pages="2M")
        return
    if int((huge_page_pool / "free_hugepages").read_text()):
        with sysv.SharedMemory.create(2 << 20, huge_pages="2M") as segment:
            segment.write(b"huge")
            assert segment.read(4) == b"huge"
        return
    with pytest.raises(pyipc.LimitError, match="2M huge pages") as caught:
        sysv.SharedMemory.create(2 << 20, huge_pages="2M")
    assert caught.value.path == "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
    assert "2M huge pages" in caught.value.limit


def touch_an_unreserved_huge_page(say, hear):
    import pyipc
    from pyipc import sysv

    try:
        with sysv.SharedMemory.create(2 << 20, huge_pages="2M", reserve=False) as segment:
            segment.read(1)
    except (pyipc.IPCError, ValueError) as problem:
        say(type(problem).__name__)
    else:
        say("read")


@pytest.mark.needs("sysv.huge_pages")
def test_touching_an_unreserved_huge_page_is_no_crash(child):
    other = child(touch_an_unreserved_huge_page)
    assert other.end() == 0


@pytest.mark.needs("sysv.huge_pages")
def test_a_wrong_page_size_is_a_value_error():
    with pytest.raises(ValueError, match="'4K'"):
        sysv.SharedMemory.create(100, huge_pages="4K")


def test_an_unreserved_segment_works_like_any_other():
    with sysv.SharedMemory.create(PAGE, reserve=False) as segment:
        segment.write(b"x")
        assert segment.read(2) == b"x\0"


def test_a_pickled_handle_attaches_the_same_segment():
    with sysv.SharedMemory.create(100) as segment:
        segment.write(b"pickled")
        with pickle.loads(pickle.dumps(segment)) as copy:
            assert copy.id == segment.id
            assert copy.read(7) == b"pickled"
            assert not copy.owner


def test_a_segment_says_what_it_is(key):
    with sysv.SharedMemory.create(100, key=key) as segment:
        assert repr(segment) == f"<segment key {key:#x} id {segment.id}>"
    assert repr(segment) == f"<segment key {key:#x} id {segment.id} closed>"
    with sysv.SharedMemory.create(100) as private:
        assert repr(private) == f"<segment private id {private.id}>"
