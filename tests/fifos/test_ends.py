"""The ends of fifos: who is waited for, what is read, and when it ends; perl and cat at the other side."""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import select
import signal
import threading
import time

import pytest

import pyipc
from pyipc import fifos, signals
from pyipc._backend import ops

NATIVE = pyipc.backend() == "native"

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(params=["reader", "writer"])
def opening(request, fifo):
    """A call that waits for the other side, and how a stranger is that."""
    other = {"reader": os.O_WRONLY, "writer": os.O_RDONLY}[request.param]
    return getattr(fifo, request.param), lambda: os.open(fifo.path, other)


@pytest.fixture
def ends(fifo, keep):
    reader = keep(fifo.reader(keep_alive=True))
    return reader, keep(fifo.writer(0))


# ---- waiting for the other side ----


@pytest.mark.parametrize("timeout", [None, 20.0, float("inf")])
def test_it_waits_until_somebody_comes(opening, waiter, until, asleep, timeout):
    call, come = opening
    waiting = waiter(lambda: call(timeout))
    until(lambda: asleep(os.getpid(), waiting.native_id))
    if not NATIVE and call.__name__ == "reader":  # it is there already, for others
        number = os.open(call.__self__.path, os.O_WRONLY)
        os.write(number, b"x")
    else:
        number = come()
    waiting.join()
    os.close(number)
    waiting.outcome.close()


@pytest.mark.parametrize("seconds", [0.001, 0.05, 1.3])
def test_a_timeout_is_never_early_and_hardly_late_and_costs_little(opening, seconds, costs_little, fifo):
    call, _ = opening
    started = time.monotonic()
    with costs_little(), pytest.raises(pyipc.TimedOutError, match=fifo.path):
        call(seconds)
    assert seconds <= time.monotonic() - started < seconds + 0.5


def test_without_waiting_it_is_would_block_or_there(opening, fifo, keep):
    call, _ = opening
    started = time.monotonic()
    with pytest.raises(pyipc.WouldBlockError, match=fifo.path):
        call(0)
    assert time.monotonic() - started < 0.3
    other = os.open(fifo.path, os.O_RDWR)  # both sides
    if NATIVE or call.__name__ == "writer":
        call(0).close()
    os.close(other)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_timeout_that_makes_no_sense_is_a_value_error(opening, seconds):
    with pytest.raises(ValueError, match="timeout"):
        opening[0](seconds)


@pytest.mark.skipif(not NATIVE, reason="the fallback's reader is seen")
def test_who_waits_to_read_is_taken_for_no_reader_who_goes(fifo):
    """A writer that opens all the time, without waiting: only a reader that was there can break its pipe."""
    stop = threading.Event()
    broken = met = 0

    def write():
        nonlocal broken
        while not stop.is_set():
            try:
                number = os.open(fifo.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                continue
            try:
                os.write(number, b"x")
            except BrokenPipeError:
                broken += 1
            finally:
                os.close(number)

    thread = threading.Thread(target=write)
    thread.start()
    end = time.monotonic() + 1
    try:
        while time.monotonic() < end:
            with contextlib.suppress(pyipc.TimedOutError), fifo.reader(0.00001) as reader:
                met += 1
                reader.read(timeout=10)
    finally:
        stop.set()
        thread.join()
    assert broken <= met > 10


@pytest.mark.skipif(not NATIVE, reason="the fallback tries again and again, at any time")
def test_who_waits_to_write_shows_no_end_to_a_reader(fifo):
    """A reader that opens all the time: only a writer that was there can show it an end."""
    stop = threading.Event()
    empty = met = 0

    def read():
        nonlocal empty
        while not stop.is_set():
            number = os.open(fifo.path, os.O_RDONLY)
            empty += os.read(number, 10) == b""
            os.close(number)

    thread = threading.Thread(target=read)
    thread.start()
    end = time.monotonic() + 1
    try:
        while time.monotonic() < end:
            with (
                contextlib.suppress(pyipc.TimedOutError, pyipc.PeerGoneError),
                fifo.writer(0.00001) as writer,
            ):
                met += 1
                writer.write(b"x")
    finally:
        stop.set()
        while thread.is_alive():
            with contextlib.suppress(pyipc.TimedOutError):
                fifo.writer(0.01).close()
        thread.join()
    assert empty <= met + 1 > 10


def test_closing_the_fifo_in_another_thread_ends_the_wait(opening, fifo, waiter, until, asleep):
    call, _ = opening
    waiting = [waiter(lambda: call(None)) for _ in range(2)]
    for one in waiting:
        until(lambda one=one: asleep(os.getpid(), one.native_id))
    started = time.monotonic()
    fifo.close()
    for one in waiting:
        one.join()
        assert type(one.outcome) is pyipc.ClosedError
    assert time.monotonic() - started < 5


def test_handlers_run_during_the_wait_and_may_end_it(opening, handling, fifo):
    call, _ = opening
    came = []
    handling(signal.SIGALRM, lambda *_: came.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    with pytest.raises(pyipc.TimedOutError):
        call(0.2)
    assert len(came) > 5

    def late(*_):
        raise ZeroDivisionError

    handling(signal.SIGALRM, late)
    with pytest.raises(ZeroDivisionError):
        call(None)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert {thread.name for thread in threading.enumerate()} == {"MainThread"}


@pytest.mark.parametrize("flags", ["restarts", "blocked", "ends"])
def test_what_a_program_does_with_sigurg_is_in_no_ones_way(opening, handling, flags):
    """SIGURG gets the thread out that waits in open(2)."""
    call, _ = opening
    handling(signal.SIGURG, lambda *_: None)
    if flags == "restarts":
        signal.siginterrupt(signal.SIGURG, False)  # which restarts open(2)
    if flags == "blocked":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])
    try:
        with pytest.raises(pyipc.TimedOutError):
            call(0.05)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGURG])


