"""The parts that other processes play at the stop of channels; each is told the path of one."""

from __future__ import annotations

import signal

from pyipc import channels

from .second import tell, wait_for_word


def send_numbers(path: str, count: str, large: str) -> None:
    """Send so many messages, and one of so many bytes that is written where it is read."""
    with channels.connect(path, "writer") as writer:
        tell("has the writer")
        writer.send_many([b"%d" % number for number in range(int(count))])
        with writer.reserve(int(large)) as message:
            message.buf[:] = bytes([7]) * int(large)
        wait_for_word()


def send_for_ever(path: str) -> None:
    """Send numbers until killed."""
    writer = channels.connect(path, "writer")
    tell("has the writer")
    number = 0
    while True:
        writer.send(b"%d" % number)
        number += 1


def hold_a_message(path: str) -> None:
    """Receive a message, and never acknowledge it."""
    with channels.connect(path, "reader") as reader:
        tell("has the reader")
        with reader.recv(ack=True) as message:
            tell(f"has {bytes(message)!r}")
            signal.pause()
