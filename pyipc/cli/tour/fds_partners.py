"""The parts that other processes play at the stop of descriptors.

Each has a Unix socket, which it inherits, by its number.
"""

from __future__ import annotations

import os
import resource
import signal

from pyipc import DescriptorsLostError, fds

from .second import tell, wait_for_word

GREETING = b"written by another process"


def write_into(sock: str) -> None:
    """Receive the end of a pipe, and write into it."""
    with fds.Handle(int(sock)) as end, fds.receive(end) as message:
        tell(message.data.decode())
        pipe = message.fds[0].fileno()
        tell(f"{len(message.fds)} descriptor, number {pipe}, inheritable: {os.get_inheritable(pipe)}")
        os.write(pipe, GREETING)
        wait_for_word()


# The number of the system call, which differs from machine to machine.
SENDMSG = {"x86_64": 46, "aarch64": 211}

# What sendmsg(2) takes, made by hand: SOL_SOCKET is 1, SCM_RIGHTS is 1, and a control message with one
# descriptor is 20 bytes, in room for 24.
SEND_BY_HAND = r"""
my ($sock, $text, $sendmsg) = @ARGV;
pipe(my $reader, my $writer) or die "pipe: $!\n";
syswrite($writer, $text) or die "write: $!\n";
my $byte = "p";
my $part = pack("P Q", $byte, 1);
my $control = pack("Q l l l x4", 20, 1, 1, fileno $reader);
my $message = pack("Q Q P Q P Q Q", 0, 0, $part, 1, $control, 24, 0);
syscall(0 + $sendmsg, 0 + $sock, $message, 0) == 1 or die "sendmsg: $!\n";
print "sent\n";
"""


def send_by_hand(sock: str, text: str, sendmsg: str) -> None:
    """Send the end of a pipe that holds this text."""
    del sendmsg  # which only perl needs to be told
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    with fds.Handle(int(sock)) as end, fds.Handle(reader) as pipe:
        os.close(writer)
        fds.send(end, b"p", [pipe])
    tell("sent")


def have_no_room(sock: str, spare: str) -> None:
    """Receive with room for a few descriptors only, then with room for all."""
    before = len(os.listdir("/proc/self/fd"))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with fds.Handle(int(sock)) as end:
        free = [end.dup() for _ in range(int(spare))]  # the lowest numbers that are free
        room = max(handle.fileno() for handle in free) + 1
        for handle in free:
            handle.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (room, most[1]))
        try:
            fds.receive(end).close()
        except DescriptorsLostError as problem:
            resource.setrlimit(resource.RLIMIT_NOFILE, most)
            tell(f"{type(problem).__name__}, {problem.limit}: {problem.arrived} came, and are closed")
            tell(f"{len(os.listdir('/proc/self/fd')) - before} more open than before")
        with fds.receive(end) as message:
            tell(len(message.fds))


def give_many(sock: str, count: str) -> None:
    """Send that many descriptors in one go, each of them of the same pipe."""
    reader, writer = os.pipe()
    with fds.Handle(int(sock)) as end, fds.Handle(writer) as pipe:
        os.close(reader)
        fds.send_bundle(end, b"many", [pipe] * int(count))
    tell("sent")


def say_hello(sock: str) -> None:
    """Send a message, and wait for whatever comes."""
    with fds.Handle(int(sock)) as end:
        fds.send(end, b"hello")
        signal.pause()
