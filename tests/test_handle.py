"""Handle by itself, with an object that the test makes up: closing, waiting, waking."""

from __future__ import annotations

import os
import threading
from errno import EAGAIN, EIDRM, EINTR, EPERM

import pytest

import pyipc
from pyipc import _deadline, _handle


class Thing(_handle.Handle):
    """Something whose removal the test can watch, and make fail."""

    __slots__ = ("let_go", "removed", "result")
    kind = "thing"

    def __init__(self, id, key=None, *, owner=True):
        self.removed, self.let_go, self.result = [], 0, 0
        super().__init__(id, key, owner=owner)

    def _remove(self, id):
        self.removed.append(id)
        return self.result

    def _let_go(self):
        self.let_go += 1


def test_closing_lets_go_and_removes_once():
    thing = Thing(7)
    assert (thing.closed, thing.owner) == (False, True)
    thing.close()
    thing.close()
    assert (thing.removed, thing.let_go) == ([7], 1)
    assert (thing.closed, thing.owner, thing.id) == (True, False, 7)


def test_a_borrower_lets_go_and_removes_nothing():
    with Thing(7, owner=False) as thing:
        assert not thing.owner
    assert (thing.removed, thing.let_go, thing.closed) == ([], 1, True)


def test_leaving_by_an_exception_closes_too():
    with pytest.raises(KeyError), Thing(7) as thing:
        raise KeyError
    assert thing.removed == [7]


def test_a_removal_that_fails_is_told_unless_the_object_is_gone():
    gone = Thing(7)
    gone.result = -EIDRM
    gone.close()
    forbidden = Thing(8)
    forbidden.result = -EPERM
    with pytest.raises(pyipc.AccessError, match="remove <thing private id 8"):
        forbidden.close()
    assert forbidden.closed


def test_removing_gives_up_ownership_and_keeps_the_handle_open():
    thing = Thing(7)
    thing.remove()
    assert (thing.owner, thing.closed) == (False, False)
    thing.close()
    assert thing.removed == [7]


def test_a_failed_removal_keeps_ownership():
    thing = Thing(7)
    thing.result = -EPERM
    with pytest.raises(pyipc.AccessError, match="id 7"):
        thing.remove()
    assert thing.owner
    thing.result = 0
    thing.close()
    assert thing.removed == [7, 7]


def test_a_handle_that_was_never_finished_complains_of_nothing():
    thing = Thing.__new__(Thing)
    del thing


def test_a_handle_has_no_room_for_other_names():
    with Thing(7) as thing, pytest.raises(AttributeError):
        _handle.Handle.__new__(_handle.Handle).nonsense = 1
    assert thing.closed


def test_handles_of_a_forked_parent_own_nothing_in_the_child(child):
    def fork_with_a_thing(say, hear):
        import os

        from pyipc import sysv

        queue = sysv.MessageQueue.create()
        pid = os.fork()
        if not pid:
            os._exit(0 if not queue.owner else 1)
        say((os.waitpid(pid, 0)[1], queue.owner))
        queue.close()

    other = child(fork_with_a_thing)
    assert other.hear() == (0, True)
    assert other.end() == 0


# ---- waiting ----


def test_not_waiting_calls_nothing():
    with Thing(7) as thing:
        assert thing._wait(None, 0, "use") == -EAGAIN


def test_a_wait_that_a_signal_ends_is_taken_up_with_the_same_deadline():
    deadlines = []

    def attempt(deadline):
        deadlines.append(deadline)
        return -EINTR if len(deadlines) < 4 else 5

    with Thing(7) as thing:
        assert thing._wait(attempt, 10, "use") == 5
        assert len(set(deadlines)) == 1
        assert deadlines[0] < _deadline.FOREVER
        assert thing._wait(lambda deadline: deadline, None, "use") == _deadline.FOREVER
        assert thing._waiting == []


def test_a_handle_closed_between_two_rounds_ends_the_wait():
    thing = Thing(7)

    def attempt(deadline):
        thing.close()
        return -EINTR

    with pytest.raises(pyipc.ClosedError, match="use <thing private id 7 closed>"):
        thing._wait(attempt, None, "use")
    assert thing._waiting == []


def test_an_attempt_that_raises_leaves_no_waiter():
    with Thing(7) as thing:
        with pytest.raises(ZeroDivisionError):
            thing._wait(lambda deadline: 1 // 0, None, "use")
        assert thing._waiting == []


def test_a_result_of_any_kind_is_given_back():
    with Thing(7) as thing:
        assert thing._wait(lambda deadline: (b"data", 1), None, "use") == (b"data", 1)


@pytest.mark.needs("sysv.close_wakes_waiters")
def test_a_waiter_that_is_gone_is_not_waited_for():
    """As after fork: the list names a thread that this process does not have."""
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    thing = Thing(7, owner=False)
    thing._waiting.append(thread.native_id)
    thing.close()
    assert thing._waiting == []


def test_closing_from_within_the_wait_does_not_wait_for_itself():
    thing = Thing(7, owner=False)
    thing._waiting.append(threading.get_native_id())
    thing.close()
    assert thing.closed


def test_ownership_is_of_a_process():
    with Thing(7) as thing:
        assert thing._owner_pid == os.getpid()
        thing._owner_pid += 1  # as a forked child sees it
        assert not thing.owner
    assert thing.removed == []
