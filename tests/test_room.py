"""More memory than there is, is an error, not SIGKILL; by real limits, or files that the test makes."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

import pyipc
from pyipc import _room as room
from pyipc.memory import Memory, memfd

MIB = 1 << 20


# ---- a cgroup of our own ----


def _places():
    """Where a memory cgroup could be made: its parent, its version, and the file for a limit."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for fields in mounts:
        kind, options = fields[fields.index("-") + 1], fields[-1].split(",")
        if kind == "cgroup" and "memory" in options:
            own = [path for _, names, path in groups if "memory" in names.split(",")]
            yield f"{fields[4]}{own[0]}", "memory.limit_in_bytes"
            yield fields[4], "memory.limit_in_bytes"
        elif kind == "cgroup2":
            with contextlib.suppress(OSError):
                Path(f"{fields[4]}/cgroup.subtree_control").write_text("+memory")
            yield fields[4], "memory.max"


@pytest.fixture
def cgroup(until):
    """Make a memory cgroup with this limit; it is removed when its processes have gone."""
    made = []

    def make(limit):
        for parent, file in _places():
            directory = Path(f"{parent}/pyipc-test-{os.getpid()}-{len(made)}")
            try:
                directory.mkdir()
            except OSError:
                continue
            made.append(directory)
            with contextlib.suppress(OSError):
                (directory / file).write_text(str(limit))
                return directory, file
        return pytest.skip("no memory cgroup can be made here: needs root and a writable cgroup file system")

    def removed(directory):
        with contextlib.suppress(OSError):
            directory.rmdir()
        return not directory.exists()

    yield make
    for directory in made:
        until(lambda directory=directory: removed(directory))


