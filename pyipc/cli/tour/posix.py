"""The stop of POSIX objects: what is found by a name."""

from __future__ import annotations

import errno
import os
import select
import threading
from contextlib import closing

from pyipc import IPCError, UnsupportedError, posix

from . import posix_partners as others
from .stage import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Stage

TITLE = "POSIX: memory, semaphores and queues that have a name"

_PREFIX = f"/pyipc-tour-{os.urandom(4).hex()}-"

_PAGE = 4096


def share_by_name(stage: Stage) -> None:
    """Let another process find memory by its name, and answer in it."""
    text, reply = "Message #1", "Message #2"
    memory = stage.held(posix.SharedMemory.create(f"{_PREFIX}memory", _PAGE))
    memory.write(text.encode())
    stage.say("python", f'makes {memory.name}, {_PAGE} bytes, writes "{text}"')
    other = stage.python(others.answer, memory.name, text, reply)
    other.expect(f"{_PAGE} bytes")
    other.expect(text)
    stage.say(other, f'finds it, whole, and reads "{text}"')
    other.expect("answered")
    other.end()
    stage.say(other, f'writes "{reply}"')
    heard = memory.read(len(reply)).decode()
    stage.check(heard == reply, f"the memory says {heard!r}")
    stage.say("python", f'reads "{heard}"')


def outlive_a_shrinking(stage: Stage) -> None:
    """Read memory that another process has made shorter."""
    memory = stage.held(posix.SharedMemory.create(f"{_PREFIX}shrinks", 4 * _PAGE))
    memory.write(b"the end", 3 * _PAGE)
    stage.say("python", f"makes {4 * _PAGE} bytes, and writes near their end")
    other = stage.python(others.make_shorter, memory.name, _PAGE)
    other.expect("done")
    other.end()
    stage.say(other, f"leaves {_PAGE} of them, as whoever may write to it can")
    try:
        memory.read(7, 3 * _PAGE)
    except IPCError as problem:
        stage.check(problem.errno == errno.ENODATA, f"the wrong error: {problem}")
        stage.say("python", "reads there: an error, ENODATA. Through a mapping, it would be SIGBUS")
    else:
        stage.check(False, "what is gone was read all the same")


def hand_out_permits(stage: Stage) -> None:
    """Give permits that another process waits for."""
    with closing(posix.Semaphore.create(f"{_PREFIX}permits", 0)) as semaphore:
        other = stage.python(others.wait_for_permits, semaphore.name, 2)
        other.expect("waits")
        stage.say(other, f"finds {semaphore.name}, whose value is 0, and waits")
        for which in "one permit", "another":
            semaphore.release()
            stage.say("python", f"gives {which}")
            other.expect("has one")
            stage.say(other, "has it")
        other.end()
        stage.check(semaphore.value == 0, f"the value is {semaphore.value} in the end, not 0")


def take_the_most_urgent(stage: Stage) -> None:
    """Receive by priority what was sent in another order."""
    queue = stage.held(posix.MessageQueue.create(f"{_PREFIX}orders"))
    watched = select.poll()
    watched.register(queue, select.POLLIN)
    stage.check(not watched.poll(0), "an empty queue is readable")
    other = stage.python(others.send_orders, queue.name)
    stage.check(bool(watched.poll(stage.left() * 1000)), "poll(2) does not see the message")
    stage.say("python", "poll(2) says that there is a message: a queue is a descriptor")
    other.expect("sent")
    other.end()
    for text, priority in others.ORDERS:
        stage.say(other, f'sends "{text}", priority {priority}')
    stage.say("kernel", _listed(queue.name))
    for text, priority in sorted(others.ORDERS, key=lambda order: -order[1]):
        got = queue.receive(stage.left())
        stage.check(got == (text.encode(), priority), f"{got} came, not {text!r}")
        stage.say("python", f'receives "{text}"')


def _listed(name: str | None) -> str:
    """What /dev/mqueue says of it."""
    try:
        found = [queue.bytes for queue in posix.message_queues() if queue.name == name]
    except UnsupportedError:
        return "/dev/mqueue is not mounted here, so nobody lists what waits"
    return f"/dev/mqueue: {found[0]} bytes wait" if found else "/dev/mqueue is that of another namespace"


def be_told(stage: Stage) -> None:
    """Be called when a message comes."""
    text = "good morning"
    queue = stage.held(posix.MessageQueue.create(f"{_PREFIX}news"))
    called = threading.Event()
    other = stage.python(others.send_at_a_word, queue.name, text)
    queue.notify_by_call(called.set)
    stage.say("python", "asks to be called when a message comes, and does something else")
    other.go_on()
    stage.check(called.wait(stage.left()), "nobody was called")
    other.end()
    stage.say(other, f'sends "{text}" to the empty queue')
    heard = queue.receive(timeout=0).data.decode()
    stage.check(heard == text, f"{heard!r} came")
    stage.say("python", f'is called, and finds "{heard}"')


def leave_no_name(stage: Stage) -> None:
    """Look for the names that the steps gave."""
    listed = [*posix.shared_memory_objects(), *posix.named_semaphores()]
    left = [row.name for row in listed if row.name.startswith(_PREFIX)]
    stage.check(not left, f"still there: {', '.join(left)}")
    stage.say("kernel", "/dev/shm: none of the names that were given here")
    try:
        left = [row.name for row in posix.message_queues() if row.name.startswith(_PREFIX)]
    except UnsupportedError:
        return
    stage.check(not left, f"still there: {', '.join(left)}")
    stage.say("kernel", "/dev/mqueue: none either")


_QUEUES = ("posix.message_queues", "message queues need the compiled core, or the posix-ipc package")

STEPS = [
    Step(
        "Memory with a name",
        "Memory gets its size and its pages first, and then its name, by which the other process finds it.",
        "Nobody finds it half made. C programs find it with shm_open(3).",
        share_by_name,
    ),
    Step(
        "It shrinks under its reader",
        "Such memory cannot be sealed: whoever may write to it may take the end of it away.",
        "read() and write() go by the kernel, and end with an error, not with the process.",
        outlive_a_shrinking,
    ),
    Step(
        "A semaphore by its name",
        "The value of a semaphore is how many permits there are; one process gives them, the other waits.",
        "They have one semaphore; so has a program in C that has the same C library.",
        hand_out_permits,
        ("posix.semaphores", "semaphores need the compiled core, or the posix-ipc package"),
    ),
    Step(
        "The most urgent first",
        "A queue keeps its messages by priority.",
        "What was sent first is received last.",
        take_the_most_urgent,
        _QUEUES,
    ),
    Step(
        "Told of a message",
        "The kernel tells one process when a message comes to an empty queue (mq_notify(3)).",
        "Nobody had to wait at the queue.",
        be_told,
        _QUEUES,
    ),
    Step(
        "No name is left behind",
        "Each step takes away the names that it gave. We look for them where they are listed.",
        "The machine is as we found it.",
        leave_no_name,
    ),
]
