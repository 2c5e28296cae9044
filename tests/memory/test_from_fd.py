"""Memory from elsewhere: what is taken over, what is refused, and what may only be read."""

from __future__ import annotations

import contextlib
import os
import socket
from errno import EINVAL, ENODEV
from fcntl import F_DUPFD_CLOEXEC, F_GETFD, FD_CLOEXEC, fcntl

import pytest

import pyipc
from pyipc import fds
from pyipc.memory import Memory, memfd

SEAL, SHRINK, GROW, WRITE, FUTURE_WRITE = 1, 2, 4, 8, 16
SIZE = 100_000


def is_open(number):
    with contextlib.suppress(OSError):
        return bool(os.fstat(number))
    return False


# ---- taking over ----


def test_a_number_is_taken_over(foreign):
    number = foreign(SHRINK)
    with Memory.from_fd(number) as memory:
        assert not is_open(number) or memory.fileno() == number
        assert fcntl(memory.fileno(), F_GETFD) & FD_CLOEXEC
        assert (memory.size, memory.read(7), memory.read_only) == (SIZE, b"foreign", False)
        memory.write(b"F")
        assert os.pread(memory.fileno(), 7, 0) == b"Foreign"


def test_a_handle_gives_its_own_up(foreign):
    handle = fds.Handle(foreign(SHRINK))
    with Memory.from_fd(handle) as memory:
        assert handle.closed
        assert memory.read(7) == b"foreign"


def test_a_memory_gives_its_own_up():
    with Memory(SIZE) as first:
        first.write(b"handed on")
        view = first.buf
        with Memory.from_fd(first) as second:
            assert first.closed
            assert second.read(9) == bytes(view[:9]) == b"handed on"


def test_a_number_that_was_inheritable_is_so_no_more(foreign):
    number = foreign(SHRINK)
    os.set_inheritable(number, True)
    with Memory.from_fd(number) as memory:
        assert not os.get_inheritable(memory.fileno())


@pytest.mark.parametrize("how", ["number", "handle"])
def test_what_is_taken_over_is_gone_with_its_handle(foreign, watch, how):
    handle = fds.Handle(foreign(SHRINK))
    watched = watch(handle)
    memory = Memory.from_fd(handle.detach() if how == "number" else handle)
    view = memory.buf
    memory.close()
    assert not watched.gone()
    del view
    assert watched.gone()


# ---- refusals, which leave the caller's descriptor alone ----


def refused(number, problem, errno=None, **how):
    handle = fds.Handle(fcntl(number, F_DUPFD_CLOEXEC, 3))
    for given in (number, handle):
        named = f"descriptor ({number}|{handle.fileno()})|of <memory|map <memory"
        with pytest.raises(problem, match=named) as caught:
            Memory.from_fd(given, **how)
        assert type(caught.value) is problem
        assert errno in (None, caught.value.errno)
    assert is_open(number)
    assert not handle.closed
    handle.close()


@pytest.mark.parametrize("seals", [0, GROW, SEAL, FUTURE_WRITE, WRITE, SEAL | GROW | WRITE | FUTURE_WRITE])
def test_memory_that_could_shrink_is_refused_unless_trusted(foreign, seals):
    number = foreign(seals)
    refused(number, pyipc.AccessError)
    refused(number, pyipc.AccessError, read_only=True)
    with Memory.from_fd(number, trust=True) as memory:
        assert memory.read(7) == b"foreign"
        assert memory.read_only == bool(seals & (WRITE | FUTURE_WRITE))


@pytest.mark.parametrize("place", ["on disk", "in memory"])
def test_a_file_is_refused_unless_trusted(made, tmp_path, place):
    path = tmp_path / "file" if place == "on disk" else f"/dev/shm/pyipc-test-{os.getpid()}"
    try:
        number = made(os.open(path, os.O_RDWR | os.O_CREAT))
        os.write(number, b"a file's bytes")
        refused(number, pyipc.AccessError)
        with Memory.from_fd(number, trust=True) as memory:
            assert (memory.size, memory.read()) == (14, b"a file's bytes")
            memory.write(b"A")
            memory.grow(5000)
            with open(path, "rb") as file:
                assert file.read() == b"A file's bytes".ljust(5000, b"\0")
    finally:
        os.unlink(path)


def test_what_is_empty_is_refused(foreign, made, tmp_path):
    refused(foreign(SHRINK, size=0), pyipc.IPCError, EINVAL)
    refused(foreign(size=0), pyipc.IPCError, EINVAL, trust=True)
    refused(made(os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)), pyipc.IPCError, EINVAL, trust=True)


