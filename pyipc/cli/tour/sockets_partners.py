"""The parts that other processes play at the stop of sockets."""

from __future__ import annotations

import os
import signal

from pyipc import PeerGoneError, sockets, wait

from .second import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

ASK_THRICE = r"""
use Socket;
socket(my $server, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
connect($server, sockaddr_in($ARGV[0], INADDR_LOOPBACK)) or die "connect: $!\n";
for my $word ("one", "two", "three") {
    defined syswrite($server, "$word\n") or die "write: $!\n";
    print scalar <$server>;
}
"""


def ask_thrice(port: str) -> None:
    """Write a line and read the answer, three times."""
    with sockets.Stream(sockets.connect(f"tcp://127.0.0.1:{port}")) as server:
        for word in b"one", b"two", b"three":
            server.write(word + b"\n")
            tell(server.read_line().decode().rstrip())


def drip(address: str) -> None:
    """Write a byte now and then, until nobody reads any more."""
    from time import sleep

    with sockets.Stream(sockets.connect(address)) as server:
        try:
            while True:
                server.write(b"x")
                sleep(0.01)
        except PeerGoneError:
            tell("gone")


def hold(address: str) -> None:
    """Listen there, and do nothing else."""
    with sockets.listen(address):
        tell("listens")
        signal.pause()


def shout(connection: socket) -> None:
    """Answer each line."""
    stream = sockets.Stream(connection)
    for line in stream.lines():
        stream.write(line.upper())


def _tell_pid_and_shout(connection: socket) -> None:
    sockets.Stream(connection).write(b"%d\n" % os.getpid())
    shout(connection)


def serve_by_workers() -> None:
    """Serve by two workers, each of which says who it is, until SIGTERM."""
    with sockets.Server("tcp://127.0.0.1:0", _tell_pid_and_shout, model="prefork", concurrency=2) as server:
        tell(server.address)
        server.serve()


def serve() -> None:
    """Serve until SIGTERM."""
    with sockets.Server("tcp://127.0.0.1:0", shout) as server:
        tell(server.address)
        server.serve()


def answer_datagrams(count: str) -> None:
    """Answer what comes to each of so many ports but the last."""
    ports = [sockets.bind("udp://127.0.0.1:0") for _ in range(int(count))]
    for port in ports:
        tell(sockets.address_of(port))
    while True:
        for port in wait(ports[:-1]):
            request, who = port.recvfrom(100)
            port.sendto(request.upper(), who)
