"""The stop of descriptors: open files, and who sent them, from process to process."""

from __future__ import annotations

import os

from pyipc import UnsupportedError, fds

from . import fds_partners as others
from .stage import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from .stage import Stage

TITLE = "Descriptors: open files from process to process"

_MANY = 600  # more than twice what one message can hold


def pair(stage: Stage) -> tuple[socket, socket]:
    """Two connected sockets: one for this process, one for another to inherit."""
    here, there = map(stage.held, fds.socketpair())
    return here, there


def lend_a_pipe(stage: Stage) -> None:
    """Send the end of a pipe, and read what the other process writes into it."""
    here, there = pair(stage)
    other = stage.python(others.write_into, there.fileno(), inherits=[there])
    there.close()
    reader, writer = map(fds.Handle, os.pipe())
    stage.held(reader)
    with writer:
        fds.send(here, b"write into this", [writer], stage.left())
    stage.say("python", 'sends "write into this" with the end of a pipe, and closes its own')
    other.expect("write into this")
    stage.say(other, f"has {other.hear()}")
    heard = os.read(reader.fileno(), 100)
    stage.check(heard == others.GREETING, f"the pipe brought {heard!r}")
    stage.say("python", f'reads from the pipe: "{heard.decode()}"')
    other.go_on()
    other.end()
    stage.check(os.read(reader.fileno(), 100) == b"", "the pipe is not at its end")
    stage.say("kernel", "the pipe is at its end: no copy of its other end is left")


def take_from_strangers(stage: Stage) -> None:
    """Receive what was sent by hand."""
    text = "from a pipe of mine"
    here, there = pair(stage)
    machine = os.uname().machine
    if machine in others.SENDMSG:
        words = there.fileno(), text, others.SENDMSG[machine]
        other = stage.perl(others.SEND_BY_HAND, others.send_by_hand, *words, inherits=[there])
    else:
        other = stage.python(others.send_by_hand, there.fileno(), text, 0, inherits=[there])
    there.close()
    other.expect("sent")
    with fds.receive(here, timeout=stage.left()) as message:
        stage.check(len(message.fds) == 1, f"{len(message.fds)} descriptors came, not 1")
        heard = os.read(message.fds[0].fileno(), 100).decode()
    other.end()
    stage.say(other, "sends a pipe by sendmsg(2), put together byte by byte")
    stage.check(heard == text, f"the pipe brought {heard!r}")
    stage.say("python", f'reads from that pipe: "{heard}"')


def lose_none_in_silence(stage: Stage) -> None:
    """Send more than the other process has room for."""
    here, there = pair(stage)
    other = stage.python(others.have_no_room, there.fileno(), 3, inherits=[there])
    there.close()
    with open(os.devnull) as null:
        for _ in range(2):
            fds.send(here, b"ten", [null] * 10, stage.left())
    stage.say("python", "sends ten descriptors, twice")
    what = other.hear()
    stage.check(what.startswith("DescriptorsLostError, RLIMIT_NOFILE: "), f"{other.name} says {what}")
    stage.say(other, "has room for three:")
    stage.say(other, what)
    other.expect("0 more open than before")
    other.expect("10")
    other.end()
    stage.say(other, "makes room, and gets the second ten")


def pass_many(stage: Stage) -> None:
    """Receive more descriptors than a message can hold."""
    here, there = pair(stage)
    other = stage.python(others.give_many, there.fileno(), _MANY, inherits=[there])
    there.close()
    with fds.receive_bundle(here, stage.left()) as message:
        files = {os.fstat(handle.fileno()).st_ino for handle in message.fds}
        stage.check(len(message.fds) == _MANY, f"{len(message.fds)} came, not {_MANY}")
        stage.check(len(files) == 1, "they are not all of the one pipe")
    other.expect("sent")
    other.end()
    stage.say(other, f"sends a bundle of {_MANY} descriptors; the kernel takes 253 at once")
    stage.say("python", f"has all {_MANY}, and closes them")


def know_the_sender(stage: Stage) -> None:
    """Ask the kernel who sent a message, and hold on to that process."""
    here, there = pair(stage)
    try:
        fds.pass_credentials(here, pidfd=True)
    except UnsupportedError:
        fds.pass_credentials(here)
    other = stage.python(others.say_hello, there.fileno(), inherits=[there])
    there.close()
    with fds.receive(here, timeout=stage.left()) as message:
        who = message.peer
        stage.check(who is not None and who.pid == other.pid, f"{who} is not process {other.pid}")
        stage.say(other, "says hello")
        stage.say("kernel", f"that was process {other.pid}, of user {os.geteuid()}")
        pidfd = fds.Pidfd.open(other.pid) if who is None or who.pidfd is None else who.pidfd
        with pidfd:
            pidfd.send(9)
            stage.say("python", "kills it, by a descriptor that means it and no other")
            status = pidfd.wait(stage.left())
    stage.check(status == -9, f"it ended with {status}, not by the signal")
    stage.say("kernel", "it has ended, by signal 9")


STEPS = [
    Step(
        "An open file goes along",
        "A message over a Unix socket can bring descriptors. We send the end of a pipe; who gets it "
        "writes into it.",
        "The same open file, in another process; it arrives close-on-exec.",
        lend_a_pipe,
    ),
    Step(
        "From any program",
        "It is one sendmsg(2), as unix(7) describes it: no format of ours.",
        "Whoever speaks to the kernel speaks to us.",
        take_from_strangers,
    ),
    Step(
        "None is lost in silence",
        "A process can have so many files open and no more (RLIMIT_NOFILE). We send ten to one that "
        "has room for three.",
        "It is told, nothing stays open, and the next message is whole.",
        lose_none_in_silence,
    ),
    Step(
        "As many as it takes",
        "One message carries 253 descriptors at the most. A bundle is several, and arrives as one.",
        "All of them, each with an owner.",
        pass_many,
    ),
    Step(
        "Who was that?",
        "The kernel vouches for who sends each message, and gives a descriptor of that process.",
        "No pid can be mistaken for another's.",
        know_the_sender,
    ),
]
