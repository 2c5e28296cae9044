"""What goes into a message comes out of it: bytes and descriptors, on every kind of socket."""

from __future__ import annotations

import array
import mmap
import os
import select
import socket

import pytest

import pyipc
from pyipc import fds
from pyipc.memory import Memory


def file_of(number):
    facts = os.fstat(number)
    return facts.st_dev, facts.st_ino


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


# ---- from one process to another ----


def send_files(say, hear, sock, folder, messages, count):
    import os

    from pyipc import fds

    for number in range(messages):
        files = [os.open(f"{folder}/{number}.{place}", os.O_CREAT) for place in range(count)]
        facts = [os.fstat(file) for file in files]
        fds.send(sock, f"message {number}".encode(), files, timeout=20)
        say([(one.st_dev, one.st_ino) for one in facts])
        for file in files:
            os.close(file)


def test_messages_bring_the_same_open_files_in_the_same_order(pair, kind, partner, tmp_path):
    ours, theirs = pair(kind)
    other = partner(send_files, theirs, str(tmp_path), 20, 5)
    for number in range(20):
        sent = other.hear()
        with fds.receive(ours, timeout=20) as message:
            assert message.data == f"message {number}".encode()
            assert [file_of(handle.fileno()) for handle in message.fds] == sent
            assert len({handle.fileno() for handle in message.fds}) == 5
            for handle in message.fds:
                assert type(handle) is fds.Handle
                assert not os.get_inheritable(handle.fileno())
    assert other.end() == 0
    with pytest.raises(pyipc.WouldBlockError if kind == "datagram" else pyipc.PeerGoneError):
        fds.receive(ours, timeout=0)


def read_and_answer(say, hear, sock):
    import os

    from pyipc import fds

    with fds.receive(sock) as message:
        reading, writing = message.fds
        hear()  # until the test has closed its own
        os.write(writing.fileno(), os.read(reading.fileno(), 100).upper())
        hear()
    say("closed")
    hear()


def test_a_pipe_stays_open_as_long_as_somebody_has_it(pair, kind, partner, pipes):
    ours, theirs = pair(kind)
    to_read, to_write = pipes(), pipes()
    other = partner(read_and_answer, theirs)
    fds.send(ours, b"two ends", [to_read[0], to_write[1]])
    to_write[1].close()
    to_read[1].write(b"through a pipe")
    other.say("go on")
    assert select.select([to_write[0]], [], [], 20)[0]
    assert to_write[0].read(100) == b"THROUGH A PIPE"
    assert to_write[0].read(100) is None  # not at its end: the other process has it
    other.say("close")
    assert other.hear() == "closed"
    assert to_write[0].read(100) == b""
    other.say("end")
    assert other.end() == 0


def test_what_is_on_its_way_is_open_until_the_last_socket_goes(pair, kind, pipes):
    ours, theirs = pair(kind)
    reading, writing = pipes()
    fds.send(ours, b"x", [writing])
    writing.close()
    assert reading.read(1) is None
    theirs.close()
    ours.close()
    assert reading.read(1) == b""


# ---- what may be given ----


def test_what_has_a_descriptor_can_be_sent(pair, kind, keep, files):
    ours, theirs = pair(kind)
    folder = fds.Handle(os.open("/", os.O_RDONLY))
    given = [*map(keep, [socket.socket(), folder, Memory(10), fds.Pidfd.open(os.getpid())]), *files]
    given += [files[0].fileno(), 0, files[0]]
    fds.send(ours, b"x", given)
    numbers = [one if isinstance(one, int) else one.fileno() for one in given]
    with fds.receive(theirs) as message:
        assert [file_of(one.fileno()) for one in message.fds] == [file_of(number) for number in numbers]
        assert not {one.fileno() for one in message.fds} & set(numbers)
    assert all(map(is_open, numbers))


@pytest.mark.parametrize("make", [list, tuple, iter, set, lambda one: (x for x in one)])
def test_descriptors_may_come_in_any_iterable(pair, kind, make):
    ours, theirs = pair(kind)
    fds.send(ours, b"x", make([0, 1]))
    fds.send(ours, b"y", descriptors=make([0]))
    with fds.receive(theirs) as first, fds.receive(theirs) as second:
        assert (first.data, len(first.fds)) == (b"x", 2)
        assert (second.data, len(second.fds)) == (b"y", 1)


