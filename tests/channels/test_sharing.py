"""One channel for many: threads, forked processes, started ones, other users; and the limits of it."""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
import pickle
import resource
import signal
import threading
import time

import numpy as np
import pytest

import pyipc
from pyipc import channels

pytestmark = pytest.mark.needs("channels")

METHODS = ["fork", "spawn", "forkserver"]


# ---- threads ----


def test_threads_share_a_handle(channel):
    each, threads = 2000, 3
    came = [[] for _ in range(threads)]

    def sends(number):
        for i in range(each):
            channel.send(b"%d %d" % (number, i) + bytes(100 if i % 7 == 0 else 0), timeout=20)

    def receives(mine):
        while True:
            data = channel.recv(timeout=20)
            if data == b"end":
                return
            mine.append(tuple(map(int, data.rstrip(b"\0").split())))

    sending = [threading.Thread(target=sends, args=[i]) for i in range(threads)]
    receiving = [threading.Thread(target=receives, args=[mine]) for mine in came]
    for thread in sending + receiving:
        thread.start()
    for thread in sending:
        thread.join()
    for _ in receiving:
        channel.send(b"end")
    for thread in receiving:
        thread.join()
    assert sorted(itertools.chain(*came)) == [(number, i) for number in range(threads) for i in range(each)]
    for mine in came:  # what one sent comes in that order, to whomever
        for number in range(threads):
            of_one = [i for sender, i in mine if sender == number]
            assert of_one == sorted(of_one)


def test_threads_use_all_ways_at_once(channel):
    """Batches, kept ones, reservations, arrays: by threads of one handle."""
    left, lock = [3000], threading.Lock()
    failed = []

    def take():
        with lock:
            left[0] -= 1
            return left[0] >= 0

    def guarded(work):
        try:
            while take():
                work()
        except Exception as problem:
            failed.append(problem)

    def keeps():
        with channel.recv(timeout=20, ack=True) as message:
            np.frombuffer(message.buf, "u1").sum()

    def reserves():
        with channel.reserve(500, timeout=20) as reserved:
            reserved.buf[:] = bytes(500)

    def some():
        with contextlib.suppress(pyipc.WouldBlockError):
            channel.recv_many(5, timeout=0)
        with contextlib.suppress(pyipc.WouldBlockError):
            channel.send_many([b"x"] * 3, timeout=0)

    def stirs():
        for _ in range(3):
            with contextlib.suppress(pyipc.WouldBlockError):
                channel.send(b"y", timeout=0)
        with contextlib.suppress(pyipc.WouldBlockError):
            channel.recv(timeout=0)

    done = threading.Event()

    def feeds():  # so that nobody waits in vain in the end
        while not done.wait(0.0005):
            with contextlib.suppress(pyipc.WouldBlockError):
                channel.send(b"z", timeout=0)
            with contextlib.suppress(pyipc.WouldBlockError):
                channel.recv(timeout=0)

    feeder = threading.Thread(target=feeds)
    feeder.start()
    works = [threading.Thread(target=guarded, args=[work]) for work in (keeps, reserves, some, stirs) * 2]
    for thread in works:
        thread.start()
    for thread in works:
        thread.join(30)
    done.set()
    feeder.join()
    assert failed == []
    while channel.statistics().depth:
        channel.recv(timeout=0)
    channel.reserve(1 << 20, timeout=0).cancel()  # all memory has come back


def test_close_while_others_use_it(fork):
    """Again and again, at whatever moment; the other calls end with ClosedError and nothing else."""
    for i in range(60):
        channel = channels.Channel(4, 64, 1 << 16)
        outcomes = []

        def works(call, channel=channel, outcomes=outcomes):
            try:
                while True:
                    with contextlib.suppress(pyipc.TimedOutError):
                        call(channel)
            except Exception as problem:
                outcomes.append(type(problem))

        threads = [
            threading.Thread(target=works, args=[call])
            for call in (
                lambda it: it.send(b"x", 0.01),
                lambda it: it.recv(0.01),
                lambda it: it.send(bytes(200), 0.01),
                lambda it: bytes(it.peek(0.01)),
            )
        ]
        for thread in threads:
            thread.start()
        time.sleep(i / 10_000)  # a moment of their lives
        channel.close()
        for thread in threads:
            thread.join(20)
        assert outcomes == [pyipc.ClosedError] * 4


