from __future__ import annotations

import os
import pickle
import threading

import pytest

import pyipc
from pyipc import sysv

sets = pytest.mark.needs("sysv.semaphore_sets")
atomic = pytest.mark.needs("sysv.atomic_operations")
MOST = 32767


def row(id):
    with open("/proc/sysvipc/sem") as table:
        names = next(table).split()
        rows = [dict(zip(names, line.split())) for line in table]
    return next((row for row in rows if int(row["semid"]) == id), None)


@pytest.fixture
def three():
    with sysv.SemaphoreSet.create(3, initial=[1, 0, 5]) as s:
        yield s


# ---- a set ----


@sets
def test_a_set_is_born_with_its_values(three):
    assert three.values == [1, 0, 5]
    assert [member.value for member in three] == [1, 0, 5]
    assert len(three) == 3
    assert int(row(three.id)["nsems"]) == 3


@sets
def test_one_initial_value_serves_all():
    with sysv.SemaphoreSet.create(4, initial=7) as s:
        assert s.values == [7] * 4


def test_a_new_set_is_already_initialised_for_everybody(key):
    for initial in (0, 1, MOST):
        with sysv.SemaphoreSet.create(1, key=key, initial=initial) as s:
            assert int(row(s.id)["otime"]) > 0
            assert s.values == [initial]
            with sysv.SemaphoreSet.open(key, timeout=0) as found:
                assert found.values == [initial]


@sets
def test_members_can_be_counted_from_the_end_and_none_is_outside(three):
    assert three[-1].value == 5
    for index in (3, -4, 2**70):
        with pytest.raises(IndexError, match=f"id {three.id}"):
            three[index]


@sets
def test_values_can_be_set_together(three):
    three.values = (3, 2, 1)
    assert three.values == [3, 2, 1]
    three[1].value = 9
    assert three.values == [3, 9, 1]


@sets
@pytest.mark.parametrize("values", [[1, 2], [1, 2, 3, 4], [], [1, 2, -1], [1, 2, 32768], [1, 2, 2**70]])
def test_wrong_values_are_value_errors_and_change_nothing(three, values):
    with pytest.raises(ValueError, match=r"\d"):
        three.values = values
    assert three.values == [1, 0, 5]


@sets
def test_values_that_are_no_numbers_are_type_errors(three):
    for values in (["a", "b", "c"], [1.0, 2.0, 3.0], None):
        with pytest.raises(TypeError):
            three.values = values
    assert three.values == [1, 0, 5]


@pytest.mark.parametrize("value", [-1, 32768, 2**70])
def test_a_value_out_of_range_is_a_value_error(value):
    with sysv.SemaphoreSet.create(1) as s:
        with pytest.raises(ValueError, match=r"0\.\.32767"):
            s[0].value = value
        assert s[0].value == 0
    with pytest.raises(ValueError, match=r"0\.\.32767"):
        sysv.SemaphoreSet.create(1, initial=value)
    with pytest.raises(ValueError, match=r"0\.\.32767"):
        sysv.Semaphore.create(value)


def test_operations_are_done_in_order():
    with sysv.SemaphoreSet.create(1) as s:
        s.op(s[0] + 3)
        s.op(s[0] - 2)
        assert s[0].value == 1
        s.op(s[0] - 1)
        s.op(s[0].wait_zero)
        assert s[0].value == 0


@atomic
def test_several_operations_happen_together_or_not_at_all(three):
    three.op(three[0] - 1, three[1] + 2, three[2] - 5)
    assert three.values == [0, 2, 0]
    with pytest.raises(pyipc.WouldBlockError, match=f"id {three.id}"):
        three.op(three[1] - 1, three[0] - 1, timeout=0)
    assert three.values == [0, 2, 0]
    with pytest.raises(pyipc.TimedOutError, match=f"id {three.id}"):
        three.op(three[1] - 1, three[2] + 1, three[1].wait_zero, timeout=0.01)
    assert three.values == [0, 2, 0]


@atomic
def test_each_operation_sees_what_those_before_it_did():
    with sysv.SemaphoreSet.create(1) as s:
        s.op(s[0].wait_zero, s[0] + 1, timeout=0)
        assert s[0].value == 1
        s.op(s[0] - 1, s[0].wait_zero, s[0] + 4, timeout=0)
        assert s[0].value == 4


