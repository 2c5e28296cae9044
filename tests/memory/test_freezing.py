"""Frozen memory: nobody writes to it any more, and what stands in the way; the kernel's seals decide."""

from __future__ import annotations

import mmap
import os
from fcntl import fcntl

import pytest

import pyipc
from pyipc import fds
from pyipc.memory import Memory

F_GET_SEALS = 1034
SEALED_FOR_GOOD = 1 | 2 | 4 | 8  # SEAL, SHRINK, GROW, WRITE


@pytest.fixture
def memory():
    with Memory(100_000) as made:
        made.write(b"fixed")
        yield made


def test_frozen_memory_can_be_read_and_that_is_all(memory):
    memory.freeze()
    assert (memory.frozen, memory.sealed, memory.read_only, memory.size) == (True, True, True, 100_000)
    assert fcntl(memory.fileno(), F_GET_SEALS) & SEALED_FOR_GOOD == SEALED_FOR_GOOD
    assert memory.read() == b"fixed" + bytes(99_995)
    assert bytes(memory.buf[:5]) == bytes(memory.array("u1")[:5]) == b"fixed"
    for data in (b"x", bytearray(b"x"), bytes(70_000), bytearray(70_000)):
        with pytest.raises(pyipc.AccessError, match="read-only"):
            memory.write(data)
    with pytest.raises(PermissionError):
        os.pwrite(memory.fileno(), b"x", 0)
    with pytest.raises(pyipc.AccessError):
        memory.grow(100_001)
    with pytest.raises(PermissionError):
        mmap.mmap(memory.fileno(), 100)


