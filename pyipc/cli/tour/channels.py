"""The stop of channels: messages through shared memory, whoever dies."""

from __future__ import annotations

from pyipc import PeerGoneError, channels

from . import channels_partners as others
from .stage import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Stage

TITLE = "Channels: messages that no death can spoil"

_MANY = 10_000
_LARGE = 1 << 20


def through_memory(stage: Stage) -> None:
    """Receive many small messages and a large one, from a process that found the channel by its path."""
    path = stage.folder() + "/channel"
    with channels.Channel() as channel, channels.serve(path, channel):
        reader = stage.held(channel.reader())
        other = stage.python(others.send_numbers, path, _MANY, _LARGE)
        other.expect("has the writer")
    stage.say(other, "has a writer, by the path of a Unix socket")
    for number in range(_MANY):
        data = reader.recv(stage.left())
        stage.check(data == b"%d" % number, f"{data!r} came, not {number}")
    stage.say("python", f"receives {_MANY} messages, each in its turn")
    with reader.peek(stage.left()) as message:
        right = len(message) == _LARGE and message.buf == bytes([7]) * _LARGE
        stage.check(right, "the large message is not what was sent")
        stage.say("python", f"looks at {_LARGE} bytes where the other process has written them")
    other.go_on()
    other.end()
    try:
        reader.recv(stage.left())
    except PeerGoneError:
        stage.say("kernel", "nobody sends any more: the end")
    else:
        stage.check(False, "there is no end")


def sender_dies(stage: Stage) -> None:
    """Kill a sender in the middle of its work."""
    path = stage.folder() + "/channel"
    with channels.Channel() as channel, channels.serve(path, channel):
        reader = stage.held(channel.reader())
        other = stage.python(others.send_for_ever, path)
        other.expect("has the writer")
    stage.say(other, "sends as fast as it can")
    count = 0
    while count < _MANY:
        count += len(reader.recv_many(timeout=stage.left()))
    other.kill()
    stage.say("python", "kills it (SIGKILL), at whatever instruction that is")
    for data in reader:
        stage.check(data == b"%d" % count, f"{data!r} came, not {count}")
        count += 1
    stage.say("python", f"receives the rest of {count} messages, none missing or torn, and then the end")


def receiver_dies(stage: Stage) -> None:
    """Kill a receiver that has a message."""
    path = stage.folder() + "/channel"
    with channels.Channel() as channel, channels.serve(path, channel):
        reader, writer = stage.held(channel.reader()), stage.held(channel.writer())
        other = stage.python(others.hold_a_message, path)
        other.expect("has the reader")
    writer.send(b"precious", stage.left())
    other.expect("has b'precious'")
    stage.say(other, "has received a message, and not yet acknowledged it")
    other.kill()
    stage.say("python", "kills it (SIGKILL)")
    with reader.recv(stage.left(), ack=True) as message:
        stage.check(bytes(message) == b"precious" and message.redelivered, f"{message!r} came")
        stage.say("python", 'receives "precious", marked as redelivered')


STEPS = [
    Step(
        "Messages through memory",
        "A channel is memory and two pipes; a Unix socket hands them out by name. The pipes are only to "
        "wake who sleeps.",
        "Ten thousand small ones, and a large one that nobody copied.",
        through_memory,
        ("channels", "channels need the compiled core"),
    ),
    Step(
        "A sender is killed",
        "What was sent has arrived, what was not has left no trace, and nobody waits for the dead.",
        "Each message whole, in order, and the end told by the kernel.",
        sender_dies,
        ("channels", "channels need the compiled core"),
    ),
    Step(
        "A receiver is killed with a message",
        "With ack=True a message is gone only when it was acknowledged.",
        "It comes again, to somebody else, and says so.",
        receiver_dies,
        ("channels", "channels need the compiled core"),
    ),
]
