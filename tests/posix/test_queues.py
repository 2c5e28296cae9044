"""Message queues: order, sizes, limits, what is refused; and select, poll and epoll on them."""

from __future__ import annotations

import contextlib
import errno
import os
import select
from pathlib import Path

import pytest

import pyipc
from pyipc import posix

pytestmark = pytest.mark.needs("posix.message_queues")


@pytest.fixture
def queue(name):
    with posix.MessageQueue.create(name, max_messages=4, max_size=64) as made:
        yield made


# ---- messages ----


def test_the_most_urgent_first_and_then_the_oldest(queue):
    for data, priority in (b"a", 1), (b"b", 32767), (b"c", 1), (b"d", 0):
        queue.send(data, priority)
    assert [queue.receive() for _ in range(4)] == [(b"b", 32767), (b"a", 1), (b"c", 1), (b"d", 0)]


def test_a_message(queue):
    queue.send(b"text", priority=3)
    message = queue.receive()
    assert (message.data, message.priority) == message == (b"text", 3)
    assert type(message) is posix.Message
    assert repr(message) == "Message(data=b'text', priority=3)"


@pytest.mark.parametrize("data", [b"", b"x", bytes(64), bytearray(b"array"), memoryview(b"abcdef")[::2]])
def test_what_is_sent_is_received(queue, data):
    assert queue.send(data) is None
    assert queue.receive() == (bytes(data), 0)


@pytest.mark.parametrize(
    ("error", "arguments", "options"),
    [
        (TypeError, (), {}),
        (TypeError, ("text",), {}),
        (TypeError, (5,), {}),
        (TypeError, (None,), {}),
        (TypeError, (b"x", 0, None, 1), {}),
        (TypeError, (b"x",), {"wait": 1}),
        (TypeError, (b"x", "1"), {}),
        (TypeError, (b"x", 1.5), {}),
        (TypeError, (b"x", 0, "1"), {}),
        (ValueError, (b"x", -1), {}),
        (ValueError, (b"x", 32768), {}),
        (ValueError, (b"x", 1 << 32), {}),
        (ValueError, (b"x", 1 << 70), {}),
        (ValueError, (b"x", 0, -1), {}),
        (ValueError, (b"x", 0, float("nan")), {}),
    ],
)
def test_what_cannot_be_sent(queue, error, arguments, options):
    with pytest.raises(error):
        queue.send(*arguments, **options)
    assert queue.stat().messages == 0


@pytest.mark.parametrize("data", [bytes(65), bytes(70_000), bytearray(65)])
def test_a_message_too_long(queue, data):
    with pytest.raises(pyipc.LimitError, match=rf"{len(data)} bytes.*{queue.name}.*max_size is 64") as caught:
        queue.send(data)
    assert (caught.value.limit, caught.value.value, caught.value.errno) == ("max_size", 64, errno.EMSGSIZE)
    assert queue.stat().messages == 0


def test_full_and_empty(queue):
    for call in queue.receive, lambda t: queue.receive(timeout=t):
        for timeout, error in (0, pyipc.WouldBlockError), (0.01, pyipc.TimedOutError):
            with pytest.raises(error, match=queue.name):
                call(timeout)
    for _ in range(4):
        queue.send(b"x", timeout=0)
    for timeout, error in (0, pyipc.WouldBlockError), (0.01, pyipc.TimedOutError):
        with pytest.raises(error, match=queue.name):
            queue.send(b"y", 1, timeout)
    assert queue.stat().messages == 4
    assert [queue.receive(0) for _ in range(4)] == [(b"x", 0)] * 4


def test_how_it_cannot_be_received(queue):
    queue.send(b"stays")
    for timeout, error in (-1, ValueError), (float("nan"), ValueError), ("1", TypeError):
        with pytest.raises(error):
            queue.receive(timeout)
    with pytest.raises(TypeError):
        queue.receive(1, 2)
    with pytest.raises(TypeError):
        queue.receive(wait=1)
    assert queue.receive() == (b"stays", 0)


