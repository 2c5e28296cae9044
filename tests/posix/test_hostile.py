"""What a reviewer broke once: none of it crashes, hangs, or reaches what is somebody else's."""

from __future__ import annotations

import gc
import os
import struct
import threading
import time

import pytest

import pyipc
from pyipc import posix
from pyipc.memory import Memory

queues = pytest.mark.needs("posix.message_queues")
semaphores = pytest.mark.needs("posix.semaphores")


def receives_while_it_receives(say, hear):
    import gc

    from pyipc import posix

    one, two = posix.MessageQueue.create(None), posix.MessageQueue.create(None)

    class Receives:
        def __init__(self):
            self.me = self

        def __del__(self):
            two.receive(0)

    gc.set_threshold(1)
    kept = []
    for _ in range(200):
        for queue in one, two, one:
            queue.send(b"x" * 40)
        kept.append(one.receive(0))
        Receives()
        kept.append(one.receive(0))
    gc.collect()
    say(all(message == (b"x" * 40, 0) for message in kept))
    one.close()
    two.close()


@queues
def test_garbage_that_receives_while_a_message_is_made(child):
    if not hasattr(posix.MessageQueue, "_py_receive"):
        pytest.skip(
            "no C of ours makes messages here, and to collect garbage at each step of Python takes long"
        )
    other = child(receives_while_it_receives)
    assert other.hear() is True
    assert other.end() == 0


@queues
def test_a_message_of_another_class_is_not_used_again():
    class Heir(posix.Message):
        __slots__ = ()

    with posix.MessageQueue.create(None) as queue:
        queue.send(b"one")
        message = queue.receive()
        message.__class__ = Heir
        del message
        queue.send(b"two")
        assert type(queue.receive()) is posix.Message


GARBAGE = struct.pack("<IIii", 1, 1, 0x42, 0) + bytes(16)


@pytest.mark.needs("posix.unnamed_semaphores")
def test_garbage_where_a_semaphore_was():
    """The C library would end the process."""
    with Memory(100) as memory:
        semaphore = posix.UnnamedSemaphore.create(memory, 0)
        memory.write(GARBAGE)
        for call in semaphore.release, semaphore.acquire, lambda: semaphore.acquire(0.01):
            with pytest.raises(pyipc.IPCError):
                call()
        semaphore.close()


@semaphores
def test_a_file_that_is_too_short_to_be_one(name):
    door = pyipc.compat.posix_ipc
    file = f"/dev/shm/sem.{name[1:]}"
    with open(file, "w"):
        pass
    try:
        with pytest.raises(pyipc.IPCError):
            posix.Semaphore.open(name)
        with pytest.raises((door.Error, ValueError, OSError)):
            door.Semaphore(name)
    finally:
        os.unlink(file)


@queues
def test_a_request_taken_back_while_its_thread_would_ask_again(until):
    called = []
    with posix.MessageQueue.create(None) as queue:
        for _ in range(20):
            del called[:]
            queue.notify_by_call(lambda: called.append(queue.receive(0)), rearm=True)
            queue.send(b"1")
            until(lambda: called)
            queue.notify_nobody()
            queue.send(b"2")
            assert queue.receive(0) == (b"2", 0)
            assert len(called) == 1
        queue.notify_by_call(called.clear)  # nobody is notified still
        queue.notify_nobody()


@queues
def test_to_close_one_takes_back_no_request_of_another_of_its_name(name, until):
    told = threading.Event()
    old = posix.MessageQueue.create(name)
    old.remove()
    with posix.MessageQueue.create(name) as new:
        old._owner_pid = os.getpid()  # as if somebody else had taken the name away
        new.notify_by_call(told.set)
        old.close()
        new.send(b"x")
        until(told.is_set)
        assert posix.MessageQueue.open(name).close() is None  # whose name it still is


@queues
def test_a_thread_that_cannot_be_had_leaves_no_request(monkeypatch):
    def no_more(self):
        raise RuntimeError("can't start new thread")

    with posix.MessageQueue.create(None) as queue:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_more)
            with pytest.raises(RuntimeError):
                queue.notify_by_call(print)
        queue.notify_by_call(print)
        queue.notify_nobody()


@queues
def test_the_door_calls_the_new_function_alone(until):
    door = pyipc.compat.posix_ipc
    called = []
    queue = door.MessageQueue(None, door.O_CREX)
    queue.request_notification((called.append, "old"))
    queue.request_notification((called.append, "new"))
    queue.send(b"x")
    until(lambda: called)
    queue.close()
    queue.unlink()
    until(lambda: threading.active_count() == 1)
    assert called == ["new"]


@pytest.mark.parametrize("size", [8, 70_000])
def test_what_is_closed_meanwhile_is_not_another_file(size, tmp_path):
    """A number that was let go of may be somebody else's by now."""
    if pyipc.backend() == "fallback":
        pytest.skip("the standard library lets go of the GIL before it uses a number")
    data, victim = b"x" * size, tmp_path / "victim"
    victim.touch()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        memory = posix.SharedMemory.create(None, size)

        def writes(memory=memory):
            try:
                while True:
                    memory.write(data)
                    memory.resize(size)
            except pyipc.ClosedError:
                pass

        thread = threading.Thread(target=writes)
        thread.start()
        memory.close()
        numbers = [os.open(victim, os.O_RDWR) for _ in range(4)]
        thread.join()
        for number in numbers:
            os.close(number)
        assert victim.stat().st_size == 0


def drops_at_the_end(say, hear, kind):
    import sys

    from pyipc import posix

    if kind == "memory":
        sys.kept = posix.SharedMemory.create(None, 100)
    elif kind == "semaphore":
        sys.kept = posix.Semaphore.create(None)
    else:
        sys.kept = posix.MessageQueue.create(None)
    say(sys.kept.name)


@semaphores
@queues
@pytest.mark.parametrize("kind", ["memory", "semaphore", "queue"])
def test_a_program_that_ends_with_one_open_says_nothing(child, kind, capfd):
    other = child(drops_at_the_end, kind)
    name = other.hear()
    assert other.end() == 0
    assert "Traceback" not in capfd.readouterr().err
    assert name not in [one.name for one in posix.shared_memory_objects()]


CLASSES = posix.SharedMemory, posix.MessageQueue, posix.Semaphore, posix.UnnamedSemaphore


@pytest.mark.parametrize("cls", CLASSES)
def test_they_are_not_made_by_their_classes(cls):
    for arguments in (), (0,):
        with pytest.raises(TypeError):
            cls(*arguments)
    gc.collect()
