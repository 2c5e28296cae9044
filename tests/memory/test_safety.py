"""Views and arrays after their handle, their mapping and its owner are gone, in whatever order.

Each case runs in a process of its own: a mistake here is a signal, not an exception.
"""

from __future__ import annotations

import pytest

from pyipc import fds
from pyipc.memory import Memory


def views_outlive(say, hear, how):
    import gc
    import os

    from pyipc.memory import Memory

    memory = Memory(200_000)
    memory.write(b"begin" + bytes(199_988) + b"the end")
    inode = os.fstat(memory.fileno()).st_ino
    view, part, array = memory.buf, memory.buf[5:10], memory.array("u2", (50, 100), 1000)
    derived = array[::2, 3:].T
    if how == "grow":
        memory.grow(400_000)
        memory.write(b"BEGIN")
    if how == "drop":
        import warnings

        warnings.simplefilter("ignore", ResourceWarning)
    elif how == "take over":
        other = Memory.from_fd(memory)
        other.close()
    else:
        memory.close()
    memory = None
    gc.collect()
    assert bytes(view[:5]) == (b"BEGIN" if how == "grow" else b"begin")
    assert bytes(view[-7:]) == b"the end"
    assert len(view) == 200_000
    array[0, 3] = 0x4142
    assert derived[0, 0] == 0x4142
    assert bytes(view[1006:1008]) == b"BA"
    part[:] = b"fives"
    assert bytes(view[5:10]) == b"fives"

    def mapped():
        with open("/proc/self/maps") as maps:
            return any(line.split()[4] == str(inode) for line in maps)

    assert mapped()
    del view, part, array
    gc.collect()
    assert mapped(), "an array was left"
    derived += 1
    del derived
    gc.collect()
    assert not mapped(), "still mapped after the last view died"
    say("alive")


@pytest.mark.parametrize("how", ["close", "drop", "grow", "take over"])
def test_views_show_the_right_bytes_until_the_last_of_them_dies(child, how):
    other = child(views_outlive, how)
    assert other.hear() == "alive"
    assert other.end() == 0


def casts_and_slices(say, hear):
    import gc

    from pyipc.memory import Memory

    memory = Memory(4096)
    memory.write(bytes(range(256)) * 16)
    base = memory.buf
    shaped = base.cast("B", (16, 256))
    numbers = base[8:16].cast("Q")
    backwards = base[::-1]
    nested = memoryview(memoryview(base[100:200])[10:20])
    writable = nested.cast("b")
    only_read = base.toreadonly()
    memory.close()
    base.release()  # the others have the memory themselves
    del base
    gc.collect()
    assert shaped[3, 7] == 7
    assert numbers[0] == int.from_bytes(bytes(range(8, 16)), "little")
    assert backwards[0] == 255
    assert bytes(nested) == bytes(range(110, 120))
    writable[0] = -1
    assert nested[0] == only_read[110] == shaped[0, 110] == 255
    with shaped as used:
        assert len(used.tobytes()) == 4096
    for view in (numbers, backwards, writable, nested, only_read):
        view.release()
        view.release()
    say("alive")


def test_casts_and_slices_of_views_keep_the_memory(child):
    other = child(casts_and_slices)
    assert other.hear() == "alive"
    assert other.end() == 0


def hold_until_killed(say, hear, end):
    from pyipc import fds
    from pyipc.memory import Memory

    memory = Memory(100_000)
    memory.write(b"from the dead")
    fds.send(end, b"it", [memory])
    hear()


def view_after_death(say, hear, end):
    from pyipc import fds
    from pyipc.memory import Memory

    with fds.receive(end) as message:
        memory = Memory.from_fd(message.fds[0])
    view, array = memory.buf, memory.array("u1")
    say("mapped")
    hear()
    assert bytes(view[:13]) == memory.read(13) == b"from the dead"
    view[99_999] = 7
    assert array[-1] == 7
    memory.grow(200_000)
    memory.close()
    assert bytes(array[:13]) == b"from the dead"
    say("alive")


