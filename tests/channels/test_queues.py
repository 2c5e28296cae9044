"""Queue and JoinableQueue: objects, arrays upon the queue's memory, and what goes wrong with them."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import pickle
import queue as standard
import signal
import socket
import struct
import threading
import time

import numpy as np
import pytest

import pyipc
from pyipc import channels, fds
from pyipc.channels import objects

pytestmark = pytest.mark.needs("channels")

MIB = 1 << 20


@pytest.fixture
def queue():
    made = channels.Queue(8, capacity=4 * MIB)
    yield made
    made.close()


@pytest.fixture
def tasks():
    made = channels.JoinableQueue(8, capacity=MIB)
    yield made
    made.close()


class Plain:
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return type(other) is Plain and other.value == self.value

    __hash__ = None


OBJECTS = [
    None,
    True,
    12345678901234567890,
    1.5,
    "text",
    b"bytes",
    bytearray(b"more"),
    (1, [2, {"three": {4}}]),
    b"x" * 1008,
    b"x" * 5000,
    "y" * 2_000_000,
    list(range(10_000)),
    {"nested": [{"deep": (None,)}] * 3},
    len,
    KeyError("problem"),
]


@pytest.mark.parametrize("obj", OBJECTS, ids=lambda it: f"{type(it).__name__}")
def test_objects_arrive_as_they_are(queue, obj):
    for _ in range(3):
        queue.put(obj)
        came = queue.get(timeout=0)
        assert type(came) is type(obj)
        assert repr(came) == repr(obj) if isinstance(obj, KeyError) else came == obj


def test_an_object_of_ones_own(queue, fork):
    queue.put(Plain([1, 2]))
    assert queue.get() == Plain([1, 2])

    def echoes(other):
        queue.put(Plain(queue.get(timeout=20)))

    other = fork(echoes)
    queue.put(Plain("there"))
    assert other.end() == 0
    assert queue.get(timeout=5) == Plain(Plain("there"))


def test_pickles_of_any_size_around_that_of_a_slot(queue):
    for size in range(960, 1030):
        data = os.urandom(size)
        queue.put(data)
        assert queue.get(timeout=0) == data


# ---- as multiprocessing has it ----


def test_full_and_empty(queue):
    assert (queue.empty(), queue.full(), queue.qsize()) == (True, False, 0)
    for i in range(8):
        queue.put_nowait(i)
    assert (queue.empty(), queue.full(), queue.qsize()) == (False, True, 8)
    for put in (
        lambda: queue.put_nowait(8),
        lambda: queue.put(8, False),
        lambda: queue.put(8, block=False, timeout=7),
        lambda: queue.put(8, True, 0),
        lambda: queue.put(8, timeout=-1),
        lambda: queue.put("x" * 5000, False),
    ):
        with pytest.raises(standard.Full):
            put()
    assert [queue.get_nowait() for _ in range(8)] == list(range(8))
    for get in (
        queue.get_nowait,
        lambda: queue.get(False),
        lambda: queue.get(block=False, timeout=7),
        lambda: queue.get(True, 0),
        lambda: queue.get(timeout=-1),
    ):
        with pytest.raises(standard.Empty):
            get()


@pytest.mark.parametrize("timeout", [0.05, 0.3])
def test_timeouts_are_kept(queue, timeout):
    begun = time.monotonic()
    with pytest.raises(standard.Empty):
        queue.get(timeout=timeout)
    assert timeout <= time.monotonic() - begun < timeout + 0.3
    for _ in range(8):
        queue.put(1)
    begun = time.monotonic()
    with pytest.raises(standard.Full):
        queue.put(1, timeout=timeout)
    assert timeout <= time.monotonic() - begun < timeout + 0.3


def test_what_is_no_timeout(queue):
    queue.put(1)
    for call in lambda it: queue.get(True, it), lambda it: queue.put(2, True, it):
        for timeout in "1", object():
            with pytest.raises(TypeError):
                call(timeout)
    assert (queue.qsize(), queue.get()) == (1, 1)


def test_the_bound_is_what_was_asked_for_and_4096_otherwise():
    for asked, bound in (1, 1), (3, 3), (0, 4096), (-1, 4096):
        queue = channels.Queue(asked)
        for i in range(bound):
            queue.put_nowait(i)
        with pytest.raises(standard.Full):
            queue.put_nowait(None)
        assert queue.qsize() == bound
        queue.close()


def test_waits_end_with_what_they_wait_for(queue, waiter, slept):
    with slept(queue._channel):
        getting = waiter(queue.get)
    queue.put("x")
    assert getting.outcome() == "x"
    for i in range(8):
        queue.put(i)
    with slept(queue._channel):
        putting = waiter(queue.put, "later")
    assert queue.get() == 0
    assert putting.outcome() is None


def test_a_closed_queue_says_so(queue, waiter, slept):
    with slept(queue._channel):
        getting = waiter(queue.get)
    queue.close()
    assert isinstance(getting.outcome(), pyipc.ClosedError)
    queue.close()
    queue.join_thread()
    queue.cancel_join_thread()
    for call in (
        lambda: queue.put(1),
        lambda: queue.put_nowait(np.zeros(MIB, "u1")),
        queue.get,
        queue.get_nowait,
        queue.qsize,
        queue.empty,
        queue.full,
        queue.fileno,
    ):
        with pytest.raises(ValueError, match="is closed"):
            call()
    assert repr(queue) == "<queue, closed>"


def test_a_queue_that_is_dropped_closes_itself_in_silence():
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    queue = channels.JoinableQueue()
    assert repr(queue) == "<joinablequeue>"
    assert len(os.listdir("/proc/self/fd")) > before
    del queue
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_was_put_outlives_who_put_it(queue, fork):
    def puts(other):
        for i in range(5):
            queue.put((i, "x" * i * 500))
        os.kill(os.getpid(), signal.SIGKILL)

    assert fork(puts).end() == -signal.SIGKILL
    assert [queue.get(timeout=0) for _ in range(5)] == [(i, "x" * i * 500) for i in range(5)]


def test_many_threads(queue):
    each, threads, came = 1000, 4, []

    def puts(number):
        for i in range(each):
            queue.put((number, i, b"x" * (i % 1500)), timeout=20)

    def gets():
        while True:
            value = queue.get(timeout=20)
            if value is None:
                return
            number, i, filling = value
            assert filling == b"x" * (i % 1500)
            came.append((number, i))

    putting = [threading.Thread(target=puts, args=[i]) for i in range(threads)]
    getting = [threading.Thread(target=gets) for _ in range(threads)]
    for thread in putting + getting:
        thread.start()
    for thread in putting:
        thread.join()
    for _ in getting:
        queue.put(None)
    for thread in getting:
        thread.join()
    assert sorted(came) == [(number, i) for number in range(threads) for i in range(each)]


# ---- arrays ----

ARRAYS = {
    "large": np.arange(500_000, dtype="f4"),
    "of two dimensions": np.arange(1 << 16, dtype="i8").reshape(256, 256),
    "fortran": np.asfortranarray(np.arange(1 << 16, dtype="i8").reshape(256, 256)),
    "in pieces": np.arange(1 << 18, dtype="i4")[::3],
    "transposed in pieces": np.arange(1 << 18, dtype="i4").reshape(512, 512).T[::2, 5:],
    "small": np.arange(10),
    "just too small": np.zeros(objects._WORTH_IT - 1, "u1"),
    "just large enough": np.zeros(objects._WORTH_IT, "u1"),
    "empty": np.empty((0, 5)),
    "of no dimension": np.array(7.5),
    "of records": np.zeros(10_000, dtype=[("a", "i4"), ("b", "f8")]),
    "of texts": np.array(["abc", "de"] * 10_000),
    "of objects": np.array([1, "x", None], dtype=object),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_arrive_as_they_are(queue, name):
    array = ARRAYS[name]
    queue.put(array)
    came = queue.get(timeout=0)
    assert came.dtype == array.dtype
    assert came.shape == array.shape
    assert np.array_equal(came, array)
    if array.size:
        came.flat[0] = came.flat[-1]  # the receiver's own


def test_a_large_array_is_made_upon_the_queues_memory(queue):
    queue.put(np.arange(MIB, dtype="u1"))
    came = queue.get()
    assert not came.flags.owndata
    assert came.flags.writeable
    assert came.ctypes.data % 64 == 0


def test_arrays_live_on_and_can_be_written_when_the_queue_is_closed(fork):
    queue = channels.Queue(capacity=4 * MIB)

    def puts(other):
        queue.put(np.full(MIB, 7, "u1"))

    assert fork(puts).end() == 0
    came = queue.get(timeout=5)
    queue.close()
    gc.collect()
    came[::2] += 1
    part = came[5:1000]
    del came
    gc.collect()
    assert part.tolist() == [7, 8] * 497 + [7]


def test_memory_is_free_when_arrays_go_and_can_be_used_again_and_again(queue):
    array = np.arange(3 * MIB, dtype="u1")
    for i in range(100):
        array[0] = i
        queue.put(array, False)
        came = queue.get(False)
        assert (came[0], came[-1]) == (i, 255)
        del came
    queue.put(array, False)
    held = queue.get(False)
    with pytest.raises(standard.Full):
        queue.put(array, False)
    part = held[7:9]
    del held
    gc.collect()
    with pytest.raises(standard.Full):
        queue.put(array, timeout=0.02)
    del part
    queue.put(array, False)


def test_memory_of_a_process_that_has_died_is_free_too(queue, fork):
    array = np.zeros(3 * MIB, "u1")

    def gets(other):
        held = queue.get(timeout=20)
        other.say(len(held))
        signal.pause()

    other = fork(gets)
    queue.put(array)
    assert other.hear() == 3 * MIB
    with pytest.raises(standard.Full):
        queue.put(array, False)
    other.kill()
    queue.put(array, timeout=5)


def test_several_buffers_in_one_object_whatever_their_kinds(queue):
    arrays = [np.full(20_000 + i, i, "u2") for i in range(20)]
    obj = {
        "arrays": arrays,
        "again": arrays[3],
        "bytes": bytearray(b"y" * 50_000),
        "plain": pickle.PickleBuffer(b"z" * 40_000),
        "nothing": np.empty(0),
        "text": "t" * 30_000,
    }
    queue.put(obj)
    came = queue.get()
    assert all(np.array_equal(one, other) for one, other in zip(came["arrays"], arrays))
    assert came["again"] is came["arrays"][3]
    assert came["bytes"] == obj["bytes"]
    assert bytes(came["plain"]) == b"z" * 40_000
    assert (came["text"], came["nothing"].size) == (obj["text"], 0)
    came["arrays"][0][:] = 9
    assert came["arrays"][1][0] == 1


def test_buffers_that_share_memory_arrive_each_as_its_own(queue):
    base = np.arange(100_000)
    queue.put((base, base[:50_000], base[::-1]))
    whole, half, reverse = queue.get()
    assert np.array_equal(whole, base)
    assert np.array_equal(half, base[:50_000])
    assert np.array_equal(reverse, base[::-1])


def test_what_is_longer_than_the_capacity(queue):
    for obj in np.zeros(5 * MIB, "u1"), b"x" * (5 * MIB):
        with pytest.raises(pyipc.LimitError, match="capacity"):
            queue.put(obj)
    queue.put("goes on")
    assert queue.get() == "goes on"


# ---- what goes wrong ----


class Unpicklable:
    def __reduce__(self):
        raise ZeroDivisionError


class Unloadable:
    def __reduce__(self):
        return divide, (1, 0)


def divide(one, other):
    return one // other


class PutsItself:
    """To pickle it puts something else into the same queue."""

    queue = None

    def __reduce__(self):
        self.queue.put(["within", np.ones(20_000)])
        return int, (7,)


def test_a_problem_while_pickling_leaves_nothing_behind(queue):
    large = np.zeros(3 * MIB, "u1")
    for obj in Unpicklable(), [large, Unpicklable()], {"a": 1, "b": [large, lambda: 0]}:
        with pytest.raises((ZeroDivisionError, AttributeError, pickle.PicklingError)):
            queue.put(obj)
        assert queue.empty()
        queue.put([1, large], False)
        number, came = queue.get(False)
        assert (number, len(came)) == (1, 3 * MIB)
        del came


def test_a_problem_while_loading_takes_that_object_away_and_no_more(queue):
    large = np.zeros(3 * MIB, "u1")
    queue.put(Unloadable())
    queue.put([large, Unloadable()])
    queue.put("next")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            queue.get()
    assert queue.get() == "next"
    gc.collect()
    queue.put(large, False)


def test_an_object_whose_pickling_puts_another(queue):
    PutsItself.queue = queue
    queue.put([PutsItself(), "x"])
    within, ones = queue.get()
    assert (within, ones.sum()) == ("within", 20_000)
    assert queue.get() == [7, "x"]


def test_each_put_is_for_itself(queue):
    """No memo is kept between two of them."""
    shared = ["the same"]
    for _ in range(3):
        queue.put([shared, shared])
    for _ in range(3):
        one, other = queue.get()
        assert one is other
        assert one == ["the same"]


def test_bytes_that_are_no_object(queue):
    channel = queue._channel
    for data in b"", b"nonsense", b"B", b"B" * 5000, b"\x80\x05" + bytes(5000), b"B" + bytes(5000):
        channel.send(data)
        with pytest.raises(
            (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, struct.error)
        ):
            queue.get()
    queue.put("goes on")
    assert queue.get() == "goes on"


def test_a_timeout_is_one_though_a_large_object_is_looked_for_twice():
    class Slow(channels.Channel):
        """Where another takes the large object that was seen."""

        def _receive(self, deadline, room, most):
            time.sleep(0.05)
            return -errno.EMSGSIZE

        def _take_loan(self, deadline, *, keep):
            self.deadline = deadline
            raise ZeroDivisionError

    begun = time.monotonic_ns()
    with Slow(4) as slow, pytest.raises(ZeroDivisionError):
        slow._recv_data(0.2)
    assert 0.2e9 <= slow.deadline - begun < 0.24e9


# ---- handles in a queue ----


@pytest.fixture
def sharer():
    """The thread of multiprocessing that hands out descriptors ends with the test."""
    from multiprocessing import resource_sharer

    yield
    resource_sharer.stop()


def test_sockets_and_handles_are_objects_too(queue, fork, sharer):
    def answers(other):
        sock, connection, channel, ours, eventfd = queue.get(timeout=20)
        sock.send(b"by a socket")
        connection.send("by a connection")
        channel.send(b"by a channel")
        ours.send("by ours")
        eventfd.write(5)
        for handle in sock, connection, channel, ours, eventfd:
            handle.close()

    other = fork(answers)
    one, theirs = socket.socketpair()
    here, there = multiprocessing.Pipe()
    mine, yours = channels.Pipe()
    channel, eventfd = channels.Channel(2, 64, 0), fds.Eventfd.create()
    with one, theirs, here, there, mine, yours, channel, eventfd:
        queue.put((theirs, there, channel, yours, eventfd))
        assert other.end() == 0
        assert one.recv(100) == b"by a socket"
        assert here.recv() == "by a connection"
        assert channel.recv(timeout=5) == b"by a channel"
        assert mine.recv() == "by ours"
        assert eventfd.read(timeout=5) == 5


def test_a_queue_through_itself(queue, sharer):
    queue.put(queue)
    again = queue.get()
    again.put("by the other")
    assert queue.get() == "by the other"
    again.close()
    queue.put("still")
    assert queue.get() == "still"


# ---- tasks ----


def test_tasks_are_joined(tasks, waiter, slept):
    assert tasks.join() is True
    for i in range(3):
        tasks.put(i)
    assert tasks.join(timeout=0) is False
    begun = time.monotonic()
    assert tasks.join(timeout=0.1) is False
    assert time.monotonic() - begun >= 0.1
    joining = waiter(tasks.join)
    for _ in range(3):
        assert joining.is_alive()
        tasks.get()
        tasks.task_done()
    assert joining.outcome() is True
    with pytest.raises(ValueError, match="too many times"):
        tasks.task_done()


def test_tasks_of_several_processes(tasks, fork):
    def works(other):
        while True:
            task = tasks.get(timeout=20)
            if task is not None:
                time.sleep(task / 1000)
            tasks.task_done()
            if task is None:
                return

    others = [fork(works) for _ in range(3)]
    for i in range(20):
        tasks.put(i % 4)
    begun = time.monotonic()
    assert tasks.join(20) is True
    assert time.monotonic() - begun < 5
    assert tasks.empty()
    for _ in others:
        tasks.put(None)
    assert tasks.join(20) is True
    assert [other.end() for other in others] == [0] * 3


def test_joins_in_several_processes_end_together(tasks, fork, blocked):
    def joins(other):
        other.say(tasks.join(20))

    tasks.put("x")
    others = [fork(joins) for _ in range(3)]
    for other in others:
        blocked(other.pid)
    tasks.get()
    tasks.task_done()
    begun = time.monotonic()
    assert [other.hear() for other in others] == [True] * 3
    assert time.monotonic() - begun < 0.5


def test_a_join_ends_with_the_handle(tasks, waiter, until):
    tasks.put("x")
    joining = waiter(tasks.join)
    until(lambda: tasks._channel._waiting)
    tasks.close()
    assert isinstance(joining.outcome(), pyipc.ClosedError)
    with pytest.raises(ValueError, match="is closed"):
        tasks.task_done()
    with pytest.raises(ValueError, match="is closed"):
        tasks.join()


def test_a_handler_ends_a_join(tasks, handling, ringing):
    def handler(number, frame):
        raise KeyError

    handling(signal.SIGALRM, handler)
    tasks.put("x")
    with pytest.raises(KeyError), ringing(0.05):
        tasks.join()


def looks_while_it_is_closed(say, hear):
    import contextlib
    import sys
    import threading
    import time

    from pyipc import channels

    def looks():
        while not over:
            with contextlib.suppress(ValueError):  # it is closed
                queues[0].qsize()

    sys.setswitchinterval(1e-6)
    over, queues = False, [channels.Queue(4, capacity=0)]
    threads = [threading.Thread(target=looks) for _ in range(2)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        queues[0] = queue = channels.Queue(4, capacity=0)
        queue.close()
    over = True
    for thread in threads:
        thread.join()
    say("alive")


def test_figures_are_read_while_another_thread_closes(child):
    other = child(looks_while_it_is_closed, measured=False)
    assert other.hear() == "alive"
    assert other.end() == 0
