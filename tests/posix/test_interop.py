"""The same objects from C and from posix_ipc: what one makes, gives or writes, the other finds."""

from __future__ import annotations

import errno
import os
import signal
import threading
from contextlib import closing

import pytest

import pyipc
from pyipc import posix
from pyipc.memory import Memory

# ---- shared memory ----


def test_c_finds_the_memory_that_we_made(name, posix_peer, ask):
    with posix.SharedMemory.create(name, 5000) as memory:
        memory.write(b"from Python", 4000)
        other = posix_peer("shm", name)
        assert ask(other, "size") == "5000"
        assert ask(other, "read 4000 11") == "from Python"
        assert ask(other, "write 10 from C") == "ok"
        assert memory.read(6, 10) == b"from C"
        assert bytes(memory.buf[10:16]) == b"from C"
        memory.resize(100)
        assert ask(other, "size") == "100"


def test_we_find_the_memory_that_c_made(name, posix_peer, ask):
    other = posix_peer("shm", name, 300)
    with posix.SharedMemory.open(name) as memory:
        assert (memory.size, memory.owner, memory.read()) == (300, False, bytes(300))
        ask(other, "write 7 written there")
        assert memory.read(13, 7) == b"written there"
        memory.write(b"and here", 290, pad_to=9)
        assert ask(other, "read 290 8") == "and here"
        assert ask(other, "unlink") == "0"
        assert memory.read(13, 7) == b"written there"  # who has it open keeps it
        with pytest.raises(pyipc.NotFoundError, match=name):
            posix.SharedMemory.open(name)


def test_the_name_that_c_wants_is_ours(name, process, _compiled_posix_peer):  # noqa: PT019
    if _compiled_posix_peer is None:
        pytest.skip("there is no C compiler")
    with posix.SharedMemory.create(name, 10):
        other = process([_compiled_posix_peer, "shm", name, "100"])
        assert other.line() == f"errno {errno.EEXIST}"


def test_what_c_has_not_sized_yet_is_empty(name, posix_peer, ask):
    other = posix_peer("shm", name, 50)
    assert ask(other, "truncate 0") == "0"
    with posix.SharedMemory.open(name, trust=True) as memory:
        assert (memory.size, memory.read()) == (0, b"")
        with pytest.raises(pyipc.IPCError) as caught:
            memory.buf  # noqa: B018
        assert caught.value.errno == errno.ENODATA
        memory.write(b"")
        memory.remove()


def theirs_shm(say, hear, name):
    import mmap
    import os

    import posix_ipc

    memory = posix_ipc.SharedMemory(name)
    with mmap.mmap(memory.fd, memory.size) as view:
        began = view[:5]
        view[5:11] = b"theirs"
        say((memory.name, memory.size, began))
        hear()
    memory.close_fd()
    second = posix_ipc.SharedMemory(name + "2", posix_ipc.O_CREX, mode=0o640, size=2000)
    os.pwrite(second.fd, b"second", 1994)
    second.close_fd()
    say()
    hear()
    posix_ipc.unlink_shared_memory(name + "2")


def test_posix_ipc_has_the_same_memory(name, child):
    with posix.SharedMemory.create(name, 1000) as memory:
        memory.write(b"ours!")
        other = child(theirs_shm, name)
        assert other.hear() == (name, 1000, b"ours!")
        assert memory.read(11) == b"ours!theirs"
        other.say()
        other.hear()
        with posix.SharedMemory.open(name + "2", read_only=True) as second:
            assert (second.size, second.read(offset=1990)) == (2000, b"\0\0\0\0second")
            assert os.fstat(second.fileno()).st_mode & 0o777 == 0o640
        other.say()
        assert other.end() == 0


# ---- semaphores ----


@pytest.mark.needs("posix.semaphores")
def test_c_waits_until_we_give_and_we_until_c_gives(name, posix_peer, ask, until, asleep):
    with closing(posix.Semaphore.create(name, 0)) as semaphore:
        other = posix_peer("sem", name)
        assert ask(other, "try") == f"errno {errno.EAGAIN}"
        other.say("wait")
        until(lambda: asleep(other.pid))
        semaphore.release()
        assert other.line() == "0"
        assert semaphore.value == 0
        ours = threading.Thread(target=semaphore.acquire, args=(20,))
        ours.start()
        until(lambda: asleep(os.getpid(), ours.native_id))
        assert ask(other, "post") == "0"
        ours.join()
        assert ask(other, "value") == "0"
        for _ in range(3):
            semaphore.release()
        assert ask(other, "value") == "3"


@pytest.mark.needs("posix.semaphores")
def test_we_find_the_semaphore_that_c_made(name, posix_peer, ask):
    other = posix_peer("sem", name, 2)
    semaphore = posix.Semaphore.open(name)
    assert (semaphore.value, semaphore.owner) == (2, False)
    semaphore.acquire(0)
    semaphore.acquire(timeout=1)
    with pytest.raises(pyipc.WouldBlockError):
        semaphore.acquire(0)
    ask(other, "post")
    with semaphore:
        assert ask(other, "value") == "0"
    assert ask(other, "value") == "1"
    assert ask(other, "unlink") == "0"
    with pytest.raises(pyipc.NotFoundError):
        semaphore.remove()
    semaphore.acquire(0)
    semaphore.close()


def theirs_sem(say, hear, name):
    import posix_ipc

    first = posix_ipc.Semaphore(name)
    second = posix_ipc.Semaphore(name + "2", posix_ipc.O_CREX, mode=0o600, initial_value=0)
    say(first.value)
    first.acquire(20)
    say("taken")
    second.acquire(20)
    first.release()
    second.unlink()
    hear()