@atomic
def test_nowait_belongs_to_one_operation(three):
    with pytest.raises(pyipc.WouldBlockError, match=f"id {three.id}"):
        three.op((three[1] - 1).nowait)
    with pytest.raises(pyipc.WouldBlockError, match=f"id {three.id}"):
        three.op(three[0] - 1, (three[1] - 1).nowait, timeout=5)
    assert three.values == [1, 0, 5]
    with pytest.raises(pyipc.TimedOutError):  # the one that has to wait did not say nowait
        three.op((three[0] - 1).nowait, three[1] - 1, timeout=0.01)
    assert three.values == [1, 0, 5]


@atomic
def test_a_waiter_with_nowait_on_the_second_operation_is_told_when_it_comes_to_that(three, until):
    """It sleeps on the first operation; once that can be done, the second says no."""
    problems = []

    def wait():
        try:
            three.op(three[1] - 1, (three[2] - 6).nowait, timeout=20)
        except pyipc.IPCError as problem:
            problems.append(problem)

    waiter = threading.Thread(target=wait)
    waiter.start()
    until(lambda: three[1].waiters == 1)
    three[1].value = 1
    waiter.join()
    assert [type(problem) for problem in problems] == [pyipc.WouldBlockError]
    assert three.values == [1, 1, 5]


@atomic
def test_prepared_operations_can_be_called_again_and_again(three):
    take = three.ops(three[1].wait_zero, three[1] + 1)
    give = three.ops(three[1] - 1)
    for _ in range(3):
        take(timeout=5)
        assert three[1].value == 1
        with pytest.raises(pyipc.WouldBlockError):
            take(0)
        with pytest.raises(pyipc.TimedOutError):
            take(timeout=0.001)
        give()
        assert three[1].value == 0


def test_prepared_operations_outlive_the_handle_and_say_that_it_is_closed():
    with sysv.SemaphoreSet.create(1, initial=1) as s:
        take = s.ops(s[0] - 1)
    with pytest.raises(pyipc.ClosedError, match=f"id {s.id}"):
        take()
    with pytest.raises(pyipc.ClosedError, match=f"id {s.id}"):
        take(timeout=1)


def test_no_operation_and_those_of_another_set_are_value_errors():
    with sysv.SemaphoreSet.create(1) as one, sysv.SemaphoreSet.create(1) as other:
        with pytest.raises(ValueError, match="at least 1"):
            one.op()
        with pytest.raises(ValueError, match="another set"):
            one.op(other[0] + 1)
        for delta in (0, 32768, -32768, 2**70):
            with pytest.raises(ValueError, match=r"\d"):
                one[0] + delta
        with pytest.raises(TypeError):
            one[0] + "1"
        assert one.values == other.values == [0]


def test_an_operation_says_what_it_is():
    with sysv.SemaphoreSet.create(1) as s:
        assert repr(s[0] + 2) == "[0] + 2"
        assert repr((s[0] - 1).undo) == "[0] - 1.undo"
        assert repr(s[0].wait_zero.nowait) == "[0].wait_zero.nowait"
        assert repr(s[0]) == f"<semaphore 0 of {s!r}>"
        assert (s[0] - 3).delta == -3
        assert (s[0] - 3).index == 0


def test_a_value_above_the_most_is_a_limit_error():
    with sysv.SemaphoreSet.create(1, initial=MOST) as s:
        with pytest.raises(pyipc.LimitError, match=f"SEMVMX is 32767.*|id {s.id}") as caught:
            s.op(s[0] + 1)
        assert (caught.value.limit, caught.value.value, caught.value.path) == ("SEMVMX", MOST, None)
        assert f"id {s.id}" in str(caught.value)
        assert s[0].value == MOST


@atomic
def test_an_undo_beyond_its_range_names_that_limit_and_not_the_values():
    with sysv.SemaphoreSet.create(1) as s:
        s.op((s[0] + MOST).undo)
        s.op(s[0] - MOST)
        with pytest.raises(pyipc.LimitError) as caught:
            s.op((s[0] + 10).undo)  # 10 is a fine value; -32777 is no fine undo
        assert caught.value.limit == "SEMAEM"
        assert s[0].value == 0
        s[0].value = 0  # drops the undo


def hold_and_wait(say, hear, id):
    from pyipc import sysv

    s = sysv.SemaphoreSet.attach(id)
    s.op((s[0] - 1).undo, (s[1] + 2).undo)
    s.op(s[2] - 5)
    say(s.values)
    hear()


@atomic
def test_undo_is_given_back_when_the_holder_is_killed(three, child):
    holder = child(hold_and_wait, three.id)
    assert holder.hear() == [0, 2, 0]
    assert three[0].pid == holder.pid
    holder.kill()
    assert holder.end() == -9
    assert three.values == [1, 0, 0]  # what was done without undo stays done