# ---- forks ----


def test_both_sides_of_a_fork_go_on(channel, fork):
    channel.send(b"before")

    def works(other):
        other.say(channel.recv(timeout=20))
        other.hear()
        channel.send(b"from the child")
        other.say()
        other.hear()
        other.say(channel.recv(timeout=20))

    other = fork(works)
    assert other.hear() == b"before"
    channel.send(b"in between")
    assert channel.recv() == b"in between"
    other.say()
    other.hear()
    assert channel.recv(timeout=20) == b"from the child"
    channel.send(b"from the parent")
    other.say()
    assert other.hear() == b"from the parent"
    assert other.end() == 0


def test_a_child_of_a_child(channel, fork):
    def works(other, generations):
        channel.send(b"%d" % generations)
        if generations:
            child = os.fork()
            if child == 0:
                works(other, generations - 1)
                os._exit(0)
            os.waitpid(child, 0)
        else:
            other.say()

    other = fork(works, 4)
    other.hear()
    assert other.end() == 0
    assert channel.recv_many(timeout=20) == [b"4", b"3", b"2", b"1", b"0"]


def test_a_child_takes_part_in_its_own_name(channel, fork):
    """What it keeps is not its parent's: it comes back when the child dies, not before."""
    channel.send(b"kept")

    def keeps(other):
        message = channel.recv(ack=True)
        other.say()
        other.hear()
        message.ack()

    for kept in True, False:
        other = fork(keeps)
        other.hear()
        with pytest.raises(pyipc.WouldBlockError):
            channel.recv(timeout=0)
        if kept:
            other.kill()
            assert channel.recv(timeout=5) == b"kept"
            channel.send(b"kept")
        else:
            other.say()
            assert other.end() == 0
            with pytest.raises(pyipc.WouldBlockError):
                channel.recv(timeout=0)


@pytest.mark.parametrize("with_what", ["a message", "a reservation", "the guards, maybe"])
def test_a_child_does_not_keep_its_dead_parent_alive(channel, fork, with_what):
    def forks(other):
        held = None
        if with_what == "a message":
            held = channel.recv(timeout=20, ack=True)
        elif with_what == "a reservation":
            held = channel.reserve(1 << 20)
        child = os.fork()
        if child == 0:
            other.say(os.getpid())
            signal.pause()
        while with_what == "the guards, maybe":
            with contextlib.suppress(pyipc.WouldBlockError):
                channel.send(b"x", timeout=0)
            with contextlib.suppress(pyipc.WouldBlockError):
                channel.recv(timeout=0)
        signal.pause()
        del held

    channel.send(b"kept")
    parent = fork(forks)
    orphan = parent.hear()
    try:
        time.sleep(0.02)  # a moment of its life
        parent.kill()
        if with_what == "a message":
            assert channel.recv(timeout=5) == b"kept"
        channel.reserve(1 << 20, timeout=5).cancel()
        while channel.statistics().depth:
            channel.recv(timeout=0)
        channel.send(b"goes on", timeout=5)
        assert channel.recv(timeout=5) == b"goes on"
    finally:
        os.kill(orphan, signal.SIGKILL)


def forks_while_another_thread_has(say, hear, what):
    import contextlib
    import os
    import threading

    import pyipc
    from pyipc import channels

    def works():
        if what == "a message":
            local.held = channel.recv(ack=True)
        else:
            local.held = channel.reserve(10)
            local.held.buf[:] = b"A" * 10
        has.set()
        go_on.wait()
        if what == "a message":
            local.held.ack()
        else:
            local.held.commit()
        said.append("done")

    channel = channels.Channel(4, 64, 1 << 20)
    channel.send(b"task")
    local, has, go_on, said = threading.local(), threading.Event(), threading.Event(), []
    thread = threading.Thread(target=works)
    thread.start()
    has.wait()
    pid = os.fork()
    if pid == 0:
        os._exit(0)  # Python has dropped by now what the other thread had
    os.waitpid(pid, 0)
    if what == "a message":
        with contextlib.suppress(pyipc.TimedOutError):
            said.append(channel.recv(timeout=0.3))
    else:
        with channel.reserve(10) as other:
            other.buf[:] = b"B" * 10
    go_on.set()
    thread.join()
    while channel.statistics().depth:
        said.append(channel.recv())
    channel.close()
    say(said)


