"""Streams: reading and writing a connection under one deadline."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import signal
import socket
import struct
import threading
import time

import hypothesis
import pytest
from hypothesis import strategies

import pyipc
from pyipc import signals, sockets

LONG = 300_000  # bytes: more than a pair of sockets holds


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with sockets.Stream(ours, timeout=10) as stream, theirs:
        yield stream, theirs


@pytest.fixture
def tcp():
    """A stream, and a socket at the other end of a TCP connection."""
    with sockets.listen("tcp://127.0.0.1:0") as listener:
        ours = sockets.connect(listener.address)
        theirs, _ = listener.accept()
    with sockets.Stream(ours, timeout=10) as stream, theirs:
        yield stream, theirs


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# ---- reading ----


def test_lines_come_one_by_one_and_the_last_may_be_unfinished(pair):
    stream, theirs = pair
    theirs.sendall(b"one\ntwo\r\n\nlast")
    theirs.close()
    assert [stream.read_line() for _ in range(5)] == [b"one\n", b"two\r\n", b"\n", b"last", b""]
    assert stream.read_line() == b""
    assert list(stream.lines()) == []


def test_so_many_bytes_and_what_is_there(pair):
    stream, theirs = pair
    theirs.sendall(b"0123456789")
    assert stream.read_exactly(4) == b"0123"
    assert stream.read(2) == b"45"
    assert stream.read() == b"6789"
    assert stream.read_exactly(0) == b""
    theirs.shutdown(socket.SHUT_WR)
    assert stream.read() == b""


def test_the_end_before_so_many_bytes_says_how_many_came(pair):
    stream, theirs = pair
    theirs.sendall(b"12")
    theirs.close()
    with pytest.raises(pyipc.PeerGoneError, match=r"read 4 bytes from .*, of which 2 came"):
        stream.read_exactly(4)
    assert stream.read_exactly(2) == b"12"


def test_to_the_end(pair):
    stream, theirs = pair
    theirs.sendall(b"all of it")
    theirs.close()
    assert stream.read_all(9) == b"all of it"
    assert stream.read_all(0) == b""


def test_more_than_that_to_the_end_is_refused_and_not_lost(pair):
    stream, theirs = pair
    theirs.sendall(b"all of it")
    with pytest.raises(pyipc.LimitError) as refused:
        stream.read_all(8)
    assert (refused.value.limit, refused.value.value) == ("max_size", 8)
    assert stream.read() == b"all of it"


def test_a_line_that_is_too_long_is_refused_and_not_lost(pair):
    stream, theirs = pair
    theirs.sendall(b"1234\n12345\n1234")
    assert stream.read_line(max_size=5) == b"1234\n"
    for _ in range(2):
        with pytest.raises(pyipc.LimitError) as refused:
            stream.read_line(max_size=5)
        assert refused.value.limit == "max_size"
    assert stream.read_line() == b"12345\n"
    theirs.sendall(b"5")
    theirs.close()
    assert stream.read_line(max_size=5) == b"12345"


def test_an_endless_line_takes_no_more_memory_than_allowed(pair):
    stream, theirs = pair

    def write():
        with contextlib.suppress(OSError):
            while True:
                theirs.sendall(bytes(65536))

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(pyipc.LimitError):
        stream.read_line(max_size=200_000)
    assert len(stream._unread) <= 200_000 + 65536
    stream.close()
    writer.join()


def test_a_reset_is_an_error(tcp):
    stream, theirs = tcp
    reset(theirs)
    with pytest.raises(pyipc.PeerGoneError):
        stream.read_line()
    with pytest.raises(pyipc.PeerGoneError):
        stream.write(b"x")
    with pytest.raises(pyipc.PeerGoneError):
        stream.end_writing()


def test_what_came_before_a_reset_can_be_read(tcp, until):
    stream, theirs = tcp
    theirs.sendall(b"words\n")
    until(lambda: stream.socket.recv(9, socket.MSG_PEEK))
    reset(theirs)
    assert stream.read_line() == b"words\n"
    with pytest.raises(pyipc.PeerGoneError):
        stream.read_line()


def test_lines_and_other_reads_take_turns(pair):
    stream, theirs = pair
    theirs.sendall(b"".join(b"%d\n" % number for number in range(100, 200)))
    lines = stream.lines()
    assert [next(lines), next(lines)] == [b"100\n", b"101\n"]
    assert stream.read(2) == b"10"
    assert pyipc.wait([stream], timeout=0) == [stream]
    assert stream.read_exactly(7) == b"2\n103\n1"
    assert next(lines) == b"04\n"
    with pytest.raises(pyipc.LimitError):
        stream.read_line(max_size=3)
    assert stream.read_line(max_size=4) == b"105\n"
    assert next(stream.lines()) == b"106\n"
    theirs.shutdown(socket.SHUT_WR)
    assert stream.read_all(1000).startswith(b"107\n108\n")
    assert list(lines) == []


def test_memory_of_what_was_read_is_let_go(pair):
    stream, theirs = pair
    theirs.sendall(b"x\n" * 20_000)
    stream.restart(0)
    with pytest.raises(pyipc.WouldBlockError):
        for _ in stream.lines():
            pass
    assert stream._lines.getbuffer().nbytes == len(stream._unread) == 0


CHUNKS = strategies.lists(
    strategies.lists(strategies.sampled_from([b"\n", b"a", b"bc", b"\r", b"\0", b"x" * 40])).map(b"".join)
)
CALLS = strategies.lists(
    strategies.tuples(
        strategies.sampled_from(["read", "read_exactly", "read_line", "next_line", "another_line"]),
        strategies.integers(1, 60),
    )
)


class Model:
    """What a stream should give: of all that ever comes, there from the beginning."""

    def __init__(self, data):
        self.data = data

    def cut(self, size):
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def read_exactly(self, size):
        return self.cut(size) if len(self.data) >= size else pyipc.PeerGoneError

    def read_line(self, size):
        end = self.data.find(b"\n") + 1 or len(self.data)
        return self.cut(end) if end <= size else pyipc.LimitError

    next_line = another_line = read_line


class OneByOne(sockets.Stream):
    """Has the next chunk sent whenever it asks the kernel."""

    __slots__ = ("begun", "chunks", "theirs")

    def next_line(self, size):
        return next(self.lines(size), b"")

    def another_line(self, size):
        """Of an iteration that goes on, whatever else is read meanwhile, as long as the size is the same."""
        if size not in self.begun:
            self.begun[size] = self.lines(size)
        try:
            return next(self.begun[size])
        except (StopIteration, pyipc.IPCError) as ended:
            del self.begun[size]
            if isinstance(ended, StopIteration):
                return b""
            raise

    def _receive(self, size):
        chunk = next(self.chunks, None)
        if chunk:
            self.theirs.sendall(chunk)
        elif self.theirs.fileno() >= 0:
            self.theirs.close()
        return super()._receive(size)


@hypothesis.given(CHUNKS, CALLS)
def test_it_does_not_matter_in_which_pieces_it_comes(chunks, calls):
    model = Model(b"".join(chunks))
    ours, theirs = socket.socketpair()
    with OneByOne(ours, timeout=10) as stream, theirs:
        stream.begun, stream.chunks, stream.theirs = {}, filter(None, chunks), theirs
        for name, size in calls:
            try:
                got = getattr(stream, name)(size)
            except pyipc.IPCError as problem:
                got = type(problem)
            if name == "read":
                assert len(got) <= size
                assert bool(got) == bool(model.data)
                assert got == model.cut(len(got))
            else:
                assert got == getattr(model, name)(size)
        assert stream.read_all(1 << 20) == model.data


class Fed(sockets.Stream):
    """Has these pieces in place of what the kernel gives."""

    __slots__ = ("pieces",)

    def _receive(self, size):
        return next(self.pieces, b"")


def test_its_time_is_linear_in_what_comes():
    """To search a line anew, or to move it, for each of its pieces would take minutes."""
    ours, theirs = socket.socketpair()
    with Fed(ours) as stream, theirs:
        stream.pieces = itertools.chain(
            itertools.repeat(b"x" * 8, 500_000), [b"\n"], itertools.repeat(b"short\n" * 10_000, 20)
        )
        began = time.thread_time()
        lines = [len(line) for line in stream.lines(max_size=5_000_000)]
        assert time.thread_time() - began < 10
        assert lines == [4_000_001] + [6] * 200_000


# ---- writing ----


def test_more_than_fits_is_written_while_the_other_reads(pair):
    stream, theirs = pair
    came = []

    def read():
        while True:
            data = theirs.recv(50_000)
            if not data:
                return
            came.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    data = os.urandom(3_000_000)
    stream.write(memoryview(data).cast("B").cast("I"))
    stream.end_writing()
    reader.join()
    assert b"".join(came) == data
    theirs.sendall(b"read it")
    theirs.close()
    assert stream.read_all(100) == b"read it"


def test_a_peer_that_has_gone_is_an_error_and_no_signal(pair):
    stream, theirs = pair
    theirs.close()
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        with pytest.raises(pyipc.PeerGoneError) as gone:
            stream.write(b"words")
    finally:
        signal.signal(signal.SIGPIPE, before)
    assert gone.value.characters_written == 0


def test_how_many_bytes_went_before_an_error(pair):
    stream, theirs = pair
    stream.restart(0.5)
    with pytest.raises(pyipc.TimedOutError) as late:
        stream.write(b"x" * LONG * 10)
    stream.end_writing()
    with theirs.makefile("rb") as file:
        assert late.value.characters_written == len(file.read()) > 0


@pytest.mark.parametrize("data", ["text", 5, None, ["bytes"]])
def test_what_are_no_bytes_is_a_type_error(pair, data):
    stream, _ = pair
    with pytest.raises(TypeError):
        stream.write(data)


# ---- the deadline ----


def test_a_byte_now_and_then_does_not_move_the_deadline(pair):
    stream, theirs = pair
    over = threading.Event()

    def drip():
        while not over.wait(0.02):
            theirs.send(b"x")

    writer = threading.Thread(target=drip)
    writer.start()
    try:
        stream.restart(0.3)
        began = time.monotonic()
        with pytest.raises(pyipc.TimedOutError):
            stream.read_line()
        assert 0.3 <= time.monotonic() - began < 5
    finally:
        over.set()
        writer.join()
    theirs.send(b"\n")
    with pytest.raises(pyipc.TimedOutError):
        stream.read_line()
    stream.restart(10)
    assert set(stream.read_line()) == set(b"x\n")


def test_whoever_never_stops_is_left_at_the_deadline(pair):
    stream, theirs = pair

    def flood():
        with contextlib.suppress(OSError):
            while True:
                theirs.sendall(b"x\n" * 1000)

    writer = threading.Thread(target=flood)
    writer.start()
    stream.restart(0.2)
    lines = stream.lines()
    assert next(lines) == b"x\n"
    with pytest.raises(pyipc.TimedOutError):
        list(lines)
    stream.close()
    writer.join()


def test_both_directions_are_under_one_deadline(pair):
    stream, theirs = pair
    stream.restart(0.3)
    began = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):
        stream.write(bytes(LONG * 10))
    with pytest.raises(pyipc.TimedOutError):
        stream.read()
    assert time.monotonic() - began < 5
    assert theirs.fileno() >= 0


def test_what_was_read_before_the_deadline_can_be_had_after_it(pair):
    stream, theirs = pair
    theirs.sendall(b"one\ntwo\nthr")
    assert stream.read_line() == b"one\n"
    stream.restart(1e-9)
    assert stream.read_line() == b"two\n"
    with pytest.raises(pyipc.TimedOutError):
        stream.read_line()
    assert stream.read() == b"thr"


def test_with_timeout_0_nothing_waits(pair, costs_little):
    stream, theirs = pair
    stream.restart(0)
    for call in stream.read, stream.read_line, lambda: stream.read_exactly(1), lambda: stream.read_all(1):
        with pytest.raises(pyipc.WouldBlockError):
            call()
    theirs.sendall(b"a\nb")
    assert stream.read_line() == b"a\n"
    with pytest.raises(pyipc.WouldBlockError):
        stream.read_line()
    with pytest.raises(pyipc.WouldBlockError) as full:
        stream.write(bytes(LONG * 10))
    assert full.value.characters_written > 0
    stream.restart(None)
    assert stream.read_exactly(1) == b"b"


@pytest.mark.parametrize("own", [None, 0, 0.01, 5])
def test_the_sockets_own_timeout_does_not_matter_and_stays(own):
    ours, theirs = socket.socketpair()
    ours.settimeout(own)
    with sockets.Stream(ours, timeout=0.2) as stream, theirs:
        blocking = os.get_blocking(ours.fileno())
        began = time.monotonic()
        with pytest.raises(pyipc.TimedOutError):
            stream.read()
        with pytest.raises(pyipc.TimedOutError):
            stream.write(bytes(LONG * 10))
        stream.restart(0)
        began = time.monotonic() - began
        with pytest.raises(pyipc.WouldBlockError):
            stream.read()
        assert 0.2 <= began < 3
        assert ours.gettimeout() == own
        assert os.get_blocking(ours.fileno()) == blocking
        theirs.send(b"x\n")
        assert stream.read_line() == b"x\n"


def test_signals_do_not_move_the_deadline(pair, handling):
    stream, _ = pair
    ticks = itertools.count()
    handling(signal.SIGALRM, lambda *_: next(ticks))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    stream.restart(0.3)
    began = time.monotonic()
    with pytest.raises(pyipc.TimedOutError):
        stream.read()
    assert 0.3 <= time.monotonic() - began < 5
    assert next(ticks) > 5


@pytest.mark.parametrize("kind", [OSError, BlockingIOError, KeyboardInterrupt])
@pytest.mark.parametrize("own", [None, 5])
def test_what_a_signal_handler_raises_comes_through(pair, handling, ringing, kind, own):
    stream, theirs = pair
    stream.socket.settimeout(own)

    def strike(*_):
        raise kind(11, "the handler's")

    handling(signal.SIGALRM, strike)
    for call in stream.read, lambda: stream.write(bytes(LONG * 10)):
        with pytest.raises(kind, match="the handler's"), ringing(0.05):
            call()
    theirs.send(b"x\n")
    assert stream.read_line() == b"x\n"


class Struck(socket.socket):
    """A signal comes whenever it is used."""

    def recv(self, *arguments):
        signal.raise_signal(signal.SIGALRM)
        return super().recv(*arguments)

    def send(self, *arguments):
        signal.raise_signal(signal.SIGALRM)
        return super().send(*arguments)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EBADF, errno.ETIMEDOUT])
def test_an_oserror_of_a_handler_is_not_taken_for_the_kernels(handling, number):
    def strike(*_):
        raise OSError(number, "the handler's")

    handling(signal.SIGALRM, strike)
    ours, theirs = socket.socketpair()
    with sockets.Stream(Struck(fileno=ours.detach()), 10) as stream, theirs:
        for call in stream.read, lambda: stream.write(b"x"):
            with pytest.raises(OSError, match="the handler's"):
                call()


@pytest.mark.needs("signals")
def test_a_deadline_of_signals_ends_it_too(pair):
    stream, _ = pair
    with pytest.raises(pyipc.TimedOutError, match=r"0\.05"), signals.deadline(0.05):
        stream.read()


# ---- threads, and the end ----


@pytest.mark.parametrize("call", ["read", "read_line", "write"])
def test_close_in_another_thread_ends_a_wait(pair, waiter, until, call):
    stream, _ = pair
    stream.restart(None)
    waiting = waiter(lambda: getattr(stream, call)(*[bytes(LONG * 10)] * (call == "write")))
    until(lambda: stream._waiting)
    stream.close()
    assert not stream._waiting
    waiting.join(20)
    assert isinstance(waiting.outcome, pyipc.ClosedError)
    assert hasattr(waiting.outcome, "characters_written") == (call == "write")


def test_one_thread_reads_while_another_writes(pair, waiter):
    stream, theirs = pair
    reading = waiter(lambda: stream.read_exactly(500_000))
    writing = waiter(lambda: stream.write(bytes(500_000)))
    other = waiter(lambda: theirs.sendall(bytes(500_000)))
    with theirs.makefile("rb") as file:
        assert file.read(500_000) == bytes(500_000)
    for thread in reading, writing, other:
        thread.join(20)
    assert reading.outcome == bytes(500_000)


def test_closed_is_closed(pair):
    stream, theirs = pair
    assert not stream.closed
    assert stream.fileno() == stream.socket.fileno() >= 0
    assert f"<stream {stream.fileno()}" in repr(stream)
    for _ in range(2):
        stream.close()
    assert stream.closed
    assert stream.fileno() == -1
    assert repr(stream) == "<stream closed>"
    for call in stream.read, stream.read_line, lambda: stream.write(b"x"), stream.end_writing:
        with pytest.raises(pyipc.ClosedError):
            call()
    assert theirs.recv(1) == b""


def test_it_says_with_whom_it_talks(tcp):
    stream, _ = tcp
    assert sockets.address_of(tcp[1]) in repr(stream)
    stream.restart(0)
    with pytest.raises(pyipc.WouldBlockError, match=r"tcp://127\.0\.0\.1:"):
        stream.read()


def test_a_peers_path_forges_no_line_where_a_stream_is_printed(tmp_path):
    with sockets.listen(f"unix:{tmp_path}/sock") as listener, socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(f"{tmp_path}/a\n\x1b[2J\u2028b")
        theirs.connect(f"{tmp_path}/sock")
        with sockets.Stream(listener.accept()[0]) as stream:
            assert repr(stream).endswith(f"with unix:{tmp_path}/a\\n\\x1b[2J\\u2028b>")
            assert sockets.address_of(theirs) == f"unix:{tmp_path}/a\n\x1b[2J\u2028b"
            theirs.close()
            with pytest.raises(pyipc.PeerGoneError) as gone:
                stream.read_exactly(1)
            assert str(gone.value).isprintable()


def test_what_was_read_ahead_is_ready(pair):
    stream, theirs = pair
    assert pyipc.wait([stream], timeout=0) == []
    theirs.send(b"a\nb\n")
    assert pyipc.wait([stream], timeout=5) == [stream]
    assert stream.read_line() == b"a\n"
    assert pyipc.wait([stream], timeout=0) == [stream]
    assert stream.read_line() == b"b\n"
    assert pyipc.wait([stream], timeout=0) == []


def test_a_dropped_stream_leaves_the_socket_open():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sockets.Stream(ours).write(b"x")
        assert theirs.recv(1) == b"x"
        ours.send(b"y")


def test_what_is_no_stream_is_refused():
    for kind in socket.SOCK_DGRAM, socket.SOCK_SEQPACKET:
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
        with ours, theirs, pytest.raises(ValueError, match="stream"):
            sockets.Stream(ours)
    with pytest.raises(ValueError, match="stream"):
        sockets.Stream(0)


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda stream: stream.read(0), ValueError),
        (lambda stream: stream.read_line(0), ValueError),
        (lambda stream: stream.read_exactly(-1), ValueError),
        (lambda stream: stream.read_all(-1), ValueError),
        (lambda stream: stream.read_exactly(1.5), TypeError),
        (lambda stream: stream.read("1"), TypeError),
        (lambda stream: stream.restart(-1), ValueError),
        (lambda stream: stream.restart(float("nan")), ValueError),
        (lambda stream: stream.restart("soon"), TypeError),
    ],
)
def test_wrong_arguments(pair, call, kind):
    with pytest.raises(kind):
        call(pair[0])


def interrupt_lines_at_each_step(say, hear):
    """Read what has come, and raise at each step of it; how often something was lost on its way to us."""
    import socket

    from each_step import at_each_step

    from pyipc import sockets
    from pyipc.sockets import stream

    lost = 0
    data = b"1\n2\n3\n4\n5\n6"

    def read():
        ours, theirs = socket.socketpair()
        theirs.close()
        reading.append(sockets.Stream(ours, 20))
        reading[0]._unread.extend(data)
        came.append(reading[0].read_line())
        came.append(reading[0].read_exactly(1))
        came.append(reading[0].read_line())
        for line in reading[0].lines():
            came.append(line)

    came, reading = [], []
    for steps, _ in at_each_step(read, stream):
        if reading:
            came.append(reading[0].read_all(100))
            reading[0].close()
        got = b"".join(came)
        missing = len(data) - len(got)
        if reading and missing:
            lost += 1
            assert 0 < missing <= 2, (steps, came)
            assert any(data[:at] + data[at + missing :] == got for at in range(len(data))), (steps, came)
        came.clear()
        reading.clear()
    say((steps, lost))


def test_a_signal_handler_that_raises_loses_no_more_than_what_was_on_its_way_to_us(child):
    process = child(interrupt_lines_at_each_step, measured=False)
    steps, lost = process.hear(50)
    assert steps > 100
    assert lost < steps / 2
    assert process.end() == 0


def test_no_descriptors_come_in_with_the_bytes(pair):
    stream, theirs = pair
    before = os.listdir("/proc/self/fd")
    socket.send_fds(theirs, [b"bytes\n"], [0, 1, 2])
    assert stream.read_line() == b"bytes\n"
    assert len(os.listdir("/proc/self/fd")) == len(before)
