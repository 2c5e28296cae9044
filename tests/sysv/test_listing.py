from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from pyipc import sysv


def test_what_we_made_is_listed_as_stat_tells_it(key):
    with contextlib.ExitStack() as stack:
        segment = stack.enter_context(sysv.SharedMemory.create(100, key=key))
        semaphores = stack.enter_context(sysv.SemaphoreSet.create(1, key=key))
        queue = stack.enter_context(sysv.MessageQueue.create(key=key))
        queue.send(b"abc")
        for handle, listed, unknown in (
            (segment, sysv.segments(), {"resident", "swapped"}),
            (semaphores, sysv.semaphore_sets(), set()),
            (queue, sysv.message_queues(), {"max_bytes"}),
        ):
            (row,) = [row for row in listed if row.id == handle.id]
            stat = handle.stat()
            assert type(row) is type(stat)
            for name, value in stat.as_dict().items():
                if name not in unknown:
                    assert getattr(row, name) == value, name


def test_the_listing_holds_everything_the_kernel_lists():
    with sysv.SharedMemory.create(1), sysv.SemaphoreSet.create(1), sysv.MessageQueue.create():
        for table, listed in (
            ("shm", sysv.segments()),
            ("sem", sysv.semaphore_sets()),
            ("msg", sysv.message_queues()),
        ):
            lines = Path(f"/proc/sysvipc/{table}").read_text().splitlines()[1:]
            assert [row.id for row in listed] == [int(line.split()[1]) for line in lines]


def test_the_listing_agrees_with_ipcs(key):
    with sysv.MessageQueue.create(key=key, mode=0o640) as queue:
        queue.send(b"12345")
        text = subprocess.run(["ipcs", "-q"], capture_output=True, text=True, check=True).stdout
        line = next(line for line in text.splitlines() if line.startswith(f"{key:#010x}")).split()
        (row,) = [row for row in sysv.message_queues() if row.key == key]
        assert [row.id, f"{row.mode:o}", row.bytes, row.messages] == [int(line[1]), line[3], int(line[4]), 1]
        assert row.max_bytes is None


def test_a_listed_segment_knows_its_memory():
    page = os.sysconf("SC_PAGESIZE")
    with sysv.SharedMemory.create(4 * page) as segment:
        segment.write(b"x")
        (row,) = [row for row in sysv.segments() if row.id == segment.id]
        assert (row.resident, row.swapped, row.attach_count) == (page, 0, 1)


def test_what_was_removed_is_listed_no_more():
    with sysv.MessageQueue.create() as queue:
        pass
    assert queue.id not in [row.id for row in sysv.message_queues()]