def large(say, hear):
    from pyipc import posix

    with open("/proc/sys/fs/mqueue/msgsize_max", "w") as file:
        file.write("300000")  # two of which are less than RLIMIT_MSGQUEUE
    with posix.MessageQueue.create("/large", max_messages=2, max_size=300_000) as queue:
        for size in 300_000, 65_537, 65_536, 16_385, 16_384, 1, 0:
            queue.send(bytes(range(256)) * (size // 256) + bytes(size % 256), 7)
            message = queue.receive()
            assert message == (bytes(range(256)) * (size // 256) + bytes(size % 256), 7), size
            assert len(message.data) == size
        say(queue.max_size)


def test_large_messages(own_dev):
    other = own_dev(large)
    assert other.hear() == 300_000
    assert other.end() == 0


# ---- handles ----


def test_what_it_knows_of_itself(queue, name):
    queue.send(b"1")
    stat = queue.stat()
    assert (stat.max_messages, stat.max_size, stat.messages, stat.mode) == (4, 64, 1, 0o600)
    assert (stat.uid, stat.gid) == (os.geteuid(), os.getegid())
    assert "messages=1" in repr(stat)
    assert repr(queue) == f"<message queue {name}>"
    assert (queue.name, queue.max_messages, queue.max_size, queue.owner) == (name, 4, 64, True)
    assert not os.get_inheritable(queue.fileno())


def test_the_kernels_defaults():
    with posix.MessageQueue.create(None) as queue:
        limits = [
            int(Path(f"/proc/sys/fs/mqueue/{limit}").read_text())
            for limit in ("msg_default", "msgsize_default", "msg_max", "msgsize_max")
        ]
        assert queue.max_messages == min(limits[0], limits[2])
        assert queue.max_size == min(limits[1], limits[3])


@pytest.mark.parametrize("read", [True, False])
def test_one_way(queue, read):
    with posix.MessageQueue.open(queue.name, read=read, write=not read) as other:
        queue.send(b"there")
        if read:
            refused = lambda: other.send(b"x")  # noqa: E731
            assert other.receive() == (b"there", 0)
        else:
            refused = other.receive
            other.send(b"more", timeout=5)
        with pytest.raises(pyipc.AccessError, match="not opened for that"):
            refused()
        for _ in range(4 - queue.stat().messages):
            queue.send(b"fill")
        with pytest.raises(pyipc.AccessError):  # nor when one would have to wait
            refused()
    with pytest.raises(ValueError, match="to read, to write, or both"):
        posix.MessageQueue.open(queue.name, read=False, write=False)


def test_another_handle_on_the_same(queue):
    if pyipc.backend() == "fallback":
        with pytest.raises(pyipc.UnsupportedError):  # posix_ipc has no such thing
            queue.dup()
        return
    with queue.dup() as twin:
        assert (twin.name, twin.max_size, twin.max_messages, twin.owner) == (queue.name, 64, 4, False)
        queue.send(b"for the twin", 2)
        assert twin.receive() == (b"for the twin", 2)
        with pytest.raises(pyipc.TimedOutError):
            twin.receive(0.01)
        with pytest.raises(pyipc.LimitError, match="max_size"):
            twin.send(bytes(65))
    assert queue.stat().messages == 0


def test_open_or_create_takes_what_is_there(name):
    with posix.MessageQueue.open_or_create(name, max_messages=3, max_size=20) as first:
        with posix.MessageQueue.open_or_create(name, max_messages=5) as second:
            assert (second.max_messages, second.max_size) == (3, 20)
            assert not first.owner
        first.remove()
        with pytest.raises(pyipc.NotFoundError, match=name):
            first.remove()


def test_detached(queue, name):
    number = queue.detach()
    try:
        for call in queue.receive, lambda: queue.send(b"x"), queue.stat, queue.fileno, queue.detach:
            with pytest.raises(pyipc.ClosedError):
                call()
        queue.close()
        with posix.MessageQueue.open(name) as again:  # its name stays
            again.send(b"readable")
            assert select.select([number], [], [], 0)[0] == [number]
            again.remove()
    finally:
        os.close(number)


def test_closed(queue):
    queue.close()
    queue.close()
    assert "closed" in repr(queue)
    for call in (
        queue.receive,
        lambda: queue.receive(5),
        lambda: queue.send(b"x"),
        queue.stat,
        queue.fileno,
        queue.dup,
        queue.notify_nobody,
        lambda: queue.notify_by_call(print),
        lambda: queue.notify_by_signal(10),
    ):
        with pytest.raises(pyipc.ClosedError):
            call()


# ---- select and the like ----


def test_select_poll_and_epoll(queue):
    with contextlib.closing(select.epoll()) as epoll:
        epoll.register(queue, select.EPOLLIN | select.EPOLLOUT)
        poll = select.poll()
        poll.register(queue, select.POLLIN | select.POLLOUT)
        for messages in range(5):
            readable, writable = messages > 0, messages < 4
            expected = select.EPOLLIN * readable | select.EPOLLOUT * writable
            assert select.select([queue], [queue], [], 0)[:2] == ([queue] * readable, [queue] * writable)
            assert [event & 5 for _, event in poll.poll(0)] == [expected]
            assert [event & 5 for _, event in epoll.poll(0)] == [expected]
            if writable:
                queue.send(b"x")


def test_epoll_wakes(queue, fork):
    with contextlib.closing(select.epoll()) as epoll:
        epoll.register(queue, select.EPOLLIN)

        def send(us):
            us.hear()
            queue.send(b"now")

        other = fork(send)
        assert epoll.poll(0) == []
        other.say()
        assert epoll.poll(20) == [(queue.fileno(), select.EPOLLIN)]
        assert other.end() == 0


# ---- limits ----


def run_into_limits(say, hear):
    import os
    import resource

    import pyipc
    from pyipc import posix

    def limit_of(attempt):
        try:
            attempt().close()
        except pyipc.LimitError as problem:
            return problem.limit, problem.value, problem.path, problem.errno
        return None

    told = [
        limit_of(lambda: posix.MessageQueue.create("/a", max_messages=65_537)),
        limit_of(lambda: posix.MessageQueue.create("/a", max_size=(1 << 24) + 1)),
        limit_of(lambda: posix.MessageQueue.create("/a", max_messages=11, max_size=(1 << 24) + 1)),
    ]
    with posix.MessageQueue.create("/b", max_messages=2, max_size=10):
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (50_000, 50_000))
        much = {"max_messages": 10, "max_size": 8192}
        told.append(limit_of(lambda: posix.MessageQueue.create("/a", **much)))
        told.append(limit_of(lambda: posix.MessageQueue.open_or_create("/a", **much)))
        nofile = resource.getrlimit(resource.RLIMIT_NOFILE)
        opened = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, nofile[1]))
        try:
            while True:
                opened.append(os.open("/", os.O_RDONLY))
        except OSError:
            pass
        told.append(limit_of(lambda: posix.MessageQueue.create("/a", max_messages=1, max_size=1)))
        told.append(limit_of(lambda: posix.MessageQueue.open("/b")))
        told.append(limit_of(lambda: posix.MessageQueue.open_or_create("/b")))
        told.append(limit_of(lambda: posix.SharedMemory.create("/a", 1)))
        told.append(limit_of(lambda: posix.Semaphore.create("/a")))
        for number in opened:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, nofile)
    say(told)
    say((os.listdir("/dev/mqueue"), os.listdir("/dev/shm"), len(os.listdir("/proc/self/fd"))))


