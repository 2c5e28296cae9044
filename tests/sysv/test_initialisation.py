"""Stevens' race: nobody may take a semaphore for ready that has no value yet."""

from __future__ import annotations

import time

import pytest

import pyipc
from pyipc import sysv


def race(say, hear, key, rounds, make_and_find):
    """Open or create; whoever comes first or last, the value has been 1 from the start."""
    import contextlib

    import pyipc
    from pyipc import sysv

    say("ready")
    for number in range(rounds):
        hear()
        if make_and_find:
            semaphore = None
            while semaphore is None:
                with contextlib.suppress(pyipc.AlreadyExistsError):
                    semaphore = sysv.Semaphore.create(1, key=key + number, persist=True)
                with contextlib.suppress(pyipc.NotFoundError):
                    semaphore = semaphore or sysv.Semaphore.open(key + number)
        else:
            semaphore = sysv.Semaphore.open_or_create(key + number, 1)
        semaphore.acquire(timeout=20)
        value = semaphore.value
        semaphore.release()
        semaphore.close()
        say((semaphore.id, value))


@pytest.mark.parametrize("make_and_find", [False, True], ids=["open_or_create", "create and open"])
def test_however_many_race_all_meet_in_one_initialised_set(key, child, make_and_find):
    rounds, racers = 40, 6
    others = [child(race, key, rounds, make_and_find) for _ in range(racers)]
    for other in others:
        assert other.hear() == "ready"
    for number in range(rounds):
        for other in others:
            other.say("go")
        answers = [other.hear() for other in others]
        assert {value for _, value in answers} == {0}
        assert len({id for id, _ in answers}) == 1
        with sysv.SemaphoreSet.open(key + number) as made:
            assert made[0].value == 1
            made.remove()
    for other in others:
        assert other.end() == 0


def race_to_remove(say, hear, kind, key, rounds):
    import contextlib

    import pyipc
    from pyipc import sysv

    cls = getattr(sysv, kind)
    arguments = (key, 100) if kind == "SharedMemory" else (key,)
    say("ready")
    hear()
    for _ in range(rounds):
        handle = cls.open_or_create(*arguments)
        with contextlib.suppress(pyipc.RemovedError):
            handle.remove()
        handle.close()
    say("done")


@pytest.mark.parametrize("kind", ["SharedMemory", "Semaphore", "MessageQueue"])
def test_open_or_create_begins_again_when_it_is_removed_between(kind, key, child):
    others = [child(race_to_remove, kind, key, 2000) for _ in range(4)]
    for other in others:
        assert other.hear() == "ready"
    for other in others:
        other.say("go")
    for other in others:
        assert other.hear() == "done"
        assert other.end() == 0


@pytest.fixture(params=["peer", "perl"])
def half_made(request, key):
    start = request.getfixturevalue(request.param)
    if request.param == "peer":
        other = start("half-make", key, 1)
    else:
        other = start('my $id = semget($ARGV[0], 1, 01000 | 02000 | 0600) // die $!; print "$id\\n"', key)
    id = int(other.line())
    assert other.end() == 0
    yield id
    with sysv.SemaphoreSet.attach(id) as made:
        made.remove()


@pytest.mark.parametrize("timeout", [0, 0.2])
def test_a_set_that_nobody_initialised_is_half_made_and_says_its_id(half_made, key, timeout):
    for find in (
        lambda: sysv.SemaphoreSet.open(key, timeout=timeout),
        lambda: sysv.Semaphore.open(key, timeout=timeout),
        lambda: sysv.SemaphoreSet.open_or_create(key, 1, timeout=timeout),
        lambda: sysv.Semaphore.open_or_create(key, timeout=timeout),
    ):
        started = time.monotonic()
        with pytest.raises(pyipc.HalfMadeError, match=f"key {key:#x}.*id {half_made}") as caught:
            find()
        assert timeout <= time.monotonic() - started < timeout + 2
        assert caught.value.id == half_made


def test_a_half_made_set_can_be_taken_as_it_is(half_made, key):
    with sysv.SemaphoreSet.open(key, ready=False) as taken:
        assert (taken.id, taken.values) == (half_made, [0])
        taken.op(taken[0] + 3)  # from now on it is initialised for everybody
    with sysv.SemaphoreSet.open(key, timeout=0) as found:
        assert found.values == [3]


def initialise_when_told(say, hear, id):
    from pyipc import sysv

    say("ready")
    hear()
    with sysv.SemaphoreSet.attach(id) as made:
        made.op(made[0] + 5)


def test_who_waits_for_a_half_made_set_gets_it_once_it_is_ready(half_made, key, child):
    maker = child(initialise_when_told, half_made)
    assert maker.hear() == "ready"
    maker.say("go")
    with sysv.SemaphoreSet.open(key, timeout=20) as found:
        assert found.values == [5]
    assert maker.end() == 0


def open_half_made(say, hear, key):
    import pyipc
    from pyipc import sysv

    say("waiting")
    try:
        sysv.SemaphoreSet.open(key, timeout=20)
    except pyipc.NotFoundError as problem:
        say(str(problem))


def test_who_waits_for_a_half_made_set_is_told_when_it_goes(key, peer, child, until, asleep):
    other = peer("half-make", key, 1)
    id = int(other.line())
    assert other.end() == 0
    waiter = child(open_half_made, key)
    assert waiter.hear() == "waiting"
    with sysv.SemaphoreSet.attach(id) as made:
        until(lambda: asleep(waiter.pid))
        made.remove()
    assert f"key {key:#x}" in waiter.hear()
    assert waiter.end() == 0