def no_more_threads(say, hear, path):
    import resource

    from pyipc import fifos

    with fifos.Fifo.open(path) as fifo:
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        try:
            fifo.writer(0.05)
        except OSError as problem:
            say((type(problem).__name__, getattr(problem, "limit", None)))


def test_a_limit_on_threads_is_named(fifo, nobody):
    os.chmod(fifo.path, 0o666)
    expected = ("LimitError", "RLIMIT_NPROC") if NATIVE else ("TimedOutError", None)
    assert nobody(no_more_threads, fifo.path).hear() == expected


def test_a_limit_on_descriptors_is_named_and_nothing_leaks(fifo):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
        with pytest.raises(OSError, match="Too many"):  # noqa: PT012 (whichever of them it is)
            while True:
                taken.append(os.dup(0))
        for room in range(3):
            for call in fifo.reader, fifo.writer:
                with pytest.raises((pyipc.LimitError, pyipc.WouldBlockError, pyipc.TimedOutError)):
                    call(0.001)
            with pytest.raises(pyipc.LimitError) if room < 2 else contextlib.nullcontext():
                fifo.reader(keep_alive=True).close()
            os.close(taken.pop())
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# ---- reading ----


def test_an_ordinary_reader_reads_to_the_end(fifo, process, keep):
    other = process(["sh", "-c", f"printf 'one\\ntwo' > {fifo.path}; echo done; read x"])
    with fifo.reader(20) as reader:
        assert list(reader) == [b"one\n", b"two"]
        assert reader.read() == b""
        assert reader.read(timeout=0) == b""
        assert reader.read_line(0) == b""
        assert reader.read_record(0) is None
    assert other.line() == "done"


def test_a_reader_that_keeps_it_alive_sees_no_end_between_writers(fifo, perl):
    with fifo.reader(keep_alive=True) as reader:
        for number in range(3):
            other = perl(
                'open(F, ">", $ARGV[0]) or die; print F "line $ARGV[1]\n"; close F', fifo.path, number
            )
            assert reader.read_line(20) == b"line %d\n" % number
            assert other.end() == 0
            with pytest.raises(pyipc.WouldBlockError):
                reader.read(timeout=0)


def test_perl_reads_what_we_write(fifo, perl):
    other = perl('open(F, "<", $ARGV[0]) or die; print while <F>; print "end\n"', fifo.path)
    with fifo.writer(20) as writer:
        writer.write(b"one\n")
        assert other.line() == "one"
        writer.write(bytearray(b"two\n"))
        assert other.line() == "two"
    assert other.line() == "end"


