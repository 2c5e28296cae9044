"""A text for each reader: perl, cat and others read; some leave early, some stay, some come together."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import stat
import subprocess
import threading
import time

import pytest

import pyipc
from pyipc import fifos
from pyipc._backend import ops

pytestmark = pytest.mark.timeout(40)


class Texts:
    """Numbered ones."""

    def __init__(self, form=b"text %d\n"):
        self.form = form
        self.count = 0

    def __call__(self):
        self.count += 1
        return self.form % self.count


@pytest.fixture
def texts():
    return Texts()


def is_fresh(texts):
    """Whether each is one text, whole, and none came twice."""
    numbers = [int(text[len("text ") : -1]) for text in texts]
    return texts == [b"text %d\n" % number for number in numbers] and numbers == sorted(set(numbers))


def read(path):
    with open(path, "rb") as file:
        return file.read()


def test_each_reader_gets_one_fresh_text(fifo, serving, texts):
    serving(fifo, texts)
    got = [read(fifo.path) for _ in range(300)]  # each as soon as the one before has closed: no `sleep 2`
    assert is_fresh(got)
    assert texts.count <= 310  # one that the kernel closes slowly, on a busy machine, costs a text


def test_perl_and_cat_get_one_each(fifo, serving, texts, perl):
    serving(fifo, texts)
    program = 'for (1 .. 20) { open(F, "<", $ARGV[0]) or die; print <F>; close F }'
    other = perl(program, fifo.path)
    got = [other.line().encode() + b"\n" for _ in range(20)]
    other.end()
    got += [subprocess.run(["cat", fifo.path], capture_output=True, check=True).stdout for _ in range(10)]
    assert is_fresh(got)


def test_a_text_is_made_when_its_reader_is_there(fifo, serving):
    made = []

    def now():
        made.append(time.monotonic())
        return b"%f" % made[-1]

    serving(fifo, now)
    time.sleep(0.05)  # nothing happens: there is no fact to wait for
    assert made == []
    started = time.monotonic()
    assert float(read(fifo.path)) >= started


def test_who_comes_as_another_leaves_while_the_text_is_made_gets_it(fifo, serving, until, asleep):
    making, go_on = threading.Event(), threading.Event()
    texts = Texts()

    def slowly():
        making.set()
        go_on.wait()
        return texts()

    thread = serving(fifo, slowly)
    first = os.open(fifo.path, os.O_RDONLY)
    making.wait()
    second = os.open(fifo.path, os.O_RDONLY)
    os.close(first)
    go_on.set()
    until(lambda: texts.count == 1 and asleep(os.getpid(), thread.native_id))
    with open(second, "rb") as file:
        assert file.read() == b"text 1\n"
    assert read(fifo.path) == b"text 2\n"


def test_a_text_of_any_size_goes_through(fifo, serving):
    text = os.urandom(3 << 20)
    serving(fifo, lambda: text)
    for _ in range(2):
        assert read(fifo.path) == text


def test_an_empty_text_is_one_too(fifo, serving):
    serving(fifo, bytes)
    for _ in range(50):
        assert read(fifo.path) == b""


def test_a_reader_that_leaves_early_is_nobodys_fault(fifo, serving, handling, until):
    handling(signal.SIGPIPE, signal.SIG_DFL)  # which it survives
    texts = Texts(b"%07d" + b"x" * 60_000)
    thread = serving(fifo, texts)
    last = 0
    for _ in range(50):
        with open(fifo.path, "rb", 0) as file:
            before, last = last, int(file.read(7))
            assert last > before
            until(lambda file=file: nobody_writes(file))  # till then, others would be in the same pipe
    assert thread.is_alive()


def nobody_writes(file):
    poll = select.poll()
    poll.register(file, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def test_what_one_has_left_unread_the_next_does_not_get(fifo, serving, cat, until, in_open):
    serving(fifo, Texts(b"%07d" + b"x" * 60_000))
    with open(fifo.path, "rb", 0) as file:
        assert file.read(7) == b"0000001"
        until(lambda: nobody_writes(file))
        next_one = cat(fifo.path)
        until(lambda: in_open(next_one.pid))
    assert next_one.stdout.read() == b"0000002" + b"x" * 60_000


def test_more_than_a_pipe_holds_may_be_left_unread_as_well(fifo, serving, handling):
    handling(signal.SIGPIPE, signal.SIG_DFL)
    thread = serving(fifo, Texts(b"%07d" + b"x" * 200_000))
    for _ in range(50):
        with open(fifo.path, "rb", 0) as file:
            assert len(file.read(7)) == 7
    assert thread.is_alive()


def test_readers_that_are_killed_while_they_wait_or_read_hold_nobody_up(fifo, serving, cat, until, in_open):
    texts = Texts(b"%06d\n" + b"x" * 200_000)
    before = cat(fifo.path)
    until(lambda: in_open(before.pid))
    before.kill()
    before.wait()
    serving(fifo, texts)
    for _ in range(10):
        one = cat(fifo.path)
        assert one.stdout.read(7)
        one.kill()
        one.wait()
    read(fifo.path)  # perhaps what is left: it may have come before the one before was missed
    assert read(fifo.path)[:7] == b"%06d\n" % texts.count


def test_who_opens_twice_at_once_shares_and_the_next_is_alone_again(fifo, serving, texts):
    serving(fifo, texts)
    with open(fifo.path, "rb", 0) as one:
        assert one.read(100) == b"text 1\n"
        # It has not gone: nobody writes, so to open it again waits until it has.
        number = os.open(fifo.path, os.O_RDONLY | os.O_NONBLOCK)
        assert one.read(100) == b""
        assert os.read(number, 100) == b""
        os.close(number)
    assert read(fifo.path)[:5] == b"text "
    assert is_fresh([read(fifo.path) for _ in range(3)])


def test_a_reader_that_stays_is_waited_for(fifo, serving, texts, cat, until, in_open):
    serving(fifo, texts)
    with open(fifo.path, "rb", 0) as one:
        assert one.read(100) == b"text 1\n"
        until(lambda: nobody_writes(one))
        next_one = cat(fifo.path)
        until(lambda: in_open(next_one.pid))
        assert texts.count == 1
    assert next_one.stdout.read() == b"text 2\n"


def test_closing_it_in_another_thread_ends_it(fifo, waiter, texts, until, asleep):
    serving = waiter(lambda: fifo.serve(texts))
    assert read(fifo.path) == b"text 1\n"
    until(lambda: asleep(os.getpid(), serving.native_id))
    started = time.monotonic()
    fifo.close()
    serving.join()
    assert serving.outcome is None
    assert time.monotonic() - started < 2
    assert not os.path.lexists(fifo.path)


@pytest.mark.parametrize("state", ["nobody came", "it stays", "it reads nothing"])
def test_closing_ends_it_whatever_it_waits_for(fifo, waiter, until, asleep, state):
    serving = waiter(lambda: fifo.serve(lambda: bytes(200_000 if state == "it reads nothing" else 1)))
    with contextlib.ExitStack() as kept:
        if state != "nobody came":
            one = kept.enter_context(open(fifo.path, "rb", 0))
        if state == "it stays":
            assert one.read(10) == b"\0"
        until(lambda: asleep(os.getpid(), serving.native_id))
        fifo.close()
        serving.join()
        assert serving.outcome is None


def test_timeouts(fifo, texts, keep, costs_little):
    with costs_little(), pytest.raises(pyipc.TimedOutError, match="reader"):
        fifo.serve(texts, 0.1)
    with pytest.raises(pyipc.WouldBlockError, match="reader"):
        fifo.serve(texts, 0)
    assert texts.count == 0
    number = os.open(fifo.path, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(pyipc.TimedOutError, match="gone"):
        fifo.serve(texts, 0.1)
    assert os.read(number, 100) == b"text 1\n"
    with pytest.raises(pyipc.TimedOutError, match="is read"):
        fifo.serve(lambda: bytes(1 << 20), 0.1)
    os.close(number)
    with pytest.raises(ValueError, match="timeout"):
        fifo.serve(texts, -1)


def test_who_reads_slowly_gets_no_more_time(fifo, waiter):
    began = time.monotonic()
    serving = waiter(lambda: fifo.serve(lambda: bytes(1 << 20), 0.4))
    with open(fifo.path, "rb", 0) as file:
        while serving.is_alive() and time.monotonic() < began + 5:
            file.read(4096)  # each lets a little in
            serving.join(0.1)
        serving.join(1)
    assert type(serving.outcome) is pyipc.TimedOutError
    assert time.monotonic() < began + 2


def test_a_stranger_who_writes_all_the_time_does_not_keep_the_server(fifo, serving, texts, monkeypatch):
    really = ops.now_fifo_read
    flood = itertools.count()

    def read_on(end, into, size):
        if isinstance(end, fifos.Reader) and next(flood) < 100_000:
            return 4096
        return really(end, into, size)

    monkeypatch.setattr(ops, "now_fifo_read", read_on)
    serving(fifo, texts)
    assert is_fresh([read(fifo.path) for _ in range(3)])
    assert next(flood) < 1000


def test_what_the_producer_raises_ends_it_and_the_reader_sees_an_end(fifo, waiter):
    def producer():
        raise ZeroDivisionError

    serving = waiter(lambda: fifo.serve(producer))
    assert read(fifo.path) == b""
    serving.join()
    assert type(serving.outcome) is ZeroDivisionError
    serving = waiter(lambda: fifo.serve(lambda: "text"))
    assert read(fifo.path) == b""
    serving.join()
    assert type(serving.outcome) is TypeError


def test_handlers_run_meanwhile_and_may_end_it(fifo, handling, ringing, texts):
    def late(*_):
        raise ZeroDivisionError

    handling(signal.SIGALRM, late)
    with pytest.raises(ZeroDivisionError), ringing(0.05):
        fifo.serve(texts)
    assert os.path.lexists(fifo.path)


# ---- its name ----


def test_one_that_somebody_removed_is_made_anew(path, serving, texts, until):
    with fifos.Fifo.create(path, mode=0o640) as fifo:
        serving(fifo, texts)
        assert read(path) == b"text 1\n"
        os.unlink(path)
        until(lambda: os.path.lexists(path))
        assert stat.S_IMODE(os.lstat(path).st_mode) == 0o640
        assert read(path) == b"text 2\n"
        fifo.close()
    assert not os.path.lexists(path)


def test_who_came_before_it_was_removed_is_served(path, serving, texts, cat, until, in_open):
    with fifos.Fifo.create(path) as fifo:
        early = cat(path)
        until(lambda: in_open(early.pid))
        os.unlink(path)
        serving(fifo, texts)
        assert early.stdout.read() == b"text 1\n"
        until(lambda: os.path.lexists(path))
        assert read(path) == b"text 2\n"


def test_what_has_taken_its_name_is_an_error_and_stays(path, waiter, texts, until, asleep):
    with fifos.Fifo.create(path) as fifo:
        serving = waiter(lambda: fifo.serve(texts))
        until(lambda: asleep(os.getpid(), serving.native_id))
        os.unlink(path)
        with open(path, "w") as file:
            file.write("mine")
        serving.join()
        assert type(serving.outcome) is pyipc.AlreadyExistsError
    with open(path) as file:
        assert file.read() == "mine"
    os.unlink(path)


def test_one_that_was_found_is_not_made_anew(path, texts):
    os.mkfifo(path)
    with fifos.Fifo.open(path) as fifo:
        os.unlink(path)
        with pytest.raises(pyipc.RemovedError, match=path):
            fifo.serve(texts)
    with fifos.Fifo.open_or_create(path) as fifo:
        os.unlink(path)
        with pytest.raises(pyipc.TimedOutError):
            fifo.serve(texts, 1.5)
        assert not fifo.owner
    os.unlink(path)


def test_a_limit_on_watches_is_named(path, nobody):
    with fifos.Fifo.create(path, mode=0o666):
        assert nobody(have_too_many, path).hear() == ("LimitError", "fs.inotify.max_user_instances")


def have_too_many(say, hear, path):
    import ctypes
    import os

    from pyipc import fifos

    libc = ctypes.CDLL(None)
    taken = []
    while True:
        number = libc.inotify_init1(os.O_CLOEXEC)
        if number < 0:
            break
        taken.append(number)
    with fifos.Fifo.open(path) as fifo:
        try:
            fifo.serve(bytes, 0)
        except OSError as problem:
            say((type(problem).__name__, problem.limit))
    for number in taken:
        os.close(number)