@pytest.mark.needs("posix.semaphores")
def test_posix_ipc_has_the_same_semaphores(name, child, until, asleep):
    with closing(posix.Semaphore.create(name, 0)) as first:
        other = child(theirs_sem, name)
        assert other.hear() == 0
        until(lambda: asleep(other.pid))
        first.release()
        assert other.hear() == "taken"
        second = posix.Semaphore.open(name + "2")
        second.release()
        first.acquire(20)
        other.say()
        assert other.end() == 0
        second.close()


@pytest.mark.needs("posix.unnamed_semaphores")
@pytest.mark.parametrize("theirs", [False, True], ids=["made here", "made in C"])
def test_an_unnamed_one_is_shared_through_its_memory(theirs, posix_peer, ask, until, asleep):
    with Memory(4096) as memory:
        made = () if theirs else posix.UnnamedSemaphore.create(memory, 0, offset=64)
        with memory.dup() as passed:
            numbers = (64, 0) if theirs else (64,)
            os.set_inheritable(passed.fileno(), True)
            other = posix_peer("unnamed", passed.fileno(), *numbers, close_fds=False)
        semaphore = posix.UnnamedSemaphore.open(memory, offset=64) if theirs else made
        other.say("wait")
        until(lambda: asleep(other.pid))
        semaphore.release()
        assert other.line() == "0"
        ours = threading.Thread(target=semaphore.acquire)
        ours.start()
        until(lambda: asleep(os.getpid(), ours.native_id))
        ask(other, "post")
        ours.join()
        semaphore.release()
        assert (semaphore.value, ask(other, "value")) == (1, "1")
        with posix.UnnamedSemaphore.open(memory, offset=64):
            assert ask(other, "value") == "0"
        semaphore.close()


# ---- queues ----


@pytest.mark.needs("posix.message_queues")
def test_c_sends_to_and_receives_from_our_queue(name, posix_peer, ask, until, asleep):
    with posix.MessageQueue.create(name, max_messages=4, max_size=100) as queue:
        other = posix_peer("mq", name)
        assert ask(other, "attributes") == "4 100 0"
        ask(other, "send 5 five")
        ask(other, "send 9 nine")
        queue.send(b"seven", 7)
        assert ask(other, "receive") == "9 nine"
        assert queue.receive() == (b"seven", 7)
        assert queue.receive(timeout=0) == (b"five", 5)
        other.say("receive")
        until(lambda: asleep(other.pid))
        queue.send(memoryview(b"woken"), priority=3)
        assert other.line() == "3 woken"
        took = []
        ours = threading.Thread(target=lambda: took.append(queue.receive(20)))
        ours.start()
        until(lambda: asleep(os.getpid(), ours.native_id))
        ask(other, "send 32767 most urgent")
        ours.join()
        assert took == [(b"most urgent", 32767)]


@pytest.mark.needs("posix.message_queues")
def test_we_use_the_queue_that_c_made(name, posix_peer, ask, until, asleep):
    other = posix_peer("mq", name, 2, 50)
    with posix.MessageQueue.open(name) as queue:
        assert (queue.max_messages, queue.max_size, queue.owner) == (2, 50, False)
        queue.send(b"one")
        queue.send(b"two")
        assert ask(other, "attributes") == "2 50 2"
        with pytest.raises(pyipc.WouldBlockError):
            queue.send(b"three", timeout=0)
        ours = threading.Thread(target=queue.send, args=(b"three", 1, 20))
        ours.start()
        until(lambda: asleep(os.getpid(), ours.native_id))
        assert ask(other, "receive") == "0 one"
        ours.join()
        other.say("send 2 four")  # which has to wait
        until(lambda: asleep(other.pid))
        assert queue.receive() == (b"three", 1)
        assert other.line() == "0"
        assert [queue.receive(), queue.receive()] == [(b"four", 2), (b"two", 0)]
        ask(other, "unlink")
        with pytest.raises(pyipc.NotFoundError):
            posix.MessageQueue.open(name)
        queue.send(b"still there")
        assert ask(other, "receive") == "0 still there"


def theirs_mq(say, hear, name):
    import posix_ipc

    first = posix_ipc.MessageQueue(name)
    second = posix_ipc.MessageQueue(name + "2", posix_ipc.O_CREX, max_messages=3, max_message_size=64)
    say((first.max_messages, first.max_message_size))
    first.send(b"low", priority=1)
    first.send(b"high", priority=2)
    say(second.receive(20))
    for queue in first, second:
        queue.close()
    second.unlink()


@pytest.mark.needs("posix.message_queues")
def test_posix_ipc_has_the_same_queues(name, child):
    with posix.MessageQueue.create(name, max_messages=5, max_size=32) as first:
        other = child(theirs_mq, name)
        assert other.hear() == (5, 32)
        with posix.MessageQueue.open(name + "2") as second:
            second.send(b"across", 4)
            assert (second.max_messages, second.max_size) == (3, 64)
            assert other.hear() == (b"across", 4)
        assert [first.receive(20), first.receive(20)] == [(b"high", 2), (b"low", 1)]
        assert other.end() == 0


@pytest.mark.needs("posix.message_queues")
def test_c_is_notified_and_nobody_else(name, posix_peer, ask):
    with posix.MessageQueue.create(name) as queue:
        other = posix_peer("mq", name)
        assert ask(other, "notify") == "0"
        for refused in (
            lambda: queue.notify_by_call(print),
            lambda: queue.notify_by_signal(signal.SIGUSR1),
            lambda: queue.notify_by_call(print, rearm=True),
        ):
            with pytest.raises(pyipc.InUseError, match=name):
                refused()
        queue.notify_nobody()  # of this process
        with pytest.raises(pyipc.InUseError):
            queue.notify_by_call(print)