@pytest.mark.parametrize(
    ("what", "said"),
    [("a message", ["done"]), ("a reservation", ["done", b"task", b"B" * 10, b"A" * 10])],
)
def test_a_fork_takes_nothing_from_the_other_threads(child, what, said):
    other = child(forks_while_another_thread_has, what, measured=False)
    assert other.hear() == said
    assert other.end() == 0


def forks_while_threads_are_at_it(say, hear):
    import contextlib
    import os
    import threading

    import pyipc
    from pyipc import channels

    def works():
        while not done.is_set():
            with contextlib.suppress(pyipc.IPCError):
                channel.send(b"x" * 100, timeout=0.01)
            with contextlib.suppress(pyipc.IPCError):
                channel.recv(timeout=0.01)

    channel = channels.Channel(4, 64, 1 << 20)
    done = threading.Event()
    threads = [threading.Thread(target=works) for _ in range(3)]
    for thread in threads:
        thread.start()
    statuses = []
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                channel.send(b"child", timeout=10)
                channel.recv(timeout=10)
                status = 0
            finally:
                os._exit(status)
        statuses.append(os.waitpid(pid, 0)[1])
    done.set()
    for thread in threads:
        thread.join()
    channel.close()
    say(statuses)


def test_a_fork_while_other_threads_are_at_it(child):
    # What measures coverage has locks, which a thread may hold that is not there after the fork.
    other = child(forks_while_threads_are_at_it, measured=False)
    assert other.hear() == [0] * 20
    assert other.end() == 0


def test_closing_in_a_child_closes_nothing_here(channel, fork):
    def closes(other):
        channel.close()
        other.say()

    other = fork(closes)
    other.hear()
    assert other.end() == 0
    channel.send(b"x")
    assert channel.recv() == b"x"


def test_a_handle_of_a_forked_child_counts_for_the_end(fork):
    reader, writer = channels.Channel(4, 64, 0).split()

    def has_both(other):
        other.say()
        other.hear()

    other = fork(has_both)
    other.hear()
    writer.close()
    with pytest.raises(pyipc.TimedOutError):
        reader.recv(timeout=0.1)
    other.kill()
    with pytest.raises(pyipc.PeerGoneError):
        reader.recv(timeout=5)
    reader.close()


# ---- through multiprocessing ----

SCENARIOS = {
    "as_arguments": (0, "PeerGoneError"),
    "of_each_kind": ([2, "xx", [2, 2]], True, ["sent", "seen"], b"from the child", "PeerGoneError", 0),
    "over_a_connection": ((b"hello seen", b"came back", "Writer"), "PeerGoneError", 0),
    "over_queues": [b"by a queue", 0] * 3,
    "many_workers": (sum(range(1000)), [0, 0, 0]),
}


@pytest.mark.parametrize("method", METHODS)
def test_through_multiprocessing(child, method):
    other = child("carries_channels.py", method, *SCENARIOS)
    for scenario, expected in SCENARIOS.items():
        answer, left = other.hear(timeout=40)
        assert (scenario, answer) == (scenario, expected)
        assert left == 0, scenario
    assert other.end() == 0


@pytest.mark.parametrize("make", [channels.Channel, channels.Queue, channels.JoinableQueue, channels.Pipe])
def test_elsewhere_they_are_refused_with_the_reason(make):
    made = make()
    handles = made if isinstance(made, tuple) else (made,)
    before = len(os.listdir("/proc/self/fd"))
    for handle in handles:
        for attempt in pickle.dumps, copy.copy, copy.deepcopy, lambda it: pickle.dumps([{"deep": it}]):
            with pytest.raises(TypeError, match="only by multiprocessing"):
                attempt(handle)
    assert len(os.listdir("/proc/self/fd")) == before
    for handle in handles:
        handle.close()
        with pytest.raises((pyipc.ClosedError, TypeError)):
            pickle.dumps(handle)