@pytest.mark.parametrize("wrong", [None, "x", 1.5, b"", object(), [0], 5 + 0j])
def test_what_has_no_descriptor_is_a_type_error_and_nothing_is_sent(pair, kind, wrong):
    ours, theirs = pair(kind)
    with pytest.raises(TypeError, match="fileno"):
        fds.send(ours, b"x", [0, wrong])
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive(theirs, timeout=0)


@pytest.mark.parametrize(
    "data",
    [
        bytearray(b"12345678"),
        memoryview(b"12345678"),
        memoryview(b"1.2.3.4.5.6.7.8.")[::2],
        array.array("Q", b"12345678"),
        memoryview(array.array("I", b"12345678")),
    ],
)
def test_any_bytes_like_object_can_be_sent(pair, kind, data):
    ours, theirs = pair(kind)
    fds.send(ours, data)
    fds.send(ours, data, [0])
    with mmap.mmap(-1, 8) as memory:
        memory[:] = b"abcdefgh"
        fds.send(ours, memory)
    got = b""
    while len(got) < 24:
        with fds.receive(theirs, timeout=0) as message:
            got += message.data
            assert type(message.data) is bytes
    assert got == b"1234567812345678abcdefgh"


@pytest.mark.parametrize("data", ["text", None, 5, [1], ["x"]])
def test_what_is_not_bytes_is_a_type_error(pair, kind, data):
    ours, theirs = pair(kind)
    with pytest.raises(TypeError):
        fds.send(ours, data)
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive(theirs, timeout=0)


@pytest.mark.parametrize("size", [1, 2047, 2048, 2049, 65535, 65536, 65537, 150_000])
def test_messages_of_all_sizes_arrive_whole(pair, size):
    data = os.urandom(size)
    for kind in "seqpacket", "datagram":
        ours, theirs = pair(kind)
        fds.send(ours, data, [0, 1], timeout=0)
        with fds.receive(theirs, timeout=0) as message:
            assert (message.data, len(message.fds)) == (data, 2)


# ---- no bytes at all ----


def test_a_stream_needs_a_byte_to_carry_descriptors(pair):
    ours, theirs = pair("stream")
    for descriptors in [0], []:
        with pytest.raises(ValueError, match="at least one byte"):
            fds.send(ours, b"", descriptors)
    with pytest.raises(ValueError, match="at least one byte"):
        fds.send(ours, b"", credentials=(os.getpid(), os.getuid(), os.getgid()))
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive(theirs, timeout=0)


def test_an_empty_packet_carries_descriptors_and_no_packet_is_quite_empty(pair):
    ours, theirs = pair("seqpacket")
    with pytest.raises(ValueError, match="look like the end"):
        fds.send(ours, b"")
    fds.send(ours, b"", [0, 0])
    ours.close()
    with fds.receive(theirs, timeout=0) as message:
        assert (message.data, len(message.fds)) == (b"", 2)
    with pytest.raises(pyipc.PeerGoneError):
        fds.receive(theirs, timeout=0)


def test_a_datagram_may_be_quite_empty(pair):
    ours, theirs = pair("datagram")
    fds.send(ours, b"")
    fds.send(ours, b"", [0])
    for count in 0, 1:
        with fds.receive(theirs, timeout=0) as message:
            assert (message.data, len(message.fds)) == (b"", count)


# ---- as many as the kernel lets pass ----


@pytest.mark.parametrize("count", [0, 1, 2, 252, 253])
def test_as_many_as_fit_arrive(pair, kind, count, files):
    ours, theirs = pair(kind)
    given = [files[place % 2] for place in range(count)]
    fds.send(ours, b"x", given)
    with fds.receive(theirs, timeout=0) as message:
        assert [file_of(one.fileno()) for one in message.fds] == [file_of(one.fileno()) for one in given]