def test_reads_are_of_any_size_and_lines_of_any_length(ends):
    reader, writer = ends
    writer.write(b"abcdef\nghi\n" + b"x" * 100 + b"\ntail")
    assert reader.read(3) == b"abc"
    assert reader.read_line(0) == b"def\n"
    assert reader.read(2) == b"gh"  # of what was read already
    assert reader.read_line(0) == b"i\n"
    assert reader.read_line(0, longest=60) == b"x" * 60
    assert reader.read_line(0, longest=60) == b"x" * 40 + b"\n"
    with pytest.raises(pyipc.WouldBlockError):
        reader.read_line(0)
    with pytest.raises(pyipc.TimedOutError):
        reader.read_line(0.01)
    writer.write(b"!\n")
    assert reader.read_line(0) == b"tail!\n"
    for call in lambda: reader.read(0), lambda: reader.read_line(longest=0):
        with pytest.raises(ValueError, match="at least 1"):
            call()


def test_a_reader_waits_and_is_woken_or_times_out_and_costs_little(ends, waiter, until, asleep, costs_little):
    reader, writer = ends
    with costs_little(), pytest.raises(pyipc.TimedOutError, match="fifo reader"):
        reader.read(timeout=0.2)
    waiting = waiter(reader.read_line)
    until(lambda: asleep(os.getpid(), waiting.native_id))
    writer.write(b"half")
    writer.write(b" and half\n")
    waiting.join()
    assert waiting.outcome == b"half and half\n"
    waiting = waiter(reader.read)
    until(lambda: asleep(os.getpid(), waiting.native_id))
    reader.close()
    waiting.join()
    assert type(waiting.outcome) is pyipc.ClosedError
    with pytest.raises(pyipc.ClosedError):
        reader.read(timeout=0)


def test_a_very_long_line_is_searched_once(ends, monkeypatch, waiter):
    searched = []

    class Counting(bytes):
        def __contains__(self, what):
            searched.append(len(self))
            return super().__contains__(what)

    really = ops.now_fifo_read

    def counted(fifo, into, size):
        result = really(fifo, into, size)
        if result > 0:
            into[-1] = Counting(into[-1])
        return result

    monkeypatch.setattr(ops, "now_fifo_read", counted)
    reader, writer = ends
    reading = waiter(lambda: reader.read_line(20, longest=1 << 20))
    for _ in range(10):
        writer.write(b"a" * 60_000, 20)
    writer.write(b"b\n", 20)
    reading.join()
    assert len(reading.outcome) == 600_002
    assert sum(searched) == 600_002


def test_a_line_may_come_in_many_calls_and_many_pieces(ends):
    reader, writer = ends
    line = bytes(range(32, 127)) + b"\n"
    for number in range(len(line)):
        writer.write(line[number : number + 1])
        if number < len(line) - 1:
            with pytest.raises(pyipc.WouldBlockError):
                reader.read_line(0)
    assert reader.read_line(0) == line


def test_what_is_read_by_turns_comes_in_its_order(ends):
    """Lines, bytes and records: whatever was read ahead for the ones is there for the others."""
    reader, writer = ends
    writer.write(b"one\ntwo\n")
    writer.write_record(b"a\nb\n")
    writer.write_record(b"c")
    writer.write(b"three\nfour")
    assert reader.read_line(0) == b"one\n"
    assert reader.read(2, 0) == b"tw"
    assert reader.read_line(0) == b"o\n"
    assert reader.read_record(0) == b"a\nb\n"
    assert reader.read_record(0) == b"c"
    assert pyipc.wait([reader], 0) == [reader]
    assert reader.read_line(0) == b"three\n"
    assert pyipc.wait([reader], 0) == []
    assert reader.read(timeout=0) == b"four"


def test_a_relative_that_makes_it_wait_cannot(ends):
    reader, writer = ends
    for end in ends:
        os.set_blocking(end.fileno(), True)  # all who have it open share that
    with pytest.raises(pyipc.WouldBlockError):
        reader.read(timeout=0)
    os.set_blocking(writer.fileno(), True)
    with pytest.raises(pyipc.WouldBlockError):
        writer.write(bytes(1 << 20), timeout=0)


def test_select_and_wait_know_when_there_is_something(ends):
    reader, writer = ends
    assert select.select([reader], [writer], [], 0) == ([], [writer], [])
    assert pyipc.wait([reader], 0) == []
    writer.write(b"one\ntwo\nthr")
    assert select.select([reader], [], [], 0)[0] == [reader]
    assert pyipc.wait([reader], 20) == [reader]
    assert reader.read_line() == b"one\n"
    assert pyipc.wait([reader], 0) == [reader]  # of what was read already
    assert reader.read_line() == b"two\n"
    assert pyipc.wait([reader], 0) == []


