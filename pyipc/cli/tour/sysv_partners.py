"""The parts that other processes play at the System V stop, in Perl and in Python.

Where there is no perl, the Python part of the same name takes its place; both tell the same facts.
The Perl programs use what is built into perl, no module of it.
"""

from __future__ import annotations

import os
import time
from contextlib import closing

from pyipc import sysv

from .second import tell, wait_for_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROOM = 60  # bytes that each message fills in the segment
MESSAGE = b"Message #1"
ANSWER = b"Message #2"

READ_AND_ANSWER = r"""
my ($id, $room, $answer) = @ARGV;
shmread($id, my $bytes, 0, $room) or die "shmread: $!\n";
print unpack("H*", $bytes), "\n";
shmwrite($id, $answer, 0, $room) or die "shmwrite: $!\n";
print "answered\n";
"""


def read_and_answer(id: str, room: str, answer: str) -> None:
    """Read the message in a segment, and write one over it."""
    with sysv.SharedMemory.attach(int(id)) as segment:
        tell(segment.read(int(room)).hex())
        segment.write(answer.encode(), pad_to=int(room))
    tell("answered")


def numbers(segment: sysv.SharedMemory) -> Any:
    """The segment as numbers, without a copy: a numpy array, or a view where numpy is missing."""
    try:
        return segment.array("u4")
    except ImportError:
        return segment.buf.cast("I")


def double(id: str) -> None:
    """Double each number in a segment."""
    with sysv.SharedMemory.attach(int(id)) as segment:
        values = numbers(segment)
        for place in range(len(values)):
            values[place] *= 2
    tell("doubled")


def make_and_linger() -> None:
    """Make a private segment, and never get to the end of the block."""
    with sysv.SharedMemory.create(1 << 20) as segment:
        tell(segment.id)
        wait_for_word()


# Each number that pack() takes here is one C short: which semaphore, what to add, flags. An
# operation that adds 0 waits for the value 0. 15 is GETZCNT: how many wait for that.
TAKE_AND_GIVE = r"""
my ($key) = @ARGV;
my $id = semget($key, 0, 0);
defined $id or die "semget: $!\n";
sub take { semop($id, pack("s!6", 0, 0, 0, 0, 1, 0)) or die "take: $!\n" }
sub give { semop($id, pack("s!3", 0, -1, 0)) or die "give: $!\n" }
sub waiting { return 0 + semctl($id, 0, 15, 0) }

take();
print "holding\n";
select(undef, undef, undef, 0.001) until waiting();
print waiting(), "\n";
give();

<STDIN>;
take();
print "holding\n";
give();
"""


def take_and_give(key: str) -> None:
    """Hold a semaphore until somebody waits for it; at a word, wait for it in turn."""
    with sysv.SemaphoreSet.open(int(key)) as semaphores:
        semaphore = semaphores[0]
        take = semaphores.ops(semaphore.wait_zero, semaphore + 1)
        give = semaphores.ops(semaphore - 1)
        take(timeout=0)
        tell("holding")
        while not semaphore.zero_waiters:
            time.sleep(0.001)  # the kernel counts them, but tells nobody
        tell(semaphore.zero_waiters)
        give()
        wait_for_word()
        take()
        tell("holding")
        give()


def hold(key: str) -> None:
    """Take a semaphore, and never get to the end of the block."""
    with closing(sysv.Semaphore.open(int(key))) as semaphore, semaphore:
        tell("holding")
        wait_for_word()


# l! is a C long, the type that precedes the bytes of every message.
SEND_AND_RECEIVE = r"""
my ($key) = @ARGV;
my $id = msgget($key, 0);
defined $id or die "msgget: $!\n";
for (["3", "three"], ["1", "one"], ["2", "two"]) {
    msgsnd($id, pack("l! a*", @$_), 0) or die "msgsnd: $!\n";
}
print "sent\n";
msgrcv($id, my $message, 100, $$, 0) or die "msgrcv: $!\n";
my (undef, $text) = unpack("l! a*", $message);
print "$text\n";
"""


def send_and_receive(key: str) -> None:
    """Send three messages of three types; receive the one whose type is this process's id."""
    with sysv.MessageQueue.open(int(key)) as queue:
        for type, data in ((3, b"three"), (1, b"one"), (2, b"two")):
            queue.send(data, type)
        tell("sent")
        tell(queue.receive(os.getpid()).data.decode())
