"""The latest value: whole, newest and at once, whoever writes, dies, stops or cheats."""

from __future__ import annotations

import os
import pickle
import random
import resource
import signal
import threading
import time
from pathlib import Path

import pytest

import pyipc
from pyipc.sync import Latest

pytestmark = [pytest.mark.timeout(40)]

PATIENCE = 20

needed = pytest.mark.needs("sync.latest")


@pytest.mark.skipif(pyipc.capabilities()["sync.latest"], reason="this backend has cells")
def test_without_the_core_there_is_none():
    with pytest.raises(pyipc.UnsupportedError):
        Latest(10)


@pytest.fixture
def cell():
    with Latest(1000) as cell:
        yield cell


def forked(function, *arguments):
    """Run it in a fork of ours; its pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if function(*arguments) else 1
        finally:
            os._exit(status)
    return pid


def ended_well(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# ---- values ----


@needed
def test_the_newest_value_is_read_with_its_version(cell):
    assert cell.size == 1000
    assert (cell.get(), cell.version) == ((b"", 0), 0)
    for number, value in enumerate([b"x", b"", b"\0" * 1000, bytes(range(256)), b"1234567", b"12345678"], 1):
        assert cell.set(value) == number
        assert (cell.get(), cell.version) == ((value, number), number)
        assert cell.get() == (value, number)
    for value in bytearray(b"abc"), memoryview(b"abcdef")[::2], memoryview(b""):
        cell.set(value)
        assert cell.get()[0] == bytes(value)


@needed
@pytest.mark.parametrize("size", [1, 65536, 65537, 3_000_000])
def test_values_of_all_sizes(size):
    with Latest(size) as cell:
        for length in size, size // 2, size - 1, size:
            value = random.Random(length).randbytes(length)
            cell.set(value)
            assert cell.get()[0] == value
            cell.set(memoryview(bytearray(value)))
            assert cell.get()[0] == value
        with pytest.raises(ValueError, match=f"{size + 1} bytes"):
            cell.set(bytes(size + 1))
        assert cell.get() == (value, 8)


@needed
def test_what_is_no_value_is_an_error(cell):
    for wrong in None, 1, "text", [1]:
        with pytest.raises(TypeError):
            cell.set(wrong)
    for wrong in 0, -1, 2**26 + 1, 2**70:
        with pytest.raises(ValueError, match=str(wrong)):
            Latest(wrong)
    with pytest.raises(TypeError):
        Latest("10")
    for wrong in -1, 2**63:
        with pytest.raises(ValueError, match="version"):
            cell.wait(wrong, 0)
    for call in (lambda t: cell.wait(0, t)), (lambda t: cell.set(b"x", t)):
        with pytest.raises(ValueError, match="timeout"):
            call(-1)
    assert cell.version == 0


@needed
def test_a_closed_one_is_refused(cell):
    cell.close()
    cell.close()
    assert cell.closed
    assert "closed" in repr(cell)
    calls = [
        cell.get,
        lambda: cell.set(b"x"),
        lambda: cell.wait(0, 0),
        lambda: cell.version,
        lambda: cell.size,
    ]
    for call in [*calls, lambda: pickle.dumps(cell)]:
        with pytest.raises(pyipc.ClosedError):
            call()


# ---- other processes ----


@needed
def test_a_forked_child_writes_and_reads(cell):
    cell.set(b"parent's")
    assert ended_well(forked(lambda: cell.get() == (b"parent's", 1) and cell.set(b"child's") == 2))
    assert cell.get() == (b"child's", 2)


def pass_it_on(say, hear, method):
    import multiprocessing

    from pyipc.sync import Latest

    context = multiprocessing.get_context(method)
    cell = Latest(100)
    child = context.Process(target=cell.set, args=(b"from afar",))
    child.start()
    say(cell.wait(0, 20))
    say(cell.get())
    child.join()
    say(child.exitcode)
    reading, writing = context.Pipe()
    writing.send(cell)
    twin = reading.recv()
    say((twin.set(b"twin's"), cell.get(), twin.size))
    for each in cell, twin, reading, writing:
        each.close()
    del child


@needed
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_it_goes_through_multiprocessing(child, method):
    other = child(pass_it_on, method)
    assert other.hear() is True
    assert other.hear() == (b"from afar", 1)
    assert other.hear() == 0
    assert other.hear() == (2, (b"twin's", 2), 100)
    assert other.end() == 0


@needed
def test_only_multiprocessing_can_pickle_one(cell):
    with pytest.raises(TypeError, match="multiprocessing"):
        pickle.dumps(cell)


def write_for_ever(cell, first):
    length = first
    while True:
        length = length % 900 + 1
        cell.set(length.to_bytes(2, "little") * length)


def is_whole(value):
    length = int.from_bytes(value[:2], "little")
    return value == length.to_bytes(2, "little") * length


@needed
def test_readers_see_whole_values_while_writers_are_killed():
    with Latest(1800) as cell:
        writers = [forked(write_for_ever, cell, number) for number in (1, 400)]
        last, seen = 0, 0
        try:
            for round_ in range(60):
                assert cell.wait(last, PATIENCE)
                for _ in range(50):
                    value, version = cell.get()
                    assert is_whole(value)
                    assert version >= last
                    last, seen = version, seen + 1
                kill(writers.pop(0))  # in the middle of something
                writers.append(forked(write_for_ever, cell, round_ + 1))
            started = time.monotonic()
            assert cell.set(b"\1\0", timeout=PATIENCE) > last
            assert time.monotonic() - started < 1
        finally:
            for writer in writers:
                kill(writer)
        assert seen == 3000


@needed
def test_a_stopped_writer_stops_no_reader_and_a_killed_one_no_writer(cell):
    """One that has just begun to write: the guard is its own."""
    cell.set(b"before")
    ready, said = os.pipe()
    pid = forked(hold_the_guard, cell, said)
    assert os.read(ready, 1) == b"x"
    os.kill(pid, signal.SIGSTOP)
    assert cell.get() == (b"before", 1)
    assert cell.wait(0, 0) is True
    with pytest.raises(pyipc.WouldBlockError):
        cell.set(b"x", timeout=0)
    started = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):
        cell.set(b"x", timeout=0.1)
    assert 0.1 <= time.monotonic() - started < 1
    kill(pid)
    started = time.monotonic()
    assert cell.set(b"after", timeout=PATIENCE) == 2
    assert time.monotonic() - started < 0.5
    os.close(ready)
    os.close(said)


def hold_the_guard(cell, said):
    cell._member.join()
    cell._member.memory[128:132] = cell._member.state.me.id.to_bytes(4, "little")
    os.write(said, b"x")
    while True:
        signal.pause()


@needed
@pytest.mark.parametrize("size", [2**64 - 1, 1001, 2**32])
def test_nonsense_from_others_is_an_error(cell, size):
    cell.set(b"x")
    buffer = 384 + 4096 + 1 * 1024  # of version 1
    cell._member.memory[buffer : buffer + 8] = size.to_bytes(8, "little")
    with pytest.raises(pyipc.IPCError):
        cell.get()
    cell.set(b"y")
    assert cell.get() == (b"y", 2)


# ---- waiting ----


def wait_and_get(cell, version, timeout):
    return cell.wait(version, timeout) and cell.get() == (b"new", version + 1)


@needed
@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_a_wait_ends_with_a_newer_value(cell, timeout, until):
    for version in range(3):
        pids = [forked(wait_and_get, cell, version, timeout) for _ in range(3)]
        for pid in pids:
            until(lambda pid=pid: is_asleep(pid))
        cell.set(b"new")
        assert all(map(ended_well, pids))
        assert cell.wait(version) is True  # it is there already
        assert cell.wait(version, 0) is True


def is_asleep(pid):
    """It has one thread, and nothing else to sleep for."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@needed
