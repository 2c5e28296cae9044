"""The System V stop: segments, semaphores and message queues, shared with perl."""

from __future__ import annotations

import os
import time
from errno import EEXIST

from pyipc import TimedOutError, WouldBlockError, sysv

from . import sysv_partners as others
from .stage import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .partner import Partner
    from .stage import Stage

    Made = TypeVar("Made", sysv.Semaphore, sysv.SemaphoreSet, sysv.MessageQueue)

TITLE = "System V: shared memory, semaphores, message queues"

_PATIENCE = 0.1  # seconds to wait for a message that does not come


def _with_key(stage: Stage, create: Callable[[int], Made]) -> tuple[Made, int]:
    """Make something under a key that nobody uses."""
    first = 0x50590000 + os.getpid() % 0x10000
    for key in range(first, first + 100):
        try:
            return stage.made(create(key)), key
        except OSError as problem:
            if problem.errno != EEXIST:
                raise
    raise RuntimeError(f"the keys {first:#x} to {key:#x} are all taken")


def _shown(padded: bytes) -> str:
    text = padded.rstrip(b"\0")
    return f'"{text.decode("ascii", "backslashreplace")}" and {len(padded) - len(text)} NULs'


def share_bytes(stage: Stage) -> None:
    """Write for perl, and read what it answers."""
    message = others.MESSAGE.ljust(others.ROOM, b"\0")
    answer = others.ANSWER.ljust(others.ROOM, b"\0")
    segment = stage.made(sysv.SharedMemory.create(2000))
    segment.write(others.MESSAGE, pad_to=others.ROOM)
    stage.say("python", f'segment {segment.id}: writes "{others.MESSAGE.decode()}", padded to {others.ROOM}')
    other = stage.perl(
        others.READ_AND_ANSWER, others.read_and_answer, segment.id, others.ROOM, others.ANSWER.decode()
    )
    heard = bytes.fromhex(other.hear())
    stage.check(heard == message, f"{other.name} read {heard!r}, not {message!r}")
    stage.say(other, f"reads {_shown(heard)}")
    other.expect("answered")
    other.end()
    stage.say(other, f'writes "{others.ANSWER.decode()}" over it')
    found = segment.read(others.ROOM)
    stage.check(found == answer, f"the segment holds {found!r}, not {answer!r}")
    stage.say("python", f"reads {_shown(found)}")


def share_views(stage: Stage) -> None:
    """Look at numbers while another process changes them."""
    segment = stage.made(sysv.SharedMemory.create(4 * 1000))
    view = others.numbers(segment)
    for place in range(len(view)):
        view[place] = place
    before = sum(map(int, view))
    stage.say("python", f"a {_kind(view)} of 1000 numbers; their sum is {before}")
    other = stage.python(others.double, segment.id)
    other.expect("doubled")
    other.end()
    stage.say(other, "doubles each of them, through a view of its own")
    after = sum(map(int, view))
    stage.check(after == 2 * before, f"the sum is {after} now, not {2 * before}")
    stage.say("python", f"the same {_kind(view)}, not touched: the sum is {after}")


def _kind(view: object) -> str:
    return "memoryview" if isinstance(view, memoryview) else "numpy array"


def leak_nothing(stage: Stage) -> None:
    """Kill a process that has a private segment."""
    other = stage.python(others.make_and_linger)
    id = int(other.hear())
    stage.stop.made.add(("segment", id))
    listed = [row for row in sysv.segments() if row.id == id]
    stage.check(len(listed) == 1, f"the kernel does not list segment {id}")
    stage.say(other, f"makes segment {id} of {listed[0].size >> 20} MiB")
    stage.say("kernel", f"/proc/sysvipc/shm: {id}, attached {listed[0].attach_count} time")
    other.kill()
    stage.say(other, "is killed")
    stage.wait_until(lambda: all(row.id != id for row in sysv.segments()), f"segment {id} is still there")
    stage.say("kernel", f"/proc/sysvipc/shm: no {id}")


def take_and_give(stage: Stage) -> None:
    """Wait for perl, and let it wait for us."""
    semaphores, key = _with_key(stage, lambda key: sysv.SemaphoreSet.create(1, key=key))
    semaphore = semaphores[0]
    take = semaphores.ops(semaphore.wait_zero, semaphore + 1)
    give = semaphores.ops(semaphore - 1)
    other = stage.perl(others.TAKE_AND_GIVE, others.take_and_give, key)
    other.expect("holding")
    stage.say(other, f"takes the semaphore with key {key:#x}")
    stage.check(semaphore.value == 1, f"{other.name} has it, but the value is {semaphore.value}, not 1")
    stage.say("python", "wants it too, and sleeps")
    take(timeout=stage.left())
    other.expect("1")
    stage.say(other, "asks the kernel who waits (GETZCNT): 1 process; gives")
    stage.check(semaphore.value == 1, f"we have it, but the value is {semaphore.value}, not 1")
    stage.say("python", "wakes up and has it")
    other.go_on()
    stage.wait_until(lambda: semaphore.zero_waiters == 1, f"{other.name} does not wait for the semaphore")
    stage.say(other, "wants it back, and sleeps")
    stage.say("python", "asks the kernel who waits: 1 process; gives")
    give()
    other.expect("holding")
    stage.say(other, "wakes up and has it")
    other.end()
    stage.check(semaphore.value == 0, f"the value is {semaphore.value} in the end, not 0")


