"""Handles through pickles: multiprocessing carries them whole, everything else is told why it cannot.

What multiprocessing does runs in a script of its own, since it keeps servers and threads until it ends.
"""

from __future__ import annotations

import pytest

METHODS = ["fork", "spawn", "forkserver"]
STARTED_ANEW = METHODS[1:]

pytestmark = pytest.mark.needs("fds.eventfd")

KINDS = ["Handle", "Eventfd", "Pidfd", "Memory", "Memory", "Memory"]

# What the other process says of the handles that it got, and what they show here afterwards.
THERE = {
    "types": KINDS,
    "cloexec": [True] * 6,
    "eventfd": 3,
    "sizes": (100_000, 100_000, 5000),
    "read_only": (False, True, True),
    "frozen": (False, False, True),
    "read": (b"parent's", b"parent's", b"fixed"),
    "refused": ("AccessError", "AccessError"),
}
HERE = {
    "pipe": b"from the other",
    "eventfd": 5,
    "memory": b"parent'schild's",
    "reader": b"parent'schild's",
    "frozen": b"fixed",
    "pidfd": True,
    "cloexec": True,
}


@pytest.fixture
def carried(child):
    """Run a scenario of children/carries_handles.py; it leaves nothing open."""

    def run(*scenario):
        other = child("carries_handles.py", *scenario)
        answer, left = other.hear(timeout=40)
        assert left == []
        assert other.end() == 0
        return answer

    return run


# ---- as arguments of a process ----


@pytest.mark.parametrize("method", METHODS)
def test_handles_are_arguments_of_a_new_process(carried, method):
    there, here, pid, status, _, _ = carried("as_arguments", method)
    assert there.pop("pid") == pid
    assert there == THERE
    assert here == HERE
    assert status == 0


@pytest.mark.parametrize("method", STARTED_ANEW)
def test_a_new_process_has_nothing_open_but_its_handles(carried, method):
    *_, with_them, without = carried("as_arguments", method)
    assert with_them == without, "open, and inheritable, after the handles were closed there"


@pytest.mark.parametrize("method", METHODS)
def test_handles_arrive_in_containers_and_one_that_is_there_twice_is_one(carried, method):
    answer, status = carried("in_containers", method)
    assert answer == (True, b"deep", 7, "Pidfd")
    assert status == 0


@pytest.mark.parametrize("kind", ["memory", "eventfd"])
@pytest.mark.parametrize("method", STARTED_ANEW)
def test_a_handle_that_is_pickled_again_and_again_arrives_as_often(carried, method, kind):
    first, second, closed = carried("the_same_again", method, kind)
    assert first == second == ((True, 3, True), 0)
    assert not closed


@pytest.mark.parametrize("method", METHODS)
def test_a_kind_of_handle_of_ones_own_arrives_as_that(carried, method):
    assert carried("kind_of_ones_own", method) == (("Counter", 4), 0)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_many_go_at_once(carried, method):
    assert carried("many", method, 300) == 0


def test_the_fork_server_passes_so_many_at_once_and_more_is_a_limit_error(carried):
    limit, value, text = carried("many", "forkserver", 300)
    assert f"{limit} is {value}" in text
    assert value > 240
    assert carried("many", "forkserver", value) == 0
    assert carried("many", "forkserver", value + 1)[:2] == (limit, value)


@pytest.mark.parametrize("method", STARTED_ANEW)
def test_a_closed_handle_starts_no_process_and_the_next_one_does(carried, method):
    assert carried("closed_argument", method) == ("ClosedError", 0)


# ---- over connections, queues, pools ----


@pytest.mark.parametrize("method", METHODS)
def test_handles_go_over_a_connection_both_ways(carried, method):
    (there, here, pid), (back, answer, others_pid), status = carried("over_a_pipe", method)
    assert there.pop("pid") == pid
    assert back.pop("pid") == others_pid
    assert there == back == THERE
    assert here == answer == HERE
    assert status == 0


@pytest.mark.parametrize("kind", ["Queue", "SimpleQueue", "JoinableQueue"])
@pytest.mark.parametrize("method", METHODS)
def test_handles_go_over_queues(carried, method, kind):
    told, as_before, status = carried("over_queues", method, kind)
    assert told == [("Memory", True), ("Eventfd", True)] * 3 + [(b"seen", 15)]
    assert as_before, "the other process has something open"
    assert status == 0


