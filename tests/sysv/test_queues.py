from __future__ import annotations

import os
import pickle
import threading
import time
from pathlib import Path

import numpy
import pytest

import pyipc
from pyipc import sysv

MSGMAX = int(Path("/proc/sys/kernel/msgmax").read_text())


def row(id):
    with open("/proc/sysvipc/msg") as table:
        names = next(table).split()
        rows = [dict(zip(names, line.split())) for line in table]
    return next((row for row in rows if int(row["msqid"]) == id), None)


@pytest.fixture
def queue():
    with sysv.MessageQueue.create() as q:
        yield q


def fill(queue, text="abcdef"):
    """One message for each letter, of types 1, 2, 3, 1, 2, 3, ..."""
    for place, letter in enumerate(text):
        queue.send(letter.encode(), type=place % 3 + 1)


def drain(queue, **choice):
    taken = []
    while True:
        try:
            taken.append(queue.receive(timeout=0, **choice))
        except pyipc.WouldBlockError:
            return taken


def test_a_message_comes_out_as_it_went_in(queue):
    queue.send(b"job", type=3)
    message = queue.receive()
    assert message == (b"job", 3)
    assert (message.data, message.type) == (b"job", 3)
    assert repr(message) == "Message(data=b'job', type=3)"
    data, type = message
    assert (data, type) == (b"job", 3)


@pytest.mark.parametrize("data", [b"", b"\0\0", bytearray(b"array"), memoryview(b"every other")[::2]])
def test_anything_bytes_like_can_be_sent(queue, data):
    queue.send(data)
    assert queue.receive() == (bytes(data), 1)


def test_an_array_can_be_sent(queue):
    numbers = numpy.arange(6, dtype="u2").reshape(2, 3)
    queue.send(numbers)
    assert queue.receive().data == numbers.tobytes()


@pytest.mark.parametrize("data", ["text", 5, None, ["list"]])
def test_what_is_not_bytes_is_a_type_error(queue, data):
    with pytest.raises(TypeError):
        queue.send(data)
    assert queue.stat().messages == 0


@pytest.mark.parametrize("size", [0, 1, 8191, MSGMAX])
def test_messages_up_to_the_limit_are_exact(queue, size):
    data = os.urandom(size)
    queue.send(data, type=2**31 - 1)
    assert queue.stat().bytes == size
    assert queue.receive() == (data, 2**31 - 1)


@pytest.mark.needs("sysv.wide_message_types")
@pytest.mark.parametrize("type", [2**31, 2**32 + 1, 2**63 - 1])
def test_types_have_64_bits(queue, type):
    queue.send(b"wide", type=type)
    with pytest.raises(pyipc.WouldBlockError):
        queue.receive(type=1, timeout=0)
    assert queue.receive(type=-type, timeout=0) == (b"wide", type)


@pytest.mark.parametrize("type", [0, -1, 2**63, -(2**63), 2**70])
def test_a_type_out_of_range_is_a_value_error(queue, type):
    with pytest.raises(ValueError, match=r"1\.\.2\*\*63-1"):
        queue.send(b"x", type=type)
    assert queue.stat().messages == 0


@pytest.mark.parametrize("type", ["1", 1.5, None])
def test_a_type_that_is_no_number_is_an_error(queue, type):
    with pytest.raises((TypeError, ValueError)):
        queue.send(b"x", type=type)
    assert queue.stat().messages == 0


def test_receivers_choose_by_type(queue):
    fill(queue)
    assert queue.receive(2) == (b"b", 2)
    assert queue.receive(type=-2) == (b"a", 1)
    assert queue.receive(type=-2) == (b"d", 1)
    assert queue.receive(type=-3) == (b"e", 2)
    assert queue.receive() == (b"c", 3)
    assert drain(queue) == [(b"f", 3)]


