"""Values and arrays as multiprocessing has them, in memory and with locks of ours."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import threading
import time

import pytest

import pyipc
from pyipc import sync
from pyipc.sync import Array, Value

pytestmark = pytest.mark.timeout(40)

needed = pytest.mark.needs("sync.locks")

LIMITS = {
    "b": (-128, 127),
    "B": (0, 255),
    "h": (-(2**15), 2**15 - 1),
    "H": (0, 2**16 - 1),
    "i": (-(2**31), 2**31 - 1),
    "I": (0, 2**32 - 1),
    "l": (-(2**63), 2**63 - 1),
    "L": (0, 2**64 - 1),
    "q": (-(2**63), 2**63 - 1),
    "Q": (0, 2**64 - 1),
    "f": (-0.5, 2.0**100),
    "d": (-1e300, 1e-300),
    "c": (b"x", b"\0"),
    "u": ("\N{SNOWMAN}", "x"),
}


class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_double), ("tags", ctypes.c_byte * 4))


class Either(ctypes.Union):
    _fields_ = (("number", ctypes.c_uint32), ("bytes", ctypes.c_ubyte * 4))


@pytest.fixture(params=["ours", "multiprocessing's", "none"])
def lock(request):
    """What to give for `lock`; there are locks of ours only where the core is."""
    if request.param == "ours" and not pyipc.capabilities()["sync.locks"]:
        pytest.skip("no locks of ours on this backend")
    return {"ours": True, "multiprocessing's": threading.RLock(), "none": False}[request.param]


def forked(function):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# ---- values ----


@pytest.mark.parametrize("code", LIMITS)
def test_a_value_of_each_typecode(code, lock):
    least, most = LIMITS[code]
    value = Value(code, most, lock=lock)
    assert value.value == most
    value.value = least
    assert value.value == least
    forked(lambda: setattr(value, "value", most))
    assert value.value == most


def test_without_arguments_it_is_zero(lock):
    assert Value("i", lock=lock).value == 0
    assert Value("d", lock=lock).value == 0.0
    assert Value("c", lock=lock).value == b"\0"
    assert Value(ctypes.c_bool, lock=lock).value is False
    assert list(Array("q", 3, lock=lock)) == [0, 0, 0]


def test_a_structure_has_its_fields(lock):
    point = Value(Point, 1, 2.5, lock=lock)
    assert (point.x, point.y, list(point.tags)) == (1, 2.5, [0] * 4)
    point.x = 7
    point.tags[1] = 3

    def change():
        point.y = 8.5
        point.tags[2] = 4

    forked(change)
    assert (point.x, point.y, list(point.tags)) == (7, 8.5, [0, 3, 4, 0])
    either = Value(Either, lock=lock)
    either.number = 0x01020304
    assert list(either.bytes) == [4, 3, 2, 1]


def test_a_field_that_is_none_is_an_error():
    point = Value(Point, lock=threading.RLock())
    with pytest.raises(AttributeError):
        point.z  # noqa: B018
    with pytest.raises(AttributeError, match="z"):
        point.z = 3
    assert isinstance(point.get_obj(), Point)


# ---- arrays ----


def test_items_and_slices(lock):
    array = Array("i", [1, 2, 3, 4, 5], lock=lock)
    assert len(array) == 5
    assert list(array) == [1, 2, 3, 4, 5]
    assert (array[0], array[-1], array[1:3], array[::-2]) == (1, 5, [2, 3], [5, 3, 1])
    array[0] = -7
    array[1:3] = [8, 9]
    forked(lambda: array.__setitem__(4, 6))
    assert array[:] == [-7, 8, 9, 4, 6]
    for wrong in 5, -6:
        with pytest.raises(IndexError):
            array[wrong]
    with pytest.raises(ValueError, match="size"):
        array[0:2] = [1, 2, 3]
    with pytest.raises(TypeError):
        array[0] = "x"
    assert 9 in array
    assert sum(array) == 20


def test_an_array_from_anything_that_can_be_gone_through(lock):
    assert list(Array("h", range(3), lock=lock)) == [0, 1, 2]
    assert list(Array("h", (number for number in (5, 6)), lock=lock)) == [5, 6]
    assert list(Array("h", [], lock=lock)) == []
    assert len(Array("h", 0, lock=lock)) == 0
    assert list(Array(ctypes.c_ushort, 2, lock=lock)) == [0, 0]
    with pytest.raises(ValueError, match="length"):
        Array("h", -1, lock=lock)


def test_characters_have_a_value_and_raw_bytes(lock):
    text = Array("c", b"hello", lock=lock)
    assert (text.value, text.raw, text[1:3]) == (b"hello", b"hello", b"el")
    text.value = b"hi"
    assert (text.value, text.raw) == (b"hi", b"hi\0lo")
    text.raw = b"abcde"
    assert text.value == b"abcde"


def test_arrays_of_structures_and_of_arrays(lock):
    points = Array(Point, [(1, 2.0), (3, 4.0)], lock=lock)
    points[0].x = 9
    assert [(point.x, point.y) for point in points] == [(9, 2.0), (3, 4.0)]
    rows = Array(ctypes.c_int * 3, 2, lock=lock)
    rows[1][2] = 5
    forked(lambda: rows[0].__setitem__(0, 4))
    assert [list(row) for row in rows] == [[4, 0, 0], [0, 0, 5]]


def test_two_never_share_memory(lock):
    made = [Value("i", number, lock=lock) for number in range(5)]
    made[2].value = 77
    assert [value.value for value in made] == [0, 1, 77, 3, 4]


# ---- locks ----


@needed
def test_its_lock_is_one_of_ours_unless_another_is_given():
    for value in Value("i"), Value("i", lock=None), Array("i", 2), Value(Point):
        assert type(value.get_lock()) is sync.RLock
        with value, value.get_lock():  # it is recursive
            assert value.acquire() is True
            value.release()
    theirs = multiprocessing.RLock()
    assert Value("i", lock=theirs).get_lock() is theirs
    del theirs


def test_without_a_lock_it_is_the_object_itself():
    value, array = Value("i", 5, lock=False), Array("i", 3, lock=False)
    assert isinstance(value, ctypes.c_int)
    assert isinstance(array, ctypes.c_int * 3)
    for one in value, array:
        assert not hasattr(one, "get_lock")
        assert not hasattr(one, "get_obj")


def test_what_is_no_lock_is_an_error():
    for make in (lambda: Value("i", 5, lock="no lock")), (lambda: Array("i", 5, lock=3)):
        with pytest.raises(AttributeError, match="acquire"):
            make()
    for wrong in "x", "", "ii":
        with pytest.raises(ValueError, match="typecode"):
            Value(wrong, lock=False)


@pytest.mark.skipif(pyipc.capabilities()["sync.locks"], reason="this backend has locks")
def test_without_the_core_they_need_another_lock():
    for make in (lambda: Value("i")), (lambda: Array("i", 3)):
        with pytest.raises(pyipc.UnsupportedError):
            make()


def test_each_access_takes_the_lock():
    class Noting:
        def __init__(self):
            self.taken = 0

        def acquire(self):
            self.taken += 1

        def release(self):
            pass

        def __enter__(self):
            self.acquire()

        def __exit__(self, *_):
            pass

    noting = Noting()
    value, array, text, point = (
        Value("i", lock=noting),
        Array("i", 3, lock=noting),
        Array("c", 3, lock=noting),
        Value(Point, lock=noting),
    )
    point_x = lambda: point.x  # noqa: E731
    for access in (
        lambda: value.value,
        lambda: setattr(value, "value", 1),
        lambda: array[0],
        lambda: array.__setitem__(slice(0, 2), [1, 2]),
        lambda: text.value,
        lambda: setattr(text, "raw", b"abc"),
        point_x,
        lambda: setattr(point, "x", 1),
    ):
        before = noting.taken
        access()
        assert noting.taken == before + 1
    assert value.get_obj().value == 1


@needed
def test_many_processes_lose_nothing():
    value = Value("q")
    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            for _ in range(500):
                with value.get_lock():
                    value.value += 1
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    assert value.value == 2000


@needed
def test_one_that_is_killed_with_its_lock_keeps_nobody_from_it():
    value = Value("i", 1)
    ready, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        value.acquire()
        os.write(said, b"x")
        signal.pause()
    os.read(ready, 1)
    assert value.acquire(timeout=0.02) is False
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    started = time.monotonic()
    value.value = 2
    assert time.monotonic() - started < 1
    os.close(ready)
    os.close(said)


# ---- pickles ----


def carry(say, hear, method, locks):
    import ctypes
    import multiprocessing

    from pyipc.sync import Array, Value

    context = multiprocessing.get_context(method)
    lock = {"ours": True, "theirs": context.RLock(), "none": False}[locks]
    value, array, text = Value("i", 4, lock=lock), Array("d", 4, lock=lock), Array("c", b"hello", lock=lock)
    rows = Array(ctypes.c_int * 3, 2, lock=lock)
    for function, arguments in (
        (setattr, (value, "value", 9)),
        (array.__setitem__, (slice(1, 3), [7, 8])),
        (setattr, (text, "value", b"hi")),
        (rows.__setitem__, (1, (1, 2, 3))),
    ):
        child = context.Process(target=function, args=arguments)
        child.start()
        child.join()
        say(child.exitcode)
    say((value.value, list(array), text.value, [list(row) for row in rows]))
    if locks != "theirs":  # which goes by inheritance alone
        reading, writing = context.Pipe()
        writing.send([value, value, array])
        one, same, other = reading.recv()
        one.value = 11
        other[0] = 2.5
        say((one is same, value.value, array[0]))
        reading.close()
        writing.close()
    del child, lock, value, array, text, rows, function, arguments


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("locks", ["ours", "theirs", "none"])
def test_they_go_through_multiprocessing(child, method, locks):
    if locks == "ours" and not pyipc.capabilities()["sync.locks"]:
        pytest.skip("no locks of ours on this backend")
    other = child(carry, method, locks)
    assert [other.hear() for _ in range(4)] == [0] * 4
    assert other.hear() == (9, [0.0, 7.0, 8.0, 0.0], b"hi", [[0, 0, 0], [1, 2, 3]])
    if locks != "theirs":
        assert other.hear() == (True, 11, 2.5)
    assert other.end() == 0


def test_only_multiprocessing_can_pickle_one(lock):
    for value in Value("i", 3, lock=lock), Array("i", 3, lock=lock), Value(Point, lock=lock):
        with pytest.raises(TypeError):
            pickle.dumps(value)