@pytest.mark.parametrize("trust", [False, True])
def test_what_is_no_memory_and_no_file_is_refused(made, tmp_path, trust):
    one, other = os.pipe()
    left, right = socket.socketpair()
    with left, right, fds.Pidfd.open(os.getpid()) as pidfd:
        for number in (
            made(one),
            made(other),
            left.fileno(),
            pidfd.fileno(),
            made(os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)),
            made(os.open("/dev/null", os.O_RDWR)),
        ):
            refused(number, pyipc.IPCError, ENODEV, trust=trust)


def test_what_is_closed_or_no_descriptor_is_told(foreign):
    number = foreign(SHRINK)
    handle = fds.Handle(number)
    handle.close()
    for given in (handle, number, -1, 1 << 20):
        with pytest.raises(pyipc.ClosedError):
            Memory.from_fd(given)


def test_what_is_no_descriptor_at_all_is_a_value_or_type_error():
    for given, problem in (
        (1 << 40, ValueError),
        (-(1 << 40), ValueError),
        (None, TypeError),
        (3.0, TypeError),
        (b"3", TypeError),
    ):
        with pytest.raises(problem):
            Memory.from_fd(given)


def test_a_descriptor_that_forbids_mapping_is_an_access_error(foreign, made):
    number = foreign(SHRINK)
    refused(made(os.open(f"/proc/self/fd/{number}", os.O_WRONLY)), pyipc.AccessError)


# ---- reading alone ----


def cannot_be_written(memory):
    for data in (b"x", bytearray(b"x"), bytes(70_000)):
        with pytest.raises(pyipc.AccessError):
            memory.write(data)
    view = memory.buf
    with pytest.raises(TypeError):
        view[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        memory.array("u1")[0] = 1
    return memory.read_only and view.readonly


def test_memory_can_be_mapped_for_reading_alone(foreign):
    number = foreign(SHRINK)
    with Memory.from_fd(fcntl(number, F_DUPFD_CLOEXEC, 3), read_only=True) as memory:
        assert cannot_be_written(memory)
        os.pwrite(number, b"changed", 0)
        assert memory.read(7) == bytes(memory.buf[:7]) == b"changed"
        os.ftruncate(number, 2 * SIZE)
        memory.grow(2 * SIZE)
        assert cannot_be_written(memory)


def test_a_descriptor_for_reading_alone_gives_memory_for_reading_alone(foreign, made):
    number = foreign(SHRINK)
    reading = made(os.open(f"/proc/self/fd/{number}", os.O_RDONLY))
    with Memory.from_fd(reading) as memory:
        assert cannot_be_written(memory)
        os.pwrite(number, b"changed", 0)
        assert memory.read(7) == b"changed"
        with pytest.raises(pyipc.IPCError):
            memory.grow(2 * SIZE)
        assert (memory.size, memory.read(7)) == (SIZE, b"changed")


def test_memory_that_is_sealed_against_writing_is_for_reading_alone(foreign):
    with Memory.from_fd(foreign(SHRINK | WRITE)) as memory:
        assert cannot_be_written(memory)
        assert (memory.frozen, memory.sealed) == (True, False)


def read_without_privileges(say, hear, path, nobody):
    import os

    from pyipc.memory import Memory

    with Memory(5000) as memory:
        memory.write(b"from root")
        numbers = os.dup(memory.fileno()), os.open(path, os.O_RDWR)
        os.setgroups([])
        os.setresgid(nobody, nobody, nobody)
        os.setresuid(nobody, nobody, nobody)
        for number in numbers:
            with Memory.from_fd(number, read_only=True, trust=True) as other:
                say((other.read_only, other.read(4)))


def test_what_a_process_was_given_it_can_read_after_it_dropped_its_privileges(child, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    path = tmp_path / "file"
    path.write_bytes(b"fromroot")
    path.chmod(0o600)
    other = child(read_without_privileges, str(path), 65534)
    assert [other.hear() for _ in range(2)] == [(True, b"from")] * 2
    assert other.end() == 0


def test_a_trusted_file_that_another_grows_meanwhile_does_not_shrink(made, tmp_path, monkeypatch):
    number = made(os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT))
    os.write(number, bytes(5000))
    reserve = memfd.ops.memory_reserve

    def reserve_while_another_grows_it(where, offset, size):
        done = reserve(where, offset, size)
        os.pwrite(number, b"theirs", 50_000)
        return done

    with Memory.from_fd(fcntl(number, F_DUPFD_CLOEXEC, 3), trust=True) as memory:
        monkeypatch.setattr(memfd.ops, "memory_reserve", reserve_while_another_grows_it)
        memory.grow(20_000)
        assert os.pread(number, 6, 50_000) == b"theirs"
        assert memory.size >= 20_000


def test_a_descriptor_for_the_path_alone_forbids_mapping(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(5000))
    number = os.open(path, os.O_PATH)
    with pytest.raises(pyipc.AccessError):
        Memory.from_fd(number, trust=True)
    os.close(number)