@pytest.mark.needs("sysv.receive_except")
def test_receivers_choose_by_what_it_is_not(queue):
    fill(queue)
    assert queue.receive(except_type=1) == (b"b", 2)
    assert drain(queue, except_type=2) == [(b"a", 1), (b"c", 3), (b"d", 1), (b"f", 3)]
    assert drain(queue) == [(b"e", 2)]


@pytest.mark.needs("sysv.receive_copy")
def test_copies_leave_the_queue_as_it_is(queue):
    fill(queue, "abc")
    try:
        copies = [queue.receive(copy=place) for place in (0, 1, 2)]
    except pyipc.UnsupportedError:
        pytest.skip("this kernel was built without CONFIG_CHECKPOINT_RESTORE")
    assert copies == [(b"a", 1), (b"b", 2), (b"c", 3)]
    with pytest.raises(pyipc.WouldBlockError, match=f"id {queue.id}"):
        queue.receive(copy=3)
    assert drain(queue) == copies


@pytest.mark.needs("sysv.receive_copy")
def test_a_copy_obeys_the_size_asked_for(queue):
    queue.send(b"0123456789")
    try:
        assert queue.receive(copy=0, max_size=4, truncate=True) == (b"0123", 1)
    except pyipc.UnsupportedError:
        pytest.skip("this kernel was built without CONFIG_CHECKPOINT_RESTORE")
    with pytest.raises(pyipc.LimitError, match="max_size is 4"):
        queue.receive(copy=0, max_size=4)
    assert queue.stat().messages == 1


def test_a_longer_message_stays_unless_it_may_be_truncated(queue):
    queue.send(b"0123456789", type=7)
    with pytest.raises(pyipc.LimitError, match=f"id {queue.id}.*max_size is 9") as caught:
        queue.receive(max_size=9)
    assert (caught.value.limit, caught.value.value) == ("max_size", 9)
    assert queue.stat().messages == 1
    assert queue.receive(max_size=10) == (b"0123456789", 7)


@pytest.mark.needs("sysv.receive_truncated")
def test_truncating_drops_the_rest(queue):
    queue.send(b"0123456789", type=7)
    assert queue.receive(max_size=4, truncate=True) == (b"0123", 7)
    assert queue.stat().messages == 0
    queue.send(b"x")
    assert queue.receive(max_size=0, truncate=True) == (b"", 1)
    queue.send(b"whole")
    assert queue.receive(truncate=True) == (b"whole", 1)


@pytest.mark.parametrize(
    "choice",
    [
        {"type": 2**63},
        {"type": -(2**63)},
        {"type": 2**70},
        {"max_size": -1},
        {"max_size": 2**31},
        {"except_type": 0},
        {"except_type": 2**63},
        {"except_type": 1, "type": 1},
        {"copy": -1},
        {"copy": 2**31},
        {"copy": 0, "type": 1},
        {"copy": 0, "except_type": 1},
        {"timeout": -1},
        {"timeout": float("nan")},
    ],
)
def test_a_receive_that_makes_no_sense_is_a_value_error(queue, choice):
    queue.send(b"still there")
    with pytest.raises(ValueError, match=r"\w"):
        queue.receive(**choice)
    assert queue.stat().messages == 1


def test_an_empty_queue_times_out_or_says_so_at_once(queue):
    with pytest.raises(pyipc.WouldBlockError, match=f"message queue private id {queue.id}"):
        queue.receive(timeout=0)
    with pytest.raises(pyipc.TimedOutError, match=f"message queue private id {queue.id}"):
        queue.receive(timeout=0.01)
    queue.send(b"other", type=5)
    with pytest.raises(pyipc.TimedOutError):
        queue.receive(type=4, timeout=0.01)
    assert queue.receive(timeout=0) == (b"other", 5)


def test_a_full_queue_times_out_or_says_so_at_once(queue):
    queue.set(max_bytes=10)
    queue.send(b"0123456789")
    with pytest.raises(pyipc.WouldBlockError, match=f"message queue private id {queue.id}"):
        queue.send(b"x", timeout=0)
    with pytest.raises(pyipc.TimedOutError, match=f"message queue private id {queue.id}"):
        queue.send(b"x", timeout=0.01)
    assert queue.stat().messages == 1
    assert queue.receive() == (b"0123456789", 1)
    queue.send(b"x", timeout=0)