def hold_as_a_semaphore(say, hear, id):
    from pyipc import sysv

    semaphore = sysv.Semaphore.attach(id)
    with semaphore:
        say("held")
        hear()


def test_a_semaphore_comes_back_when_its_holder_is_killed(child):
    semaphore = sysv.Semaphore.create(1)
    holder = child(hold_as_a_semaphore, semaphore.id)
    assert holder.hear() == "held"
    with pytest.raises(pyipc.WouldBlockError):
        semaphore.acquire(timeout=0)
    holder.kill()
    semaphore.acquire(timeout=20)  # while it still dies
    assert holder.end() == -9
    semaphore.release()
    semaphore.close()


def wait_on(say, hear, id, member, zero):
    from pyipc import sysv

    s = sysv.SemaphoreSet.attach(id)
    s.op(s[member].wait_zero if zero else s[member] - 9, timeout=20)
    say("done")


@sets
def test_waiters_are_counted_by_what_they_wait_for(three, child, until):
    rise, zero = child(wait_on, three.id, 2, False), child(wait_on, three.id, 0, True)
    until(lambda: three[2].waiters == 1 and three[0].zero_waiters == 1)
    assert (three[0].waiters, three[1].waiters, three[2].zero_waiters) == (0, 0, 0)
    three[2].value = 9
    assert rise.hear() == "done"
    three[0].value = 0
    assert zero.hear() == "done"
    assert (three[2].waiters, three[0].zero_waiters) == (0, 0)
    assert three.values == [0, 0, 0]
    assert rise.end() == zero.end() == 0


@sets
def test_the_last_operator_is_known(three, child):
    three.op(three[0] + 1)
    assert three[0].pid == os.getpid()
    other = child(wait_on, three.id, 1, True)
    assert other.hear() == "done"
    assert three[1].pid == other.pid
    assert other.end() == 0


def test_stat_agrees_with_the_kernels_listing():
    with sysv.SemaphoreSet.create(1, mode=0o640) as s:
        stat, listed = s.stat(), row(s.id)
        assert (stat.id, stat.key, stat.count, stat.mode) == (s.id, int(listed["key"]), 1, 0o640)
        assert stat.op_time == int(listed["otime"]) > 0
        assert stat.change_time == int(listed["ctime"]) > 0
        assert (stat.uid, stat.gid) == (stat.creator_uid, stat.creator_gid) == (os.geteuid(), os.getegid())


def test_mode_and_owner_can_be_changed():
    with sysv.SemaphoreSet.create(1) as s:
        s.set(mode=0o604)
        assert s.stat().mode == 0o604
        if os.geteuid() == 0:
            s.set(uid=65534, gid=65533)
            stat = s.stat()
            assert (stat.uid, stat.gid, stat.creator_uid, stat.mode) == (65534, 65533, 0, 0o604)


def test_a_mode_without_our_own_rights_is_kept_and_initialised(key):
    with sysv.SemaphoreSet.create(1, key=key, mode=0o066, initial=3) as s:
        assert int(row(s.id)["perms"], 8) == 0o066
        assert int(row(s.id)["otime"]) > 0


def test_a_key_leads_to_the_set(key):
    with sysv.SemaphoreSet.create(1, key=key, initial=4) as mine:
        with sysv.SemaphoreSet.open(key) as found:
            assert (found.id, found.key, len(found), found.owner) == (mine.id, key, 1, False)
            found.op(found[0] - 1)
        assert mine[0].value == 3
        with pytest.raises(pyipc.AlreadyExistsError, match=f"key {key:#x}"):
            sysv.SemaphoreSet.create(1, key=key)
    with pytest.raises(pyipc.NotFoundError, match=f"semaphore set with key {key:#x}"):
        sysv.SemaphoreSet.open(key)


def test_open_or_create_makes_once_and_then_finds(key):
    first = sysv.SemaphoreSet.open_or_create(key, 1, initial=2)
    first.op(first[0] - 1)
    second = sysv.SemaphoreSet.open_or_create(key, 1, initial=2)
    assert (second.id, second[0].value) == (first.id, 1)
    if pyipc.capabilities()["sysv.semaphore_sets"]:
        with pytest.raises(ValueError, match="fewer than 2"):
            sysv.SemaphoreSet.open_or_create(key, 2)
    first.remove()
    first.close()
    second.close()


def test_a_pickled_handle_is_the_same_set():
    with sysv.SemaphoreSet.create(1, initial=3) as s, pickle.loads(pickle.dumps(s)) as copy:
        copy.op(copy[0] - 1)
        assert s[0].value == 2
        assert (copy.id, len(copy), copy.owner) == (s.id, 1, False)