def test_its_end_makes_a_reader_ready(fifo, process):
    other = process(["sh", "-c", f"exec 3> {fifo.path}; echo -n hi >&3; echo on; read x"])
    with fifo.reader(20) as reader:
        assert other.line() == "on"
        assert reader.read() == b"hi"
        assert pyipc.wait([reader], 0) == []
        other.kill()
        assert pyipc.wait([reader], 20) == [reader]
        assert reader.read() == b""


# ---- writing ----


def test_a_reader_that_goes_is_an_error_and_no_signal(fifo, handling):
    came = []
    handling(signal.SIGPIPE, lambda *_: came.append(1))
    for handler in signal.SIG_DFL, came.append, signal.SIG_IGN:
        signal.signal(signal.SIGPIPE, handler)
        number = os.open(fifo.path, os.O_RDONLY | os.O_NONBLOCK)
        with fifo.writer(0) as writer:
            os.close(number)
            with pytest.raises(pyipc.PeerGoneError) as problem:
                writer.write(b"x")
            assert problem.value.characters_written == 0
            with pytest.raises(pyipc.PeerGoneError):
                writer.write_record(b"x")
    assert not came
    assert signal.SIGPIPE not in signal.sigpending()


def write_by_default(side):
    reading, writing = os.pipe()
    os.close(reading)
    with signals.default("PIPE"), fifos.Writer(writing) as writer:
        try:
            writer.write(b"x")
        except pyipc.PeerGoneError:
            side.say("alive")


def test_a_scope_that_lets_the_signal_kill_does_not_let_it_kill_here(fork):
    other = fork(write_by_default)
    assert other.hear() == "alive"
    assert other.end() == 0


def test_all_of_it_is_written_and_a_part_is_counted(fifo, process, ends):
    reader, writer = ends
    with pytest.raises(pyipc.WouldBlockError) as problem:
        writer.write(bytes(1 << 20), 0)
    assert problem.value.characters_written == writer.capacity
    with pytest.raises(pyipc.TimedOutError) as problem:
        writer.write(b"more", 0.01)
    assert problem.value.characters_written == 0
    reader.close()
    writer.close()
    other = process(["sh", "-c", f"wc -c < {fifo.path}"])
    with fifo.writer(20) as writer:
        writer.write(memoryview(bytes(5 << 20)).cast("I"), 20)
    assert other.line().strip() == str(5 << 20)


def test_what_is_no_bytes_is_a_type_error(ends):
    for wrong in "text", 7, None:
        for call in ends[1].write, ends[1].write_record:
            with pytest.raises(TypeError):
                call(wrong)


# ---- records ----


@pytest.mark.parametrize("size", [0, 1, 4091, 4092])
def test_a_record_comes_as_it_was(ends, size):
    reader, writer = ends
    data = os.urandom(size)
    writer.write_record(data)
    writer.write_record(bytearray(b"next"))
    assert reader.read_record(0) == data
    assert reader.read_record(0) == b"next"
    with pytest.raises(pyipc.WouldBlockError):
        reader.read_record(0)


def test_a_longer_one_is_refused_with_the_limits_name(ends):
    reader, writer = ends
    with pytest.raises(pyipc.LimitError, match="PIPE_BUF") as problem:
        writer.write_record(bytes(writer.longest_record + 1))
    assert (problem.value.limit, problem.value.value) == (
        "PIPE_BUF",
        os.pathconf(reader.fileno(), "PC_PIPE_BUF"),
    )
    with pytest.raises(pyipc.WouldBlockError):
        reader.read(timeout=0)


def test_a_full_pipe_takes_a_record_whole_or_not_at_all(ends):
    reader, writer = ends
    sent = 0
    with pytest.raises(pyipc.WouldBlockError):  # noqa: PT012 (whichever of them it is)
        while True:
            writer.write_record(bytes(3000), 0)
            sent += 1
    with pytest.raises(pyipc.TimedOutError):
        writer.write_record(bytes(3000), 0.01)
    for _ in range(sent):
        assert reader.read_record(0) == bytes(3000)
    with pytest.raises(pyipc.WouldBlockError):
        reader.read_record(0)


WRITE_RECORDS = """
my ($path, $mark) = @ARGV;
open(my $fifo, ">", $path) or die;
while (1) {
    my $data = $mark x (1 + int rand 4092);
    my $size = length $data;
    syswrite($fifo, pack("vva*", $size, $size ^ 0xffff, $data)) == $size + 4 or die;
}
"""