def ask_within(say, hear, directory):
    """Move into a cgroup, and ask for ever more."""
    import os

    import pyipc
    from pyipc.memory import Memory

    with open(f"{directory}/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))

    def told(call):
        try:
            memory = call()
        except pyipc.IPCError as problem:
            return (
                type(problem).__name__,
                *(getattr(problem, name, 0) for name in ("limit", "value", "path")),
            )
        if memory is not None:
            made.append(memory)
        return "made"

    made = []
    say(told(lambda: Memory(16 << 20)))
    say(told(lambda: Memory(128 << 20)))
    say(told(lambda: made[0].grow(128 << 20)))
    say((made[0].size, made[0].read(3, (16 << 20) - 3)))
    say(told(lambda: Memory(40 << 20)))
    say(told(lambda: Memory(40 << 20)))
    made.pop().close()
    say(told(lambda: Memory(40 << 20)))
    say(told(lambda: Memory(128 << 20, reserve=False)))
    for memory in made:
        memory.close()


def test_more_than_the_cgroup_may_have_is_a_limit_error_that_names_its_file(child, cgroup):
    directory, file = cgroup(64 * MIB)
    if "\nSwapFree:              0 kB\n" not in Path("/proc/meminfo").read_text():
        pytest.skip("with swap space, the cgroup's limit is none of what it may have")
    other = child(ask_within, str(directory))
    refused = ("LimitError", file, 64 * MIB, f"{directory}/{file}")
    assert other.hear() == "made"
    assert other.hear() == refused
    assert other.hear() == refused
    assert other.hear() == (16 * MIB, bytes(3))
    assert other.hear() == "made"
    assert other.hear() == refused, "with what the first two have it does not fit"
    assert other.hear() == "made"
    assert other.hear() == "made"
    assert other.end() == 0


def test_the_limit_of_a_cgroup_around_it_counts_too(child, cgroup):
    directory, file = cgroup(64 * MIB)
    inner = directory / "inner"
    with contextlib.suppress(OSError):
        (directory / "cgroup.subtree_control").write_text("+memory")
    inner.mkdir()
    try:
        other = child(ask_within, str(inner))
        assert other.hear() == "made"
        assert other.hear() == ("LimitError", file, 64 * MIB, f"{directory}/{file}")
        other.kill()
        assert other.end() == -signal.SIGKILL
    finally:
        inner.rmdir()


# ---- files that the test makes ----


class Machine:
    """What /proc and the cgroup file systems say, as the test would have it."""

    def __init__(self, top, monkeypatch):
        self.top = top
        self.available, self.swap = 1 << 40, 0
        monkeypatch.setattr(room, "_MOUNTS", f"{top}/mountinfo")
        monkeypatch.setattr(room, "_GROUPS", f"{top}/groups")
        monkeypatch.setattr(room, "_machine", lambda: (self.available, self.swap))

    def groups(self, *lines):
        (self.top / "groups").write_text("".join(f"{line}\n" for line in lines))

    def mounts(self, *lines):
        """Each: root, place below the test's directory, type, options; or bytes as they are."""
        with open(self.top / "mountinfo", "wb") as file:
            for number, line in enumerate(lines):
                if not isinstance(line, bytes):
                    root, place, kind, options = line
                    where = f"{number} 1 0:{number} {root} {self.top}/{place} rw,nosuid shared:9"
                    line = f"{where} - {kind} {kind} {options}".encode()
                file.write(line + b"\n")

    def level(self, place, **files):
        directory = self.top / place
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (directory / f"memory.{name}").write_text(f"{content}\n")

    def fits(self, size):
        """Whether there is room; if not, which file says so."""
        try:
            room.refuse_what_does_not_fit(size, "try")
        except pyipc.LimitError as problem:
            told = str(problem)
            path, value = problem.path, problem.value
        else:
            return True
        assert f"{value}, raised in {path}" in told
        return os.path.relpath(path, self.top)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    (tmp_path / "machine").mkdir()
    return Machine(tmp_path / "machine", monkeypatch)


def test_version_2_is_asked_for_its_limit_and_what_is_in_use(machine):
    machine.groups("0::/user/session")
    machine.mounts(("/", "cg", "cgroup2", "rw,nsdelegate"))
    machine.level("cg/user/session", max=100 * MIB, current=40 * MIB, stat="anon 7")
    assert machine.fits(60 * MIB) is True
    assert machine.fits(60 * MIB + 1) == "cg/user/session/memory.max"


def test_every_level_of_version_2_up_to_its_mount_counts(machine):
    machine.groups("0::/a/b/c")
    machine.mounts(("/", "cg", "cgroup2", "rw"))
    machine.level("cg/a/b/c", max="max", current=MIB)
    machine.level("cg/a/b", max=200 * MIB, current=MIB)
    machine.level("cg/a", max=50 * MIB, current=30 * MIB)
    machine.level("cg")
    machine.level(".", max=1, current=1)
    assert machine.fits(20 * MIB) is True
    assert machine.fits(21 * MIB) == "cg/a/memory.max"


def test_version_1_is_asked_in_its_own_words(machine):
    machine.groups("9:name=systemd:/elsewhere", "4:cpu,memory:/a/b", "1:cpuset:/other")
    machine.mounts(("/", "sets", "cgroup", "rw,cpuset"), ("/", "mem", "cgroup", "rw,cpu,memory"))
    machine.level("mem/a/b", limit_in_bytes=2**63 - 4096, usage_in_bytes=MIB)
    machine.level("mem/a", limit_in_bytes=100 * MIB, usage_in_bytes=90 * MIB, stat="total_rss 5")
    machine.level("sets/other", limit_in_bytes=1, usage_in_bytes=1)
    assert machine.fits(10 * MIB) is True
    assert machine.fits(11 * MIB) == "mem/a/memory.limit_in_bytes"


def test_both_versions_beside_each_other_are_asked_both(machine):
    machine.groups("4:memory:/one", "0::/two")
    machine.mounts(("/", "mem", "cgroup", "rw,memory"), ("/", "unified", "cgroup2", "rw"))
    machine.level("mem/one", limit_in_bytes=100 * MIB, usage_in_bytes=0)
    machine.level("unified/two")
    assert machine.fits(101 * MIB) == "mem/one/memory.limit_in_bytes"
    machine.level("unified/two", max=50 * MIB, current=0)
    assert machine.fits(51 * MIB) == "unified/two/memory.max"
    assert machine.fits(50 * MIB) is True


@pytest.mark.parametrize(
    ("group", "level"),
    [("/docker/abc", "cg"), ("/docker/abc/x", "cg/x"), ("/docker/abc/x/y", "cg/x")],
    ids=["itself", "below", "further below"],
)
def test_in_a_container_the_mount_is_a_part_of_the_tree(machine, group, level):
    machine.groups(f"4:memory:{group}")
    machine.mounts(("/docker/abc", "cg", "cgroup", "rw,memory"))
    machine.level(level, limit_in_bytes=10 * MIB, usage_in_bytes=0)
    assert machine.fits(11 * MIB) == f"{level}/memory.limit_in_bytes"


def test_in_a_cgroup_namespace_the_way_out_is_not_followed(machine):
    machine.groups("0::/../../other")
    machine.mounts(("/", "cg", "cgroup2", "rw"))
    machine.level("cg", max=10 * MIB, current=0)
    machine.level("../other", max=1, current=0)
    assert machine.fits(10 * MIB) is True


def test_a_mount_of_another_part_of_the_tree_is_not_ours(machine):
    machine.groups("0::/pod-12/box")
    machine.mounts(("/pod-1", "cg", "cgroup2", "rw"))
    machine.level("cg", max=MIB, current=0)
    assert machine.fits(2 * MIB) is True


def test_what_the_kernel_can_reclaim_counts_as_free(machine):
    machine.groups("0::/")
    machine.mounts(("/", "cg", "cgroup2", "rw"))
    stat = f"anon {5 * MIB}\ninactive_file {10 * MIB}\nactive_file {20 * MIB}\nslab_reclaimable {MIB}"
    machine.level("cg", max=100 * MIB, current=90 * MIB, stat=stat)
    assert machine.fits(41 * MIB) is True
    assert machine.fits(42 * MIB) == "cg/memory.max"
    machine.groups("3:memory:/")
    machine.mounts(("/", "mem", "cgroup", "rw,memory"))
    stat = f"inactive_file {50 * MIB}\ntotal_inactive_file {4 * MIB}\ntotal_active_file {5 * MIB}"
    machine.level("mem", limit_in_bytes=100 * MIB, usage_in_bytes=90 * MIB, stat=stat)
    assert machine.fits(19 * MIB) is True
    assert machine.fits(20 * MIB) == "mem/memory.limit_in_bytes"


def test_swap_space_counts_as_room(machine):
    machine.groups("0::/")
    machine.mounts(("/", "cg", "cgroup2", "rw"))
    machine.level("cg", max=10 * MIB, current=0)
    machine.available, machine.swap = 30 * MIB, 5 * MIB
    assert machine.fits(15 * MIB) is True
    assert machine.fits(16 * MIB) == "cg/memory.max"
    with pytest.raises(pyipc.OutOfMemoryError, match=str(35 * MIB)):
        machine.fits(36 * MIB)


@pytest.mark.parametrize("content", ["max", "", "a lot", "-", str(2**62), str(2**64 - 1)])
def test_a_limit_that_is_none_or_makes_no_sense_refuses_nothing(machine, content):
    machine.groups("0::/")
    machine.mounts(("/", "cg", "cgroup2", "rw"))
    machine.level("cg", max=content, current=MIB)
    assert machine.fits(1 << 39) is True


def test_what_cannot_be_read_refuses_nothing(machine):
    assert machine.fits(1 << 39) is True, "without mountinfo and cgroup"
    machine.groups("0::/", "4:memory:/gone")
    assert machine.fits(1 << 39) is True, "without mountinfo"
    machine.mounts(("/", "cg", "cgroup2", "rw"), ("/", "mem", "cgroup", "rw,memory"))
    assert machine.fits(1 << 39) is True, "without the mounts"
    (machine.top / "cg" / "memory.max").mkdir(parents=True)
    assert machine.fits(1 << 39) is True, "where a file is none"
    machine.level("mem", limit_in_bytes=10 * MIB)
    (machine.top / "mem" / "memory.stat").write_text("not a number\nnor two words here\n")
    assert machine.fits(10 * MIB) is True, "what is in use is not known"
    assert machine.fits(11 * MIB) == "mem/memory.limit_in_bytes"


def test_mounts_by_any_name_are_passed_over(machine):
    machine.groups("0::/")
    foreign = b"7 1 8:1 / /media/Stra\xdfe\\040nach\\040Rom rw - vfat /dev/sdb1 rw"
    machine.mounts(foreign, ("/", "cg", "cgroup2", "rw"))
    machine.level("cg", max=10 * MIB, current=0)
    assert machine.fits(11 * MIB) == "cg/memory.max"


def test_a_machine_that_does_not_tell_refuses_nothing(machine):
    machine.available = None
    machine.groups()
    machine.mounts()
    assert machine.fits(1 << 60) is True


def test_a_little_is_not_worth_asking_for(machine):
    machine.available = 0
    assert machine.fits(MIB - 1) is True
    with pytest.raises(pyipc.OutOfMemoryError):
        machine.fits(MIB)


# ---- this machine ----


@pytest.fixture
def reserved(monkeypatch):
    """What the kernel is asked for; if that is much, the test ends before the machine does."""
    reserve, asked = memfd.ops.memory_reserve, []

    def reserve_a_little(number, offset, size):
        assert size <= 1 << 20, "the kernel was asked for all of it"
        asked.append(size)
        return reserve(number, offset, size)

    monkeypatch.setattr(memfd.ops, "memory_reserve", reserve_a_little)
    return asked


@pytest.mark.parametrize("size", [1 << 45, 1 << 55, (1 << 62) - 1])
def test_more_than_the_machine_has_is_an_error_before_a_page_of_it_is_made(reserved, size):
    with Memory(100) as memory:
        for call in (Memory, memory.grow):
            with pytest.raises(pyipc.OutOfMemoryError, match="reserve") as caught:
                call(size)
            assert isinstance(caught.value, MemoryError)
        memory.write(b"alive")
        assert (memory.size, memory.read(5)) == (100, b"alive")
        assert os.fstat(memory.fileno()).st_size == 100
    assert reserved == [100]


def test_more_than_there_are_addresses_is_out_of_memory(reserved):
    with pytest.raises(pyipc.OutOfMemoryError):
        Memory(1 << 60, reserve=False)