def test_a_message_longer_than_the_queue_is_refused_and_does_not_wait(queue):
    queue.set(max_bytes=10)
    for timeout in (None, 0, 5):
        started = time.monotonic()
        with pytest.raises(pyipc.LimitError, match=f"id {queue.id}.*max_bytes is 10") as caught:
            queue.send(b"eleven byte", timeout=timeout)
        assert time.monotonic() - started < 2
        assert (caught.value.limit, caught.value.value) == ("max_bytes", 10)


def test_a_message_over_msgmax_names_the_limit(queue):
    with pytest.raises(pyipc.LimitError, match=f"MSGMAX is {MSGMAX}") as caught:
        queue.send(bytes(MSGMAX + 1))
    assert caught.value.limit == "MSGMAX"
    assert caught.value.value == MSGMAX
    assert caught.value.path == "/proc/sys/kernel/msgmax"
    assert f"id {queue.id}" in str(caught.value)
    assert queue.stat().messages == 0


def test_the_size_of_a_queue_can_be_given_at_its_creation():
    with sysv.MessageQueue.create(max_bytes=100) as queue:
        assert queue.stat().max_bytes == 100
    for max_bytes in (-1, 2**63):
        with pytest.raises(ValueError, match="max_bytes"):
            sysv.MessageQueue.create(max_bytes=max_bytes)


@pytest.mark.parametrize("max_bytes", [2**31, 2**32, 2**32 + 5, 2**40])
def test_a_size_of_more_bits_than_the_kernel_looks_at_is_refused(queue, max_bytes):
    before = queue.stat().max_bytes
    with pytest.raises((ValueError, pyipc.LimitError), match=str(max_bytes)):
        queue.set(max_bytes=max_bytes)
    assert queue.stat().max_bytes == before


def test_stat_agrees_with_the_kernels_listing(queue):
    queue.send(b"12345")
    queue.send(b"123")
    queue.receive()
    stat, listed = queue.stat(), row(queue.id)
    assert (stat.id, stat.key, stat.mode) == (queue.id, int(listed["key"]), 0o600)
    assert stat.bytes == int(listed["cbytes"]) == 3
    assert stat.messages == int(listed["qnum"]) == 1
    assert stat.last_send_pid == stat.last_receive_pid == os.getpid()
    assert stat.send_time == int(listed["stime"]) > 0
    assert stat.receive_time == int(listed["rtime"]) > 0
    assert stat.change_time == int(listed["ctime"]) > 0
    assert stat.max_bytes == int(Path("/proc/sys/kernel/msgmnb").read_text())
    assert (stat.uid, stat.gid) == (stat.creator_uid, stat.creator_gid) == (os.geteuid(), os.getegid())


def test_mode_and_owner_can_be_changed(queue):
    queue.set(mode=0o604)
    assert queue.stat().mode == 0o604
    if os.geteuid() == 0:
        queue.set(uid=65534, gid=65533)
        stat = queue.stat()
        assert (stat.uid, stat.gid, stat.creator_uid, stat.mode) == (65534, 65533, 0, 0o604)


def test_a_key_leads_to_the_queue(key):
    with sysv.MessageQueue.create(key=key) as mine:
        mine.send(b"by key")
        with sysv.MessageQueue.open(key) as found:
            assert (found.id, found.key, found.owner) == (mine.id, key, False)
            assert found.receive() == (b"by key", 1)
        with pytest.raises(pyipc.AlreadyExistsError, match=f"key {key:#x}"):
            sysv.MessageQueue.create(key=key)
    with pytest.raises(pyipc.NotFoundError, match=f"message queue with key {key:#x}"):
        sysv.MessageQueue.open(key)