def test_views_outlive_the_makers_death(partner):
    maker, from_maker = partner(hold_until_killed)
    other, to_other = partner(view_after_death)
    with fds.receive(from_maker) as message:
        fds.send(to_other, b"it", message.fds)
    assert other.hear() == "mapped"
    maker.kill()
    assert maker.end() == -9
    other.say("go on")
    assert other.hear() == "alive"
    assert other.end() == 0


def use_while_others_try_to_truncate(say, hear, end):
    from pyipc import fds
    from pyipc.memory import Memory

    with fds.receive(end) as message, Memory.from_fd(message.fds[0]) as memory:
        view, array = memory.buf, memory.array("u4")
    say("mapped")
    while hear() != "the end":
        view[-1] = view[0] = 1
        say((len(bytes(view)), int(array[-1])))


def test_views_are_whole_after_the_peers_attempts_to_truncate(partner):
    import os

    other, sock = partner(use_while_others_try_to_truncate)
    with Memory(100_000) as memory:
        fds.send(sock, b"it", [memory])
        assert other.hear() == "mapped"
        for attempt in (
            lambda: os.ftruncate(memory.fileno(), 0),
            lambda: os.open(f"/proc/self/fd/{memory.fileno()}", os.O_RDWR | os.O_TRUNC),
            lambda: os.truncate(f"/proc/self/fd/{memory.fileno()}", 4096),
        ):
            with pytest.raises(PermissionError):
                attempt()
            other.say("look")
            assert other.hear() == (100_000, 1 << 24)
    other.say("the end")
    assert other.end() == 0


def views_of_frozen_memory(say, hear):
    import ctypes
    import io

    import numpy

    from pyipc.memory import Memory

    memory = Memory(100_000)
    memory.write(b"fixed")
    memory.freeze()
    view, array = memory.buf, memory.array("u1")
    memory.close()
    zeros = io.BytesIO(bytes(10))
    attempts = (
        lambda: view.__setitem__(0, 1),
        lambda: view[5:].__setitem__(0, 1),
        lambda: view.cast("I").__setitem__(0, 1),
        lambda: array.__setitem__(0, 1),
        lambda: array.setflags(write=True),
        lambda: array[:10].view("u2").sort(),
        lambda: numpy.frombuffer(view, "u1").__setitem__(0, 1),
        lambda: numpy.copyto(numpy.asarray(view), 1),
        lambda: ctypes.c_char.from_buffer(view),
        lambda: zeros.readinto(view),
    )
    refused = 0
    for attempt in attempts:
        try:
            attempt()
        except (TypeError, ValueError, BufferError):
            refused += 1
    say(refused == len(attempts))
    say(bytes(view[:5]) + bytes(array[:5]))


def test_nothing_writes_through_a_view_of_frozen_memory(child):
    other = child(views_of_frozen_memory)
    assert other.hear() is True
    assert other.hear() == b"fixedfixed"
    assert other.end() == 0


def write_to_what_is_read_only(say, hear):
    import os

    import pyipc
    from pyipc.memory import Memory

    with Memory(100_000) as memory:
        memory.write(b"fixed")
        with Memory.from_fd(os.dup(memory.fileno()), read_only=True) as reader:
            view = reader.buf
            for use in (
                lambda: reader.write(b"x"),
                lambda: reader.write(bytes(70_000)),
                lambda: reader.write(b"x", 5),
                lambda: reader.write(bytearray(3)),
                lambda: reader.write(bytearray(70_000), 10),
                lambda: reader.write(b"", 100_000, pad_to=0),
                lambda: view.__setitem__(0, 1),
                lambda: reader.array("u1").__setitem__(0, 1),
            ):
                try:
                    use()
                except (pyipc.IPCError, TypeError, ValueError) as problem:
                    say(type(problem).__name__)
            memory.write(b"F")
            say((reader.read(5), bytes(view[:5])))


