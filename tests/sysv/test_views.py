"""Views and arrays after their handle, their attachment, their segment and its owner are gone.

Each case runs in a process of its own: a mistake here is a signal, not an exception.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.needs("sysv.segment_views")


def views_outlive(say, hear, how):
    import gc

    from pyipc import sysv

    segment = sysv.SharedMemory.create(200_000)
    segment.write(b"begin" + bytes(199_988) + b"the end")
    view, part, array = segment.buf, segment.buf[5:10], segment.array("u2", (50, 100), 1000)
    derived = array[::2, 3:].T
    address = segment.address
    if how == "detach":
        segment.detach()
    elif how == "reattach":
        segment.reattach()
        segment.write(b"BEGIN")
    elif how == "remove":
        segment.remove()
    if how != "reattach":
        segment.close()
    gc.collect()
    assert bytes(view[:5]) == (b"BEGIN" if how == "reattach" else b"begin")
    assert bytes(view[-7:]) == b"the end"
    array[0, 3] = 0x4142
    assert derived[0, 0] == 0x4142
    assert bytes(view[1006:1008]) == b"BA"
    part[:] = b"fives"
    assert bytes(view[5:10]) == b"fives"

    def mapped():
        with open("/proc/self/maps") as maps:
            return any(line.startswith(f"{address:x}-") for line in maps)

    assert mapped()
    del view, part, array
    gc.collect()
    assert mapped(), "an array was left"
    derived += 1
    del derived
    gc.collect()
    assert not mapped(), "still mapped after the last view died"
    if how == "reattach":
        segment.close()
    say("alive")


@pytest.mark.parametrize("how", ["close", "detach", "reattach", "remove"])
def test_views_show_the_right_bytes_until_the_last_of_them_dies(child, how):
    other = child(views_outlive, how)
    assert other.hear() == "alive"
    assert other.end() == 0


def hold_until_killed(say, hear):
    from pyipc import sysv

    segment = sysv.SharedMemory.create(100_000)
    segment.write(b"from the dead")
    say(segment.id)
    hear()


def view_after_death(say, hear, id):
    from pyipc import sysv

    segment = sysv.SharedMemory.attach(id)
    view, array = segment.buf, segment.array("u1")
    say("attached")
    hear()
    assert bytes(view[:13]) == segment.read(13) == b"from the dead"
    view[99_999] = 7
    assert array[-1] == 7
    stat = segment.stat()
    say(stat.attach_count)
    segment.close()
    assert bytes(array[:13]) == b"from the dead"
    say("alive")


def test_views_outlive_the_owners_death(child):
    owner = child(hold_until_killed)
    other = child(view_after_death, owner.hear())
    assert other.hear() == "attached"
    owner.kill()
    assert owner.end() == -9
    other.say("go on")
    assert other.hear() == 1
    assert other.hear() == "alive"
    assert other.end() == 0


def views_at_exit(say, hear):
    """Whatever order the interpreter takes things apart in, nothing touches unmapped memory."""
    from pyipc import sysv

    global kept
    segments = [sysv.SharedMemory.create(70_000) for _ in range(5)]

    class Late:
        def __init__(self, segment):
            self.view, self.array = segment.buf, segment.array("u4")

        def __del__(self):
            self.array[:] = 5
            assert bytes(self.view[:4]) == b"\5\0\0\0"

    kept = [Late(segment) for segment in segments] + segments
    kept.append(kept)
    say("leaving")


def test_views_live_through_the_interpreters_end(child):
    other = child(views_at_exit)
    assert other.hear() == "leaving"
    assert other.end() == 0


def forked_views(say, hear):
    import os

    from pyipc import sysv

    segment = sysv.SharedMemory.create(100)
    view = segment.buf
    pid = os.fork()
    if not pid:
        segment.close()
        view[:5] = b"child"
        del view
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert segment.read(5) == b"child"
    assert bytes(view[:5]) == b"child"
    segment.close()
    say(bytes(view[:5]))


def test_views_work_on_both_sides_of_a_fork(child):
    other = child(forked_views)
    assert other.hear() == b"child"
    assert other.end() == 0


def close_while_others_read(say, hear):
    import threading

    import pyipc
    from pyipc import sysv

    outcomes = []

    def use(segment, started):
        started.set()
        try:
            while True:
                assert segment.read(70_000, 3) == bytes(70_000)
                segment.write(bytes(80_000))
                segment.write(bytes(10))
                assert segment.read(10) == bytes(10)
                segment.buf[5] = 0
        except pyipc.ClosedError as problem:
            outcomes.append(str(problem))

    for _ in range(30):
        segment = sysv.SharedMemory.create(100_000)
        started = [threading.Event() for _ in range(3)]
        threads = [threading.Thread(target=use, args=(segment, event)) for event in started]
        for thread in threads:
            thread.start()
        for event in started:
            event.wait()
        segment.close()
        for thread in threads:
            thread.join()
    say(len(outcomes))


def test_closing_under_threads_that_read_and_write_is_a_closed_error(child):
    other = child(close_while_others_read)
    assert other.hear(timeout=40) == 90
    assert other.end() == 0


def close_under_the_first_use(say, hear):
    import contextlib
    import sys
    import threading

    import pyipc
    from pyipc import sysv

    sys.setswitchinterval(1e-6)
    still_usable = 0
    for _ in range(1500):
        segment = sysv.SharedMemory.create(1000)
        gate = threading.Barrier(2)

        def use(segment=segment, gate=gate):
            gate.wait()
            with contextlib.suppress(pyipc.ClosedError):
                segment.read(10)

        thread = threading.Thread(target=use)
        thread.start()
        gate.wait()
        segment.close()
        thread.join()
        try:
            segment.read(10)
            still_usable += 1
        except pyipc.ClosedError:
            pass
    say(still_usable)


def test_closing_under_the_first_use_closes(child):
    other = child(close_under_the_first_use)
    assert other.hear(timeout=40) == 0
    assert other.end() == 0


def detach_while_others_read(say, hear):
    import threading

    import pyipc
    from pyipc import sysv

    with sysv.SharedMemory.create(100_000, key=None, persist=True) as segment:
        stop = False

        def use():
            while not stop:
                try:
                    assert segment.read(70_000, 3) == bytes(70_000)
                    segment.write(bytes(10))
                    assert segment.read(10) == bytes(10)
                except pyipc.ClosedError:
                    pass  # caught while it was detached

        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(300):
            segment.detach()
            segment.reattach()
        stop = True
        for thread in threads:
            thread.join()
        say(segment.stat().attach_count)
        segment.remove()


def test_detaching_under_threads_that_read_and_write_is_no_crash(child):
    other = child(detach_while_others_read)
    assert other.hear(timeout=40) == 1
    assert other.end() == 0


def write_to_what_is_read_only(say, hear, id):
    import pyipc
    from pyipc import sysv

    with sysv.SharedMemory.attach(id, read_only=True) as segment:
        for use in (
            lambda: segment.write(b"x"),
            lambda: segment.write(bytes(70_000)),
            lambda: segment.write(b"x", 5),
            lambda: segment.write(bytearray(3)),
        ):
            try:
                use()
            except pyipc.IPCError as problem:
                say(type(problem).__name__)
        say((segment.read(5), len(segment.read())))


def test_a_read_only_attachment_is_never_written_through(child):
    from pyipc import sysv

    with sysv.SharedMemory.create(100_000) as segment:
        segment.write(b"fixed")
        other = child(write_to_what_is_read_only, segment.id)
        assert [other.hear() for _ in range(4)] == ["AccessError"] * 4
        assert other.hear() == (b"fixed", 100_000)
        assert other.end() == 0
        assert segment.read(5) == b"fixed"
