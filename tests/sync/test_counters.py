"""Counters: nothing is lost or counted twice between processes, threads and deaths."""

from __future__ import annotations

import os
import pickle
import threading

import pytest

import pyipc
from pyipc.sync import Counter, Counters

LEAST, MOST = -(2**63), 2**63 - 1

needed = pytest.mark.needs("sync.counters")


@pytest.mark.skipif(pyipc.capabilities()["sync.counters"], reason="this backend has counters")
def test_without_the_core_there_are_none():
    for make in Counter, lambda: Counters(3):
        with pytest.raises(pyipc.UnsupportedError):
            make()


@pytest.fixture(params=["one", "of several"])
def counter(request):
    """A counter, alone or among others, by the calls of the one that is alone."""
    if request.param == "one":
        with Counter() as alone:
            yield alone
        return
    with Counters(3) as several:
        yield _Second(several)
        assert (several[0], several[2]) == (0, 0)


class _Second:
    """The second of several."""

    def __init__(self, counters):
        self.counters = counters

    def add(self, *n):
        return self.counters.add(1, *n)

    def exchange(self, value):
        return self.counters.exchange(1, value)

    def compare_exchange(self, expected, value):
        return self.counters.compare_exchange(1, expected, value)

    @property
    def value(self):
        return self.counters[1]

    @value.setter
    def value(self, value):
        self.counters[1] = value


@needed
def test_each_call_does_what_it_says(counter):
    assert counter.value == 0
    assert counter.add() == 1
    assert counter.add(41) == 42
    assert counter.add(-50) == -8
    assert counter.add(0) == -8
    assert counter.exchange(7) == -8
    assert counter.compare_exchange(8, 9) is False
    assert counter.value == 7
    assert counter.compare_exchange(7, 9) is True
    assert counter.value == 9
    counter.value = LEAST
    assert counter.value == LEAST
    assert counter.add(-1) == MOST  # it goes round


@needed
def test_numbers_that_do_not_fit_are_value_errors_and_change_nothing(counter):
    counter.value = 5

    def put(number):
        counter.value = number

    for wrong in MOST + 1, LEAST - 1, 2**64, 10**30:
        for call in counter.add, counter.exchange, put, lambda n: counter.compare_exchange(5, n):
            with pytest.raises(ValueError, match=str(wrong)):
                call(wrong)
    for wrong in "1", 1.5, None, b"1":
        for call in counter.add, counter.exchange, put, lambda n: counter.compare_exchange(5, n):
            with pytest.raises(TypeError):
                call(wrong)
    assert counter.value == 5


@needed
def test_it_begins_with_the_value_that_it_is_given():
    with Counter(-3) as counter:
        assert counter.value == -3
        assert repr(counter) == "<counter of -3>"


@needed
def test_several_are_as_many_as_asked_for():
    with Counters(1000) as counters:
        assert len(counters) == 1000
        counters.add(999, 5)
        assert counters.exchange(0, 1) == 0
        assert list(counters) == [1, *[0] * 998, 5]
        assert repr(counters) == "<1000 counters>"
        for wrong in -1, 1000, 2**64, -(2**70):
            for call in counters.__getitem__, counters.add, lambda i: counters.exchange(i, 1):
                with pytest.raises(IndexError, match="999"):
                    call(wrong)
        with pytest.raises(TypeError):
            counters["1"]
        assert sum(counters) == 6


@needed
@pytest.mark.parametrize("wrong", [0, -1, 2**40])
def test_a_count_that_makes_no_sense_is_a_value_error(wrong):
    with pytest.raises(ValueError, match=str(wrong)):
        Counters(wrong)


@needed
@pytest.mark.parametrize("make", [Counter, lambda: Counters(2)])
def test_a_closed_one_is_refused(make):
    counter = make()
    counter.close()
    counter.close()
    assert counter.closed
    assert "closed" in repr(counter)
    if isinstance(counter, Counter):
        calls = [counter.add, lambda: counter.value, lambda: counter.exchange(1)]
    else:
        calls = [lambda: counter.add(0), lambda: counter[0], lambda: len(counter)]
    for call in [*calls, lambda: pickle.dumps(counter)]:
        with pytest.raises(pyipc.ClosedError):
            call()


@needed
def test_only_multiprocessing_can_pickle_one():
    with Counter() as counter, pytest.raises(TypeError, match="multiprocessing"):
        pickle.dumps(counter)


@needed
def test_threads_count_each_once():
    with Counter() as counter:

        def count():
            for _ in range(2000):
                counter.add()
                while not counter.compare_exchange(seen := counter.value, seen + 1):
                    pass

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counter.value == 16000


@needed
def test_a_forked_child_has_it():
    with Counter() as counter:
        pid = os.fork()
        if pid == 0:
            counter.add(5)
            os._exit(0)
        os.waitpid(pid, 0)
        assert counter.value == 5


def count_in_children(say, hear, method):
    import multiprocessing

    from pyipc.sync import Counter, Counters

    context = multiprocessing.get_context(method)
    one, several = Counter(), Counters(2)
    children = [context.Process(target=one.add, args=(1,)) for _ in range(3)]
    children += [context.Process(target=several.add, args=(1, 10)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    say((one.value, list(several), [child.exitcode for child in children]))
    reading, writing = context.Pipe()
    writing.send(one)
    twin = reading.recv()
    say((twin.add(1), one.value))
    for each in one, several, twin, reading, writing:
        each.close()
    del children, child


@needed
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_count_together(child, method):
    other = child(count_in_children, method)
    assert other.hear() == (3, [0, 20], [0] * 5)
    assert other.hear() == (4, 4)
    assert other.end() == 0


@needed
def test_many_processes_lose_nothing():
    with Counter() as counter:
        pids = []
        for _ in range(4):
            pid = os.fork()
            if pid == 0:
                for _ in range(20_000):
                    counter.add()
                os._exit(0)
            pids.append(pid)
        for pid in pids:
            os.waitpid(pid, 0)
        assert counter.value == 80_000


@needed
def test_what_c_stands_in_for_does_what_python_does():
    with Counter() as counter:
        slow = getattr(counter, "_py_add", counter.add)
        assert [counter.add(), slow(), counter.add(5), slow(5), counter.add(n=-2), slow(n=-2)] == [
            1,
            2,
            7,
            12,
            10,
            8,
        ]
        assert counter.add(True) == 9
        for call in counter.add, slow:
            with pytest.raises(TypeError):
                call(1, 2)