def test_records_of_many_that_are_killed_come_whole(fifo, perl):
    def mark_of_next():
        record = reader.read_record(20)
        assert record == record[:1] * len(record) != b""
        return record[:1]

    with fifo.reader(keep_alive=True) as reader:
        others = {mark: perl(WRITE_RECORDS, fifo.path, mark) for mark in "abcd"}
        seen = set()
        while seen != {b"a", b"b", b"c", b"d"}:  # however late some of them begin
            seen.add(mark_of_next())
        for number in range(2000):
            mark_of_next()
            if number in (500, 1000, 1500):
                mark = sorted(others)[0]
                others.pop(mark).kill()
        for other in others.values():
            other.kill()


@pytest.mark.parametrize("junk", [b"hello, world", b"\0\0\0\0", b"\xff\x0f\0\xf0"])
def test_what_is_no_record_is_an_error_and_stays(ends, junk):
    reader, writer = ends
    writer.write(junk)
    for _ in range(2):
        with pytest.raises(pyipc.IPCError, match="none") as problem:
            reader.read_record(0)
        assert type(problem.value) is pyipc.IPCError
    assert reader.read(100) + (reader.read(100) if len(junk) > 4 else b"") == junk


def test_an_end_within_a_record_is_an_error(fifo, process):
    process(["sh", "-c", f"printf '\\005\\000\\372\\377ab' > {fifo.path}"])
    with fifo.reader(20) as reader:
        with pytest.raises(pyipc.IPCError, match="within one"):
            reader.read_record(20)
        assert reader.read() == b"\x05\0\xfa\xffab"


# ---- capacity, and handles ----


def test_the_capacity_is_what_the_kernel_says(ends):
    reader, writer = ends
    assert reader.capacity == 65536
    assert reader.set_capacity(200_000) == 262_144 == writer.capacity
    writer.write(bytes(200_000), 0)
    with pytest.raises(pyipc.InUseError):
        writer.set_capacity(4096)
    for wrong in 0, -1, 1 << 31:
        with pytest.raises(ValueError, match="holds"):
            reader.set_capacity(wrong)


def test_what_is_no_pipe_has_no_capacity_and_is_not_called_closed():
    with open("/dev/null", "rb") as file, fifos.Reader(os.dup(file.fileno())) as reader:
        for call in (lambda: reader.capacity), (lambda: reader.set_capacity(4096)):
            with pytest.raises(pyipc.IPCError, match=r"Invalid argument.*fifo reader"):
                call()


def too_much(say, hear):
    import os

    from pyipc import fifos

    reading, writing = os.pipe()
    with fifos.Reader(reading) as reader, fifos.Writer(writing):
        try:
            reader.set_capacity(1 << 30)
        except OSError as problem:
            say((type(problem).__name__, problem.limit, problem.value, problem.path))


def test_more_than_the_limit_names_it(nobody):
    name = "/proc/sys/fs/pipe-max-size"
    with open(name) as text:
        most = int(text.read())
    assert nobody(too_much).hear() == ("LimitError", "pipe-max-size", most, name)


def test_ends_of_any_pipe_will_do_and_detached_ones_wait_again(keep):
    reading, writing = os.pipe()
    reader, writer = fifos.Reader(reading), fifos.Writer(writing)
    writer.write_record(b"x")
    assert reader.read_record() == b"x"
    writer.close()
    assert reader.read_record() is None
    number = reader.detach()
    assert os.get_blocking(number)
    assert reader.closed
    os.close(number)


def test_ends_are_close_on_exec_and_a_twin_has_its_own(ends):
    for end in ends:
        assert not os.get_inheritable(end.fileno())
    with ends[0].dup() as twin:
        ends[1].write(b"one\n")
        assert twin.read_line(0) == b"one\n"
    with pytest.raises(TypeError):
        pickle.dumps(ends[0])