def test_views_of_frozen_memory_are_read_only_all_the_way_down(memory):
    memory.freeze()
    view, array = memory.buf, memory.array("u4")
    assert view.readonly
    assert not array.flags.writeable
    with pytest.raises(TypeError):
        view[0] = 1
    with pytest.raises(TypeError):
        view.cast("H")[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True


def test_freezing_again_and_sealing_after_that(memory):
    memory.freeze()
    memory.freeze()
    with pytest.raises(pyipc.AccessError):
        memory.seal()  # it is, for good
    memory.grow(5)
    assert memory.read(5) == b"fixed"


def test_what_was_sealed_against_growing_can_still_be_frozen(memory):
    memory.seal()
    memory.freeze()
    assert memory.frozen


WRITERS = {
    "view": lambda memory: memory.buf,
    "slice of a view": lambda memory: memory.buf[5:10],
    "cast": lambda memory: memory.buf.cast("I"),
    "array": lambda memory: memory.array("u2"),
    "part of an array": lambda memory: memory.array("u2")[::2].T,
    "read-only copy of a view": lambda memory: memory.buf.toreadonly(),
    "mapping of another handle": lambda memory: Memory.from_fd(os.dup(memory.fileno())),
    "mapping by the standard library": lambda memory: mmap.mmap(memory.fileno(), 100),
}


@pytest.mark.parametrize("make", WRITERS.values(), ids=WRITERS)
def test_whoever_may_still_write_stands_in_the_way_until_gone(memory, make):
    writer = make(memory)
    with pytest.raises(pyipc.InUseError, match="freeze <memory of 100000 bytes>"):
        memory.freeze()
    assert (memory.frozen, memory.sealed, memory.read_only) == (False, False, False)
    memory.write(b"FIXED")
    memory.grow(200_000)
    assert memory.read(5) == b"FIXED"
    if hasattr(writer, "close"):
        writer.close()
    del writer
    memory.freeze()
    assert memory.frozen
    assert (memory.size, memory.read(5)) == (200_000, b"FIXED")


def test_a_mapping_for_reading_alone_does_not_stand_in_the_way(memory):
    reader = os.open(f"/proc/self/fd/{memory.fileno()}", os.O_RDONLY)
    with Memory.from_fd(reader) as other:
        view = other.buf
        memory.freeze()
        assert (other.frozen, other.read_only, bytes(view[:5])) == (True, True, b"fixed")


def test_somebody_who_wanted_to_read_alone_does_not_stand_in_the_way(memory):
    with Memory.from_fd(os.dup(memory.fileno()), read_only=True) as other:
        memory.freeze()
        assert (other.frozen, other.read(5)) == (True, b"fixed")


def test_views_of_an_older_mapping_stand_in_the_way_too(memory):
    view = memory.buf
    memory.grow(200_000)
    with pytest.raises(pyipc.InUseError):
        memory.freeze()
    del view
    memory.freeze()


def hold_it(say, hear, end, how):
    import os

    import pyipc
    from pyipc import fds
    from pyipc.memory import Memory

    def told(call):
        try:
            call()
        except (pyipc.IPCError, OSError, TypeError) as problem:
            return type(problem).__name__

    with fds.receive(end) as message:
        number = message.fds[0].fileno()
        with Memory.from_fd(message.fds[0]) as memory:
            kept = memory.buf if how == "by a view" else None
            say(memory.read(5))
            assert hear() == "let go"
            if how == "by a view":
                memory.close()
                say(bytes(kept[:5]))
                assert hear() == "and of that"
            del kept
        say(told(lambda: os.fstat(number)))
    with fds.receive(end) as message, Memory.from_fd(message.fds[0]) as memory:
        say((memory.frozen, memory.sealed, memory.read_only, memory.read(5)))
        say(told(lambda: memory.write(b"mine")))
        say(told(lambda: memory.buf.__setitem__(0, 1)))
        say(told(lambda: os.pwrite(memory.fileno(), b"mine", 0)))
        say(told(lambda: memory.grow(200_000)))
        memory.freeze()
        say(told(memory.seal))


@pytest.mark.parametrize("how", ["by its mapping", "by a view"])
def test_another_process_stands_in_the_way_and_cannot_write_afterwards(partner, memory, how):
    other, sock = partner(hold_it, how)
    fds.send(sock, b"it", [memory])
    assert other.hear() == b"fixed"
    with pytest.raises(pyipc.InUseError):
        memory.freeze()
    other.say("let go")
    if how == "by a view":
        assert other.hear() == b"fixed"
        with pytest.raises(pyipc.InUseError):
            memory.freeze()
        other.say("and of that")
    assert other.hear() == "OSError"
    memory.freeze()
    fds.send(sock, b"it", [memory])
    assert other.hear() == (True, True, True, b"fixed")
    assert other.hear() == "AccessError"
    assert other.hear() == "TypeError"
    assert other.hear() == "PermissionError"
    assert other.hear() == "AccessError"
    assert other.hear() == "AccessError"
    assert other.end() == 0
    assert memory.read(5) == b"fixed"


def hold_and_hang(say, hear, end):
    from pyipc import fds
    from pyipc.memory import Memory

    with fds.receive(end) as message, Memory.from_fd(message.fds[0]) as memory:
        view = memory.buf
        say(bytes(view[:5]))
        hear()


def test_a_killed_process_stands_in_nobodys_way(partner, memory):
    other, sock = partner(hold_and_hang)
    fds.send(sock, b"it", [memory])
    assert other.hear() == b"fixed"
    other.kill()
    assert other.end() == -9
    memory.freeze()
    assert memory.frozen


def test_a_forked_child_that_has_it_mapped_stands_in_the_way(child):
    def fork_and_freeze(say, hear):
        import os

        import pyipc
        from pyipc.memory import Memory

        memory = Memory(5000)
        gate, latch = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(latch)
            os.read(gate, 1)
            os._exit(0)
        os.close(gate)
        try:
            memory.freeze()
        except pyipc.InUseError:
            say("in use")
        os.close(latch)
        os.waitpid(pid, 0)
        memory.freeze()
        say(memory.frozen)
        memory.close()

    other = child(fork_and_freeze)
    assert other.hear() == "in use"
    assert other.hear() is True
    assert other.end() == 0


def a_file(memory, path):
    path.write_bytes(b"of a file system")
    return os.open(path, os.O_RDWR)


def memory_without_seals(memory, path):
    number = os.memfd_create("plain")  # without MFD_ALLOW_SEALING
    os.write(number, b"of nobody")
    return number


def for_reading_alone(memory, path):
    return os.open(f"/proc/self/fd/{memory.fileno()}", os.O_RDONLY)


@pytest.mark.parametrize("opened", [a_file, memory_without_seals, for_reading_alone])
def test_what_cannot_be_sealed_is_an_access_error(memory, tmp_path, opened):
    with Memory.from_fd(opened(memory, tmp_path / "file"), trust=True) as other:
        was = other.read(5)
        for use in (other.seal, other.freeze):
            with pytest.raises(pyipc.AccessError):
                use()
        assert (other.frozen, other.sealed, other.read(5)) == (False, False, was)