@pytest.mark.needs("posix.semaphores")
def test_every_limit_is_named(own_dev):
    other = own_dev(run_into_limits)
    told = other.hear()
    assert told[0] == ("msg_max", 1 << 16, None, errno.EINVAL)
    assert told[1] == told[2] == ("msgsize_max", 1 << 24, None, errno.EINVAL)
    assert told[3] == told[4] == ("RLIMIT_MSGQUEUE", 50_000, None, errno.EMFILE)
    assert told[5:] == [("RLIMIT_NOFILE", 60, None, errno.EMFILE)] * 5
    assert other.hear()[:2] == ([], [])
    assert other.end() == 0


def as_nobody(say, hear):
    import os

    import pyipc
    from pyipc import posix

    with open("/proc/sys/fs/mqueue/queues_max", "w") as file:
        file.write("2")
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    told = []

    def run_into(attempt):
        try:
            attempt()
        except pyipc.LimitError as problem:
            told.append((problem.limit, problem.value, problem.path))

    small = {"max_messages": 1, "max_size": 100}
    with posix.MessageQueue.create("/1", **small), posix.MessageQueue.create("/2", **small) as second:
        run_into(lambda: posix.MessageQueue.create("/3", **small))
        run_into(lambda: posix.MessageQueue.open_or_create("/3", **small))
        second.send(b"x")
    run_into(lambda: posix.MessageQueue.create("/4", max_messages=11))
    run_into(lambda: posix.MessageQueue.create("/4", max_size=8193))
    say(told)


def test_limits_of_who_may_nothing(own_dev):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    other = own_dev(as_nobody)
    place = "/proc/sys/fs/mqueue"
    assert other.hear() == [
        *[("queues_max", 2, f"{place}/queues_max")] * 2,
        ("msg_max", 10, f"{place}/msg_max"),
        ("msgsize_max", 8192, f"{place}/msgsize_max"),
    ]
    assert other.end() == 0


def root_without_capabilities(say, hear):
    """As in a container: root, whom the kernel's limits bind."""
    import ctypes

    import pyipc
    from pyipc import posix

    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    assert libc.capset(header, (ctypes.c_uint32 * 6)()) == 0
    told = []
    for how in {"max_messages": 11}, {"max_size": 8193}, {"max_messages": 5, "max_size": 8193}:
        try:
            posix.MessageQueue.create("/a", **how)
        except pyipc.LimitError as problem:
            told.append((problem.limit, problem.value))
    say(told)


def test_limits_of_root_without_capabilities(own_dev):
    if os.geteuid() != 0:
        pytest.skip("only root can drop what root may")
    other = own_dev(root_without_capabilities)
    assert other.hear() == [("msg_max", 10), ("msgsize_max", 8192), ("msgsize_max", 8192)]
    assert other.end() == 0
