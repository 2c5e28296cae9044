"""Limits of the process stand in the way of memory by name, and leave nothing half-made (getrlimit(2))."""

from __future__ import annotations

import os

import pytest

from pyipc.memory import Memory

MIB = 1 << 20


def meet_the_file_size_limit(say, hear, limit):
    import os
    import resource
    import signal

    import pyipc
    from pyipc.memory import Memory

    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # as Python has it
    memories = [Memory(4096), Memory(4096, reserve=False)]
    before = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for call in (
        lambda: Memory(limit + 1),
        lambda: Memory(limit + 1, reserve=False),
        lambda: memories[0].grow(limit + 1),
        lambda: memories[1].grow(limit + 1),
    ):
        try:
            call()
        except pyipc.LimitError as problem:
            say((problem.limit, problem.value, problem.path, f"RLIMIT_FSIZE is {limit}" in str(problem)))
    say(len(os.listdir("/proc/self/fd")) - before)
    for memory in memories:
        memory.grow(limit)
        memory.write(b"the end", limit - 7)
        say((memory.size, memory.read(7, limit - 7)))
        memory.close()
    Memory(limit).close()


def test_a_file_size_limit_is_named(child):
    other = child(meet_the_file_size_limit, MIB)
    assert [other.hear() for _ in range(4)] == [("RLIMIT_FSIZE", MIB, None, True)] * 4
    assert other.hear() == 0
    assert [other.hear() for _ in range(2)] == [(MIB, b"the end")] * 2
    assert other.end() == 0


def fail_half_way(say, hear, limit):
    import os
    import resource

    import pyipc
    from pyipc.memory import Memory

    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with Memory(4096) as memory:
        try:
            memory.grow(2 * limit)
        except pyipc.LimitError as problem:
            say(problem.limit)
        facts = os.fstat(memory.fileno())
        say((memory.size, facts.st_size, facts.st_blocks * 512))


@pytest.mark.needs("memory.grows_whole_or_not")
def test_what_cannot_grow_as_far_as_it_should_has_not_grown(child):
    other = child(fail_half_way, 70 * MIB)
    assert other.hear() == "RLIMIT_FSIZE"
    assert other.hear() == (4096, 4096, 4096), "and could never be given back"
    assert other.end() == 0


def meet_the_descriptor_limit(say, hear):
    import os
    import resource

    import pyipc
    from pyipc.memory import Memory

    memory = Memory(4096)
    handed = os.dup(memory.fileno())
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
    for call in (lambda: Memory(4096), lambda: Memory.from_fd(handed), lambda: memory.dup()):
        try:
            call()
        except pyipc.LimitError as problem:
            say((problem.limit, problem.value))
    if pyipc.backend() == "fallback":
        os.close(taken.pop())  # for the standard library's mmap, which keeps one (before Python 3.13)
    memory.grow(8192)
    memory.write(b"alive")
    say((memory.size, memory.read(5), os.fstat(handed).st_size))
    for number in taken:
        os.close(number)
    with Memory.from_fd(handed) as other:
        say(other.read(5))
    memory.close()


def test_a_full_table_of_descriptors_is_a_limit_that_is_named(child):
    other = child(meet_the_descriptor_limit)
    assert [other.hear() for _ in range(3)] == [("RLIMIT_NOFILE", 64)] * 3
    assert other.hear() == (8192, b"alive", 8192)
    assert other.hear() == b"alive"
    assert other.end() == 0


def meet_the_address_limit(say, hear):
    import os
    import resource

    import pyipc
    from pyipc.memory import Memory

    memory = Memory(4096)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * os.sysconf("SC_PAGESIZE")
    before = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_AS, (now + (32 << 20), now + (32 << 20)))
    for call in (lambda: Memory(64 << 20, reserve=False), lambda: memory.grow(64 << 20)):
        try:
            call()
        except pyipc.OutOfMemoryError as problem:
            say(str(64 << 20) in str(problem))
    resource.setrlimit(resource.RLIMIT_AS, (now + (32 << 20),) * 2)
    say(len(os.listdir("/proc/self/fd")) - before)
    memory.write(b"alive")
    say((memory.size, memory.read(5)))
    memory.close()


def test_a_lack_of_addresses_is_an_error_and_the_memory_of_before_stays(child):
    other = child(meet_the_address_limit)
    assert [other.hear() for _ in range(2)] == [True, True]
    assert other.hear() == 0
    assert other.hear() == (4096, b"alive")
    assert other.end() == 0


def test_arguments_that_are_wrong_open_nothing():
    before = sorted(os.listdir("/proc/self/fd"))
    for problem, make in (
        (ValueError, lambda: Memory(0)),
        (TypeError, lambda: Memory("1")),
        (TypeError, lambda: Memory()),
        (ValueError, lambda: Memory(1, huge_pages="4K")),
        (ValueError, lambda: Memory(1, huge_pages="2M", reserve=False)),
        (TypeError, lambda: Memory(1, persist=True)),
    ):
        with pytest.raises(problem):
            make()
    assert sorted(os.listdir("/proc/self/fd")) == before