@pytest.mark.parametrize("method", METHODS)
def test_handles_go_to_the_workers_of_a_pool_and_come_back(carried, method):
    results, memory, eventfd = carried("in_a_pool", method)
    assert results == [(b"result", True)] * 4
    assert (memory, eventfd) == (b"worker's", 400)


@pytest.mark.parametrize("method", METHODS)
def test_handles_go_to_an_executor_and_come_back(carried, method):
    assert carried("in_an_executor", method) == (b"result", b"worker's", 100)


@pytest.mark.parametrize("how", ["ended", "killed"])
def test_what_a_process_sent_before_it_ended_is_gone_with_it_and_nobody_hangs(carried, how):
    assert carried("from_the_dead", "fork", how) == ("PeerGoneError", -9 if how == "killed" else 0, True)


def test_a_pickle_carries_its_handle_once(carried):
    assert carried("taken_twice") == (b"once", "PeerGoneError", b"once")


def test_a_closed_handle_goes_nowhere_and_the_next_one_does(carried):
    assert carried("closed_over_a_pipe") == ("ClosedError", b"next", True)


# ---- elsewhere ----


def pickle_everywhere(say, hear, directory, with_multiprocessing):
    import copy
    import io
    import os
    import pickle
    import shelve
    import sys
    import threading

    import pyipc
    from pyipc import fds
    from pyipc.memory import Memory

    handles = [fds.Handle(os.dup(0)), fds.Eventfd.create(), fds.Pidfd.open(os.getpid()), Memory(100)]
    if with_multiprocessing:
        from multiprocessing.reduction import ForkingPickler

        with pickle.loads(ForkingPickler.dumps(handles[0])):
            pass  # where it can be carried, it can
        from multiprocessing import resource_sharer

        resource_sharer.stop()
    else:
        assert "multiprocessing" not in sys.modules
    before = len(os.listdir("/proc/self/fd"))

    def keep(handle):
        with shelve.open(f"{directory}/shelf") as shelf:
            shelf["handle"] = handle

    ways = (
        pickle.dumps,
        lambda handle: pickle.dumps([{"deep": (handle,)}]),
        *(lambda handle, protocol=protocol: pickle.dumps(handle, protocol) for protocol in range(6)),
        lambda handle: pickle.Pickler(io.BytesIO()).dump({handle.fileno(): handle}),
        lambda handle: pickle._Pickler(io.BytesIO()).dump(handle),
        copy.copy,
        copy.deepcopy,
        lambda handle: copy.deepcopy([handle]),
        keep,
    )

    def told(way, handle):
        try:
            way(handle)
        except (TypeError, pyipc.ClosedError) as problem:
            return type(problem).__name__, str(problem)

    for handle in handles:
        say([told(way, handle) for way in ways])
    say((len(os.listdir("/proc/self/fd")) - before, threading.active_count()))
    for handle in handles:
        handle.close()
        say({told(way, handle)[0] for way in ways})


@pytest.mark.parametrize("with_multiprocessing", [False, True])
def test_pickles_and_copies_that_carry_no_descriptor_are_refused_with_the_reason(
    child, tmp_path, with_multiprocessing
):
    other = child(pickle_everywhere, str(tmp_path), with_multiprocessing, measured=False)
    for _ in range(4):
        for kind, reason in other.hear():
            assert kind == "TypeError"
            assert "pickled only by multiprocessing" in reason or "dup()" in reason
    assert other.hear() == (0, 1), "a server was started, or a descriptor is left open"
    assert [other.hear() for _ in range(4)] == [{"ClosedError"}] * 4
    assert other.end() == 0


@pytest.mark.parametrize("method", STARTED_ANEW)
def test_memory_of_huge_pages_is_carried_too(carried, method, huge_page_pool):
    pool = huge_page_pool / "nr_hugepages"
    before = pool.read_text()
    try:
        pool.write_text(str(int(before) + 2))
    except OSError:
        pytest.skip("only root can configure huge pages")
    try:
        if int(pool.read_text()) < int(before) + 2:
            pytest.skip("the machine's memory is too much in pieces for huge pages")
        assert carried("huge_memory", method) == ((2 << 20, False, b"huge"), 0)
    finally:
        pool.write_text(before)