# ---- a semaphore ----


@pytest.fixture
def semaphore():
    made = sysv.Semaphore.create(2)
    yield made
    made.close()


def test_acquire_takes_and_release_gives(semaphore):
    semaphore.acquire()
    semaphore.acquire(timeout=1)
    assert semaphore.value == 0
    with pytest.raises(pyipc.WouldBlockError, match=f"id {semaphore.id}"):
        semaphore.acquire(timeout=0)
    with pytest.raises(pyipc.TimedOutError, match=f"id {semaphore.id}"):
        semaphore.acquire(timeout=0.01)
    semaphore.release()
    assert semaphore.value == 1
    semaphore.release(3)
    semaphore.acquire(count=4)
    assert semaphore.value == 0
    semaphore.wait_zero()


def test_acquiring_several_takes_all_or_none(semaphore):
    with pytest.raises(pyipc.TimedOutError):
        semaphore.acquire(count=3, timeout=0.01)
    assert semaphore.value == 2
    for count in (0, -1, 32768):
        with pytest.raises(ValueError, match=str(count)):
            semaphore.acquire(count=count)
        with pytest.raises(ValueError, match=str(count)):
            semaphore.release(count)
    with pytest.raises(TypeError):
        semaphore.acquire(count=2.0)


def test_waiting_for_zero_times_out_and_succeeds(semaphore, until):
    with pytest.raises(pyipc.WouldBlockError):
        semaphore.wait_zero(0)
    with pytest.raises(pyipc.TimedOutError):
        semaphore.wait_zero(timeout=0.01)
    waiter = threading.Thread(target=semaphore.wait_zero, args=(20,))
    waiter.start()
    semaphore.value = 0
    waiter.join()


def test_with_takes_one_and_gives_it_back(semaphore):
    with semaphore as held:
        assert held is semaphore
        assert semaphore.value == 1
        with semaphore:
            assert semaphore.value == 0
    assert semaphore.value == 2
    assert not semaphore.closed
    with pytest.raises(KeyError), semaphore:
        raise KeyError
    assert semaphore.value == 2


def test_releasing_above_the_most_is_a_limit_error(semaphore):
    semaphore.value = MOST
    for release in (semaphore.release, lambda: semaphore.release(2), lambda: semaphore.release(undo=True)):
        with pytest.raises(pyipc.LimitError, match=f"id {semaphore.id}") as caught:
            release()
        assert (caught.value.limit, caught.value.value) == ("SEMVMX", MOST)
    assert semaphore.value == MOST


@pytest.mark.needs("sysv.waiter_counts")
def test_a_waiting_acquire_is_counted_and_served(semaphore, child, until):
    semaphore.value = 0
    other = child(hold_as_a_semaphore, semaphore.id)
    until(lambda: semaphore.waiters == 1)
    semaphore.release()
    assert other.hear() == "held"
    other.say()
    assert other.end() == 0
    assert semaphore.value == 1


def take_and_give_many(say, hear, semaphore_id, segment_id, times):
    from pyipc import sysv

    semaphore = sysv.Semaphore.attach(semaphore_id)
    with sysv.SharedMemory.attach(segment_id) as segment:
        say("ready")
        hear()
        for _ in range(times):
            with semaphore:
                number = int.from_bytes(segment.read(8), "little")
                segment.write((number + 1).to_bytes(8, "little"))
    semaphore.close()


def test_a_semaphore_excludes_other_processes(child):
    semaphore = sysv.Semaphore.create(1)
    with sysv.SharedMemory.create(8) as segment:
        others = [child(take_and_give_many, semaphore.id, segment.id, 500) for _ in range(3)]
        for other in others:
            assert other.hear() == "ready"
        for other in others:
            other.say("go")
        for other in others:
            assert other.end() == 0
        assert int.from_bytes(segment.read(8), "little") == 1500
    semaphore.close()


def test_semaphore_open_or_create_and_open_meet(key):
    first = sysv.Semaphore.open_or_create(key, 3)
    second = sysv.Semaphore.open(key)
    second.acquire()
    assert first.value == 2
    assert repr(first) == f"<semaphore key {key:#x} id {first.id}>"
    first.remove()
    first.close()
    second.close()


@sets
def test_a_semaphore_handle_on_a_larger_set_is_its_first(three):
    semaphore = sysv.Semaphore.attach(three.id)
    semaphore.acquire()
    assert three.values == [0, 0, 5]
    semaphore.close()