def test_who_got_a_descriptor_of_something_else_is_told(channel):
    with open("/dev/null", "r+b") as null, pytest.raises((pyipc.IPCError, OSError)):
        channels.Reader._attach(null.fileno(), [null.fileno()] * 2)
    life = channel._part().life.fileno()
    with open("/dev/null", "r+b") as null, pytest.raises(pyipc.IPCError, match="no pipe"):
        channels.Reader._attach(life, [null.fileno()] * 2)


# ---- limits ----


def test_so_many_handles_and_no_more(fork):
    def opens(other):
        with channels.Channel(2, 16, 0) as channel, contextlib.ExitStack() as stack:
            handles = [stack.enter_context(channel.writer()) for _ in range(1022)]
            try:
                channel.reader()
            except pyipc.LimitError as problem:
                other.say((problem.limit, problem.value))
            before = len(os.listdir("/proc/self/fd"))
            with contextlib.suppress(pyipc.LimitError):
                channel.writer()
            other.say(len(os.listdir("/proc/self/fd")) - before)
            handles[500].close()
            with channel.writer() as last:
                last.send(b"the last", timeout=5)
            other.say(channel.recv(timeout=5))

    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 4000:
        pytest.skip("too few descriptors are allowed here")
    other = fork(opens)
    assert other.hear() == ("handles on one object", 1023)
    assert other.hear() == 0
    assert other.hear() == b"the last"
    assert other.end() == 0


MAKES = {
    "Channel": lambda channel: channels.Channel(4, 16, 100),
    "Queue": lambda channel: channels.Queue(),
    "reader": lambda channel: channel.reader(),
    "writer": lambda channel: channel.writer(),
    "split": lambda channel: channel.split(),
    "Pipe": lambda channel: channels.Pipe(),
    "one-way Pipe": lambda channel: channels.Pipe(False),
}


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("what", MAKES)
def test_without_descriptors_nothing_is_made_and_nothing_leaks(fork, what):
    def makes(other):
        channel = channels.Channel(4, 16, 100)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        os.stat("/proc/self/fd")  # whatever that needs
        taken = []
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        refused = 0
        while taken:
            before = [number for number in range(100) if is_open(number)]
            try:
                made = MAKES[what](channel)
            except pyipc.LimitError as problem:
                assert problem.limit == "RLIMIT_NOFILE", problem  # noqa: PT017
                refused += 1
            else:
                break
            assert [number for number in range(100) if is_open(number)] == before
            channel.send(b"x")
            assert channel.recv() == b"x"
            os.close(taken.pop())
        for handle in made if isinstance(made, tuple) else (made,):
            handle.close()
        other.say(refused)

    other = fork(makes)
    assert 2 < other.hear() < 25
    assert other.end() == 0


def test_a_fork_without_descriptors(fork):
    """The child cannot open the memory anew: it says so, and its parent is none the worse."""

    def forks(other):
        channel = channels.Channel(4, 16, 100)
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        with contextlib.suppress(OSError):
            while True:
                os.dup(0)
        child = os.fork()
        if child == 0:
            try:
                channel.send(b"x", timeout=5)
            except pyipc.LimitError:
                other.say("LimitError")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        channel.send(b"parent's")
        other.say(channel.recv())
        channel.close()

    other = fork(forks)
    assert other.hear() == "LimitError"
    assert other.hear() == b"parent's"
    assert other.end() == 0


def test_another_user_goes_on_with_it(channel, fork):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def works(other):
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        channel.send(b"as nobody")
        with channel.writer() as writer:
            writer.send(b"a writer of nobody's", timeout=5)
        kept = channel.recv(ack=True)
        kept.reject()
        with channels.Channel(2, 16, 4096) as own:
            own.send(bytes(100))
            other.say(len(own.recv()))

    other = fork(works)
    assert other.hear() == 100
    assert other.end() == 0
    assert [channel.recv(timeout=5) for _ in range(2)] == [b"as nobody", b"a writer of nobody's"]
