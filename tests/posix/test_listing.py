"""What there is, whoever made it."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

import pyipc
from pyipc import posix


def test_shared_memory(name):
    with posix.SharedMemory.create(name, 10_000, mode=0o640) as memory:
        [record] = [one for one in posix.shared_memory_objects() if one.name == name]
        assert (record.size, record.mode, record.uid, record.gid) == (
            10_000,
            0o640,
            os.geteuid(),
            os.getegid(),
        )
        assert record.present >= 10_000
        assert record == next(one for one in posix.shared_memory_objects() if one.name == name)
        assert repr(record).startswith(f"SharedMemoryRecord(name={name!r}, mode=416, ")
        assert set(record.as_dict()) == {"name", "mode", "uid", "gid", "change_time", "size", "present"}
        memory.resize(20_000, reserve=False)
        assert record != next(one for one in posix.shared_memory_objects() if one.name == name)
    assert name not in [one.name for one in posix.shared_memory_objects()]


@pytest.mark.needs("posix.semaphores")
def test_semaphores(name):
    with closing(posix.Semaphore.create(name, mode=0o660)):
        [record] = [one for one in posix.named_semaphores() if one.name == name]
        assert (record.mode & 0o600, record.uid) == (0o600, os.geteuid())
        assert f"/sem.{name[1:]}" not in [one.name for one in posix.shared_memory_objects()]
        with pytest.raises(TypeError, match="unhashable"):
            hash(record)
    assert name not in [one.name for one in posix.named_semaphores()]


def list_queues(say, hear):
    import os
    import signal

    from pyipc import posix

    assert posix.message_queues() == []
    with posix.MessageQueue.create("/one", max_messages=5), posix.MessageQueue.create("/two") as two:
        two.send(b"abc")
        two.send(b"de")
        two.receive()
        two.notify_by_signal(signal.SIGUSR1)
        posix.message_queues()  # to look takes no request back
        found = sorted(posix.message_queues(), key=lambda one: one.name)
        say([(one.name, one.bytes, one.notified_pid == os.getpid(), one.mode) for one in found])
        listed = str(found[1])
        two.notify_nobody()
        say((listed, [one.name for one in posix.shared_memory_objects()]))
    say(posix.message_queues())


@pytest.mark.needs("posix.message_queues")
def test_queues(own_dev):
    other = own_dev(list_queues)
    assert other.hear() == [("/one", 0, False, 0o600), ("/two", 2, True, 0o600)]
    listed, memory = other.hear()
    assert listed.startswith("MessageQueueRecord(name='/two', ")
    assert memory == []
    assert other.hear() == []
    assert other.end() == 0


def test_where_queues_are_not_listed():
    if os.path.ismount("/dev/mqueue"):
        pytest.skip("here they are")
    with pytest.raises(pyipc.UnsupportedError, match="mount"):
        posix.message_queues()