@pytest.mark.parametrize("seconds", [0.001, 0.05, 0.3])
def test_a_timeout_is_never_early_and_hardly_late_and_costs_little(cell, seconds, costs_little):
    started = time.monotonic()
    with costs_little():
        assert cell.wait(0, seconds) is False
    assert seconds <= time.monotonic() - started < seconds + 0.5
    assert cell.wait(0, 0) is False


@needed
def test_who_waits_for_long_looks_around_once_a_second(cell):
    def switches():
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw

    cell.wait(0, 1)
    before = switches()
    assert cell.wait(0, 3) is False
    assert switches() - before < 20  # 9 sleeps until they are a second long, and then one a second


@needed
def test_handlers_run_during_a_wait_and_may_end_it(cell, ringing):
    came = []
    old = signal.signal(signal.SIGALRM, lambda *_: came.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        assert cell.wait(0, 0.2) is False
        assert len(came) > 3
        signal.setitimer(signal.ITIMER_REAL, 0)

        def late(*_):
            raise ZeroDivisionError

        signal.signal(signal.SIGALRM, late)
        with pytest.raises(ZeroDivisionError), ringing(0.01):
            cell.wait(0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert cell.set(b"x") == 1


@needed
def test_closing_wakes_those_who_wait(cell, until):
    outcomes = []

    def wait():
        try:
            outcomes.append(cell.wait(0))
        except pyipc.ClosedError as problem:
            outcomes.append(type(problem))

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: len(cell._waiting) == 2)
    started = time.monotonic()
    cell.close()
    for thread in threads:
        thread.join()
    assert outcomes == [pyipc.ClosedError] * 2
    assert time.monotonic() - started < 5


@needed
def test_threads_share_one_handle(cell):
    stop = []

    def read():
        while not stop:
            value, _ = cell.get()
            assert value == value[:1] * len(value)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(3000):
        cell.set(bytes([number % 256]) * (number % 1000))
    stop.append(True)
    for reader in readers:
        reader.join()
    assert cell.version == 3000


@needed
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_closing_while_others_read_is_an_error_for_them_and_no_crash(size):
    for _ in range(5):
        cell = Latest(size)
        cell.set(bytes(size))
        outcomes = []

        def read(cell=cell, outcomes=outcomes):
            try:
                while True:
                    cell.get()
                    cell.set(b"x" * size)
            except pyipc.ClosedError as problem:
                outcomes.append(type(problem))

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        cell.wait(5, PATIENCE)
        cell.close()
        for reader in readers:
            reader.join()
        assert outcomes == [pyipc.ClosedError] * 3


@needed
def test_what_c_stands_in_for_does_what_python_does(cell):
    slow_set, slow_get = (getattr(cell, f"_py_{name}", getattr(cell, name)) for name in ("set", "get"))
    for data in b"", b"x", b"12345678", bytes(1000):
        version = cell.set(data)
        assert slow_get() == cell.get() == (data, version)
        assert slow_set(data) == version + 1
        assert slow_get() == cell.get() == (data, version + 1)
        assert cell.set(data=data) == cell.set(data, timeout=1) - 1
    for call in cell.set, slow_set:
        with pytest.raises(ValueError, match="1001 bytes"):
            call(bytes(1001))
    for wrong in (lambda: cell.get(1)), (lambda: cell.set()), (lambda: cell.set(b"x", 1, 2)):
        with pytest.raises(TypeError):
            wrong()