def test_what_is_mapped_for_reading_alone_is_never_written_through(child):
    other = child(write_to_what_is_read_only)
    assert [other.hear() for _ in range(8)] == ["AccessError"] * 6 + ["TypeError", "ValueError"]
    assert other.hear() == (b"Fixed", b"Fixed")
    assert other.end() == 0


# ---- the interpreter's end, and garbage ----


def views_at_exit(say, hear):
    """Whatever order the interpreter takes things apart in, nothing touches unmapped memory."""
    import atexit
    import sys
    import threading
    import types

    from pyipc.memory import Memory

    global kept, first, array
    memories = [Memory(70_000) for _ in range(5)]

    class Late:
        def __init__(self, memory):
            self.view, self.array = memory.buf, memory.array("u4")

        def __del__(self):
            self.array[:] = 5
            assert bytes(self.view[:4]) == b"\5\0\0\0"

    kept = [Late(memory) for memory in memories] + memories
    kept.append(kept)
    module = types.ModuleType("of_views")
    module.view, module.late = memories[0].buf, Late(memories[1])
    sys.modules["of_views"] = module
    first, array = memories[2].buf, memories[3].array("u1")

    def last_look(view=memories[4].buf):
        view[0] = 9
        assert first[0] in (0, 5)
        memories[2].close()
        assert len(bytes(first)) == 70_000

    atexit.register(last_look)
    begun = threading.Event()

    def read_for_ever(memory, view):
        while True:
            view[7] = (view[7] + 1) % 200
            memory.read(69_999)
            begun.set()

    threading.Thread(target=read_for_ever, args=(memories[0], memories[0].buf), daemon=True).start()
    begun.wait()
    say("leaving")


def test_views_live_through_the_interpreters_end(child):
    for _ in range(3):
        other = child(views_at_exit)
        assert other.hear() == "leaving"
        assert other.end() == 0


def garbage(say, hear):
    """Cycles of handles, views and finalizers that look at them, collected in many orders."""
    import gc
    import itertools
    import warnings
    import weakref

    from pyipc.memory import Memory

    warnings.simplefilter("ignore", ResourceWarning)
    looked = []

    class Node:
        def __del__(self):
            looked.append(bytes(self.view[:4]) + bytes(self.array[:2]))
            self.array[0] = 7
            self.part[0] = 8

    rounds = 0
    for order in itertools.permutations(["memory", "view", "array", "part", "other"]):
        memory = Memory(70_000)
        memory.write(b"look")
        nodes = [Node(), Node()]
        for node, other in zip(nodes, reversed(nodes)):
            values = {
                "memory": memory,
                "view": memory.buf,
                "array": memory.array("u1"),
                "part": memory.buf[100:200].cast("H"),
                "other": [other, node],
            }
            for name in order:
                setattr(node, name, values[name])
        watched = weakref.ref(nodes[0], lambda gone: gc.isenabled())
        if rounds % 2:
            memory.close()
        del memory, values, nodes, node, other
        gc.collect()
        assert watched() is None
        rounds += 1
    assert len(looked) == 2 * rounds
    assert {one[1:4] for one in looked} == {b"ook"}
    with open("/proc/self/maps") as maps:
        say(sum("memfd:pyipc" in line for line in maps))


def test_finalizers_of_garbage_cycles_see_their_views(child):
    other = child(garbage)
    assert other.hear() == 0
    assert other.end() == 0


def write_to_the_frozen(say, hear):
    from pyipc.memory import Memory

    with Memory(200_000) as memory:
        memory.freeze()
        memory.read_only = False
        for size in 10, 70_000:
            try:
                memory.write(bytes(size))
            except TypeError:
                say("refused")


def test_whoever_lies_about_frozen_memory_is_refused_and_not_killed(child):
    other = child(write_to_the_frozen)
    assert [other.hear(), other.hear()] == ["refused"] * 2
    assert other.end() == 0