def inherit_nothing(stage: Stage) -> None:
    """Kill a process that holds a semaphore."""
    semaphore, key = _with_key(stage, lambda key: sysv.Semaphore.create(1, key=key))
    other = stage.python(others.hold, key)
    other.expect("holding")
    stage.say(other, "takes it, with undo")
    try:
        semaphore.acquire(timeout=0)
    except WouldBlockError:
        stage.say("python", "tries to take it: somebody has it")
    else:
        stage.check(False, f"{other.name} holds it, and we got it all the same")
    start = time.perf_counter()
    other.kill()
    stage.say(other, "is killed")
    semaphore.acquire(timeout=stage.left())
    waited = (time.perf_counter() - start) * 1000
    stage.say("kernel", "gives back what the dead process held")
    stage.say("python", f"has it, {waited:.1f} ms after the kill")


def talk_by_type(stage: Stage) -> None:
    """Exchange messages, with perl and with a second Python; then wait for one that never comes."""
    queue, key = _with_key(stage, lambda key: sysv.MessageQueue.create(key=key))
    first = stage.perl(others.SEND_AND_RECEIVE, others.send_and_receive, key)
    _exchange(stage, queue, first)
    if stage.stop.perl is not None:
        _exchange(stage, queue, stage.python(others.send_and_receive, key))
    start = time.perf_counter()
    try:
        message = queue.receive(timeout=_PATIENCE)
    except TimedOutError:
        waited = (time.perf_counter() - start) * 1000
    else:
        stage.check(False, f"the queue should be empty, but it held {message}")
    stage.check(waited >= _PATIENCE * 1000, f"it gave up after {waited:.1f} ms already")
    stage.say("python", f"waits {_PATIENCE * 1000:.0f} ms at an empty queue: gives up at {waited:.1f}")


def _exchange(stage: Stage, queue: sysv.MessageQueue, other: Partner) -> None:
    other.expect("sent")
    stage.say(other, "sends three messages, of types 3, 1 and 2")
    _receive(stage, queue, 2, (b"two", 2))
    stage.say("python", 'asks for type 2: "two"')
    _receive(stage, queue, -3, (b"one", 1))
    _receive(stage, queue, -3, (b"three", 3))
    stage.say("python", 'asks for the lowest up to 3: "one", then "three"')
    queue.send(b"thanks", type=other.pid, timeout=stage.left())
    stage.say("python", f'sends "thanks" as type {other.pid}')
    other.expect("thanks")
    other.end()
    stage.say(other, f'asks for type {other.pid}, its own pid: "thanks"')


def _receive(stage: Stage, queue: sysv.MessageQueue, type: int, expected: tuple[bytes, int]) -> None:
    got = queue.receive(type=type, timeout=stage.left())
    stage.check(got == expected, f"type {type} brought {got}, not {expected}")


def leave_nothing(stage: Stage) -> None:
    """Look for what the steps made."""
    listed = {
        "segment": {row.id for row in sysv.segments()},
        "semaphore set": (sets := {row.id for row in sysv.semaphore_sets()}),
        "semaphore": sets,
        "message queue": {row.id for row in sysv.message_queues()},
    }
    left = [f"{kind} {id}" for kind, id in sorted(stage.stop.made) if id in listed[kind]]
    stage.check(not left, f"still there: {', '.join(left)}")
    stage.say("kernel", f"/proc/sysvipc: of the {len(stage.stop.made)} objects made here, none")
    alive = [partner.name for partner in stage.stop.partners if not partner.reaped]
    stage.check(not alive, f"still running: {', '.join(alive)}")
    stage.say("python", f"all {len(stage.stop.partners)} processes started here have ended")


STEPS = [
    Step(
        "Shared memory, byte for byte",
        "A segment is memory that several processes have in common. This one is private: "
        "it has no key, so we tell the other process its number.",
        "The same bytes on both sides, padding included.",
        share_bytes,
    ),
    Step(
        "Shared memory, without a copy",
        "A view shows the memory itself. We take one, and another process changes what it shows.",
        "The change is in our view: nothing was copied or sent.",
        share_views,
        ("sysv.segment_views", "it cannot show the memory itself"),
    ),
    Step(
        "A crash leaks no memory",
        "A process makes a private segment and is killed with SIGKILL, so it cannot clean up.",
        "The segment went with the last process that had it.",
        leak_nothing,
    ),
    Step(
        "Take and give",
        "A semaphore as a lock. To take it is one semop(2) of two operations: wait for 0, add 1. "
        "To give it is to subtract 1.",
        "They share one lock; who has to wait sleeps.",
        take_and_give,
        ("sysv.atomic_operations", "two operations in one semop(2) need the compiled core"),
    ),
    Step(
        "A holder dies",
        "A process takes a semaphore with undo (SEM_UNDO) and is killed while it holds it.",
        "Nobody waits for the dead.",
        inherit_nothing,
    ),
    Step(
        "Messages by type",
        "Each message has a type, a number; who receives says which types to take.",
        "Each side gets the types it asks for, and a wait ends in time (msgrcv(2) itself knows no timeout).",
        talk_by_type,
    ),
    Step(
        "Nothing is left behind",
        "Each step removes what it makes. We look for it where the kernel lists everything.",
        "The machine is as we found it.",
        leave_nothing,
    ),
]