def test_open_or_create_makes_once_and_then_finds(key):
    with sysv.MessageQueue.open_or_create(key) as first, sysv.MessageQueue.open_or_create(key) as second:
        assert first.id == second.id
        assert not first.owner
        first.remove()


def test_a_pickled_handle_is_the_same_queue(queue):
    with pickle.loads(pickle.dumps(queue)) as copy:
        copy.send(b"pickled")
        assert (copy.id, copy.owner) == (queue.id, False)
    assert queue.receive().data == b"pickled"


# ---- between processes ----


def send_numbered(say, hear, id, name, count, timeout):
    from pyipc import sysv

    with sysv.MessageQueue.attach(id) as queue:
        say("ready")
        hear()
        for number in range(count):
            queue.send(f"{name} {number}".encode(), type=name, timeout=timeout)
    say("sent")


def receive_until_told(say, hear, id, timeout):
    from pyipc import sysv

    got = []
    with sysv.MessageQueue.attach(id) as queue:
        say("ready")
        while True:
            message = queue.receive(timeout=timeout)
            if message.data == b"end":
                break
            got.append(tuple(map(int, message.data.split())))
    say(got)


@pytest.mark.parametrize("timeout", [None, 20])
def test_no_message_is_lost_or_reordered_between_several_senders_and_receivers(queue, child, timeout):
    queue.set(max_bytes=64)  # so that senders wait too
    senders, receivers, count = 3, 2, 1000
    takers = [child(receive_until_told, queue.id, timeout) for _ in range(receivers)]
    givers = [child(send_numbered, queue.id, name + 1, count, timeout) for name in range(senders)]
    for other in (*takers, *givers):
        assert other.hear() == "ready"
    for other in givers:
        other.say("go")
    for other in givers:
        assert other.hear() == "sent"
        assert other.end() == 0
    for _ in takers:
        queue.send(b"end", timeout=20)
    heard = [other.hear() for other in takers]
    assert [other.end() for other in takers] == [0] * receivers
    assert sorted(message for taken in heard for message in taken) == [
        (name + 1, n) for name in range(senders) for n in range(count)
    ]
    for taken in heard:
        for name in range(senders):
            numbers = [number for sender, number in taken if sender == name + 1]
            assert numbers == sorted(numbers)


def test_a_blocked_receiver_gets_the_message(queue, child):
    other = child(receive_until_told, queue.id, 20)
    assert other.hear() == "ready"
    queue.send(b"1 2")
    queue.send(b"end")
    assert other.hear() == [(1, 2)]
    assert other.end() == 0


def test_a_timed_wait_on_an_empty_queue_costs_little(queue, costs_little):
    with costs_little(), pytest.raises(pyipc.TimedOutError):
        queue.receive(timeout=2)


def test_a_timed_wait_on_a_full_queue_costs_little(queue, costs_little):
    queue.set(max_bytes=4)
    queue.send(b"full")
    with costs_little(), pytest.raises(pyipc.TimedOutError):
        queue.send(b"more", timeout=2)


def test_threads_share_one_handle(queue):
    got, threads = [], []

    def take():
        for _ in range(200):
            got.append(queue.receive(timeout=20))

    def give(name):
        for number in range(200):
            queue.send(str(number).encode(), type=name, timeout=20)

    for name in (1, 2):
        threads += [threading.Thread(target=take), threading.Thread(target=give, args=(name,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((type, int(data)) for data, type in got) == [(t, n) for t in (1, 2) for n in range(200)]


def test_a_message_is_a_pair_also_to_sets_and_dicts():
    with sysv.MessageQueue.create() as queue:
        queue.send(b"job", 3)
        message = queue.receive()
        assert message == (b"job", 3)
        assert hash(message) == hash((b"job", 3))
        assert {message: "found"}[(b"job", 3)] == "found"


def test_a_length_that_lies_is_not_believed():
    class Liar(bytes):
        __class__ = bytes

        def __len__(self):
            return 3000

    with sysv.MessageQueue.create() as queue:
        queue.send(Liar(b"x"))
        assert queue.receive().data == b"x"