@pytest.mark.parametrize("count", [254, 255, 1000])
def test_more_than_fit_name_the_limit_and_nothing_is_sent(pair, kind, count):
    ours, theirs = pair(kind)
    with pytest.raises(pyipc.LimitError, match="send_bundle") as caught:
        fds.send(ours, b"x", [0] * count)
    assert (caught.value.limit, caught.value.value) == ("SCM_MAX_FD", 253)
    assert str(count) in str(caught.value)
    with pytest.raises(pyipc.WouldBlockError):
        fds.receive(theirs, timeout=0)


# ---- bounds ----


def test_on_a_stream_descriptors_come_with_the_first_of_their_bytes(pair, files):
    ours, theirs = pair("stream")
    null, zero = files
    for data, descriptors in (b"none", []), (b"first", [null]), (b"second", [zero, null]), (b"rest", []):
        fds.send(ours, data, descriptors)
    came, data = [], b""
    while len(data) < len(b"nonefirstsecondrest"):
        with fds.receive(theirs, timeout=0) as message:
            came += [(len(data), len(message.data), file_of(one.fileno())) for one in message.fds]
            data += message.data
    assert data == b"nonefirstsecondrest"
    assert [file for _, _, file in came] == [file_of(one.fileno()) for one in (null, zero, null)]
    for (start, size, _), place in zip(came, (4, 9, 9)):  # where each was sent, so that byte came with it
        assert start <= place < start + size


def test_a_packet_longer_than_asked_for_stays_and_can_be_had_after(pair):
    for kind in "seqpacket", "datagram":
        ours, theirs = pair(kind)
        fds.send(ours, b"123456789", [0])
        for _ in range(2):
            with pytest.raises(pyipc.LimitError, match=r"9 bytes.*still there.*max_size is 8") as caught:
                fds.receive(theirs, max_size=8, timeout=0)
            assert (caught.value.limit, caught.value.value) == ("max_size", 8)
        with fds.receive(theirs, 9, timeout=0) as message:
            assert (message.data, len(message.fds)) == (b"123456789", 1)
        with pytest.raises(pyipc.WouldBlockError):
            fds.receive(theirs, 9, timeout=0)


def send_when_told(say, hear, sock):
    from pyipc import fds

    hear()
    fds.send(sock, b"123456789", [0])
    hear()


def test_a_packet_that_turns_out_too_long_after_a_wait_stays_too(pair, partner, waiter, until, asleep):
    for kind in "seqpacket", "datagram":
        ours, theirs = pair(kind)
        other = partner(send_when_told, theirs)
        waiting = waiter(lambda ours=ours: fds.receive(ours, max_size=8, timeout=20))
        until(lambda waiting=waiting: asleep(os.getpid(), waiting.native_id))
        other.say("go")
        waiting.join()
        assert (type(waiting.outcome), waiting.outcome.value) == (pyipc.LimitError, 8)
        fds.receive(ours, max_size=100, timeout=0).close()
        other.say("end")
        assert other.end() == 0


def test_of_a_stream_no_more_is_taken_than_asked_for(pair):
    ours, theirs = pair("stream")
    fds.send(ours, b"123456789", [0])
    with fds.receive(theirs, max_size=4, timeout=0) as message:
        assert (message.data, len(message.fds)) == (b"1234", 1)
    with fds.receive(theirs, max_size=1, timeout=0) as message:
        assert (message.data, message.fds) == (b"5", [])
    with fds.receive(theirs, max_size=1 << 40, timeout=0) as message:
        assert (message.data, message.fds) == (b"6789", [])


@pytest.mark.parametrize("most", [1 << 40, 1 << 62, 1 << 70])
def test_room_for_more_than_there_is_memory_is_room(pair, kind, most):
    ours, theirs = pair(kind)
    fds.send(ours, b"short")
    with fds.receive(theirs, max_size=most, timeout=0) as message:
        assert message.data == b"short"


def test_both_ends_of_a_pair_send_and_receive(pair, kind):
    ours, theirs = pair(kind)
    fds.send(ours, b"there", [0])
    fds.send(theirs, b"back", [0, 0])
    with fds.receive(theirs, timeout=0) as there, fds.receive(ours, timeout=0) as back:
        assert (there.data, len(there.fds), back.data, len(back.fds)) == (b"there", 1, b"back", 2)
        assert (there.peer, there.address) == (None, None)