def interrupt_at_each_step(say, hear, script):
    """Read what is there, and raise at each step of it; how often something was lost on its way to us."""
    import os
    import sys

    from each_step import at_each_step

    from pyipc import fifos
    from pyipc.fifos import ends

    fallback = [name for name in sys.modules if name.startswith("pyipc._backend.fallback")]

    def prepared():
        reading, writing = os.pipe()
        os.write(writing, b"".join(wire for *_, wire in script))
        os.close(writing)
        return fifos.Reader(reading)

    def read():
        for method, arguments, wire in script:
            given = getattr(reader, method)(**arguments)
            came.append(wire)
            assert wire.endswith(given), (wire, given)

    whole = [wire for *_, wire in script]
    lost, came, reader = 0, [], prepared()
    for steps, _ in at_each_step(read, ends, *map(sys.modules.get, fallback)):
        rest = b"".join(iter(reader.read, b""))
        reader.close()
        number = len(came)
        if b"".join(came) + rest != b"".join(whole):
            lost += 1
            assert rest == b"".join(whole[number + 1 :]), (steps, came, rest)
        came, reader = [], prepared()
    reader.close()
    say((steps, lost))


SCRIPTS = {
    "lines": [
        ("read_line", {}, b"1\n"),
        ("read", {"size": 2}, b"22"),
        ("read_line", {"timeout": 0}, b"2\n"),
        ("read_line", {"longest": 2}, b"33"),
        ("read_line", {"longest": 2}, b"3\n"),
        ("read_line", {"timeout": 20}, b"4"),
    ],
    "records": [
        ("read_record", {}, b"\1\0\xfe\xffa"),
        ("read_record", {"timeout": 20}, b"\2\0\xfd\xffbc"),
        ("read_line", {}, b"line\n"),
        ("read_record", {"timeout": 0}, b"\4\0\xfb\xffd\ne\n"),
        ("read", {"size": 7}, b"the end"),
    ],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_handler_that_raises_loses_no_more_than_what_was_on_its_way_to_us(child, script):
    other = child(interrupt_at_each_step, SCRIPTS[script], measured=False)
    steps, lost = other.hear(50)
    assert steps > 50
    assert lost < steps / 4
    assert other.end() == 0


STEPS = {
    "names": "with fifos.Fifo.open(path) as fifo: kept.append(fifo)",
    "reader": "kept.append(fifo.reader(keep_alive=True)); kept[-1].close()",
    "writer": "kept.append(fifo.writer(0)); kept[-1].close()",
    "waiting": """
try:
    kept.append(fifo.reader(0.0003))
    kept[-1].close()
except pyipc.TimedOutError:
    pass
""",
}


def storm(say, hear, path, step):
    """Handlers that raise at any moment; then what is open."""
    import os
    import random
    import signal
    import sys
    import warnings

    import pyipc
    from pyipc import fifos

    armed = False

    def late(*_):
        nonlocal armed
        if armed:
            armed = False
            raise ZeroDivisionError

    sys.unraisablehook = lambda what: None  # what is raised in a destructor goes nowhere
    warnings.simplefilter("ignore", ResourceWarning)
    signal.signal(signal.SIGALRM, late)
    chance = random.Random(1)
    kept = []
    fifo = fifos.Fifo.open(path)
    there = fifo.reader(keep_alive=True) if "waiting" not in step and "0.0003" not in step else None
    names = {"pyipc": pyipc, "fifos": fifos, "fifo": fifo, "kept": kept, "path": path}
    program = compile(step, "step", "exec")
    before = len(os.listdir("/proc/self/fd"))
    interrupted = done = 0
    while interrupted < 300:
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(50e-6, 500e-6), 300e-6)
        try:
            while True:
                kept.clear()
                armed = True
                exec(program, names)
                armed = False
                done += 1
        except ZeroDivisionError as problem:
            signal.setitimer(signal.ITIMER_REAL, 0)
            interrupted += 1
            armed = False
            kept.clear()
            names["fifo"] = fifo
            problem.__traceback__ = None
    say((len(os.listdir("/proc/self/fd")) - before, done > 0))
    if there:
        there.close()
    fifo.close()


@pytest.mark.parametrize("what", STEPS)
def test_a_handler_that_raises_leaves_nothing_open(fifo, child, what):
    other = child(storm, fifo.path, STEPS[what], measured=False)
    left, done = other.hear(timeout=50)
    assert left == 0
    assert done or what == "waiting"  # which takes longer than it is until the next handler
    assert other.end() == 0


def test_the_thread_that_waited_has_gone(opening):
    """So that fork(2) is as safe as before."""
    before = len(os.listdir("/proc/self/task"))
    with pytest.raises(pyipc.TimedOutError):
        opening[0](0.01)
    assert len(os.listdir("/proc/self/task")) == before
