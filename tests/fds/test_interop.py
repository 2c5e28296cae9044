"""The same messages from C, from the standard library and from Perl: what one sends, the other has."""

from __future__ import annotations

import os
import platform
import socket

import pytest

import pyipc
from pyipc import fds

COUNTS = [1, 2, 253]


def bytes_of(count):
    return [bytes([place]) for place in range(count)]


@pytest.fixture
def many(pipes):
    """Many pipes: the reading ends, and the writing ones."""

    def make(count):
        return zip(*(pipes() for _ in range(count)))

    return make


# ---- C ----


@pytest.mark.parametrize("count", COUNTS)
def test_c_writes_into_the_pipes_that_we_send(pair, kind, fds_peer, many, count):
    ours, theirs = pair(kind)
    reading, writing = many(count)
    peer = fds_peer("receive", theirs)
    fds.send(ours, b"pipes from Python", writing)
    assert peer.line() == f"{count} pipes from Python"
    for end in writing:
        end.close()
    assert [end.read(1) for end in reading] == [None] * count  # open over there, so not at their end
    peer.say("write")
    assert peer.line() == "written"
    assert [end.read(10) for end in reading] == bytes_of(count)
    assert [end.read(1) for end in reading] == [None] * count
    peer.say("close")
    assert peer.line() == "closed"
    assert [end.read(1) for end in reading] == [b""] * count
    assert peer.end() == 0


@pytest.mark.parametrize("count", COUNTS)
def test_we_write_into_the_pipes_that_c_sends(pair, kind, fds_peer, count):
    ours, theirs = pair(kind)
    peer = fds_peer("send", theirs, count)
    assert peer.line() == "sent"
    message = fds.receive(ours, timeout=20)
    assert message.data == f"{count} pipes from C".encode()
    assert len(message.fds) == count
    for handle, byte in zip(message.fds, bytes_of(count)):
        assert not os.get_inheritable(handle.fileno())
        assert os.write(handle.fileno(), byte) == 1
    peer.say("look")
    assert peer.line() == f"{count} 0"
    twin = message.fds[0].dup()
    message.close()
    peer.say("look")
    assert peer.line() == f"{count} {count - 1}"  # of one there is a copy
    twin.close()
    peer.say("look")
    assert peer.line() == f"{count} {count}"
    peer.kill()
    peer.end()


# ---- the standard library ----


def receive_by_the_standard_library(say, hear, sock):
    import os
    import socket

    data, numbers, flags, _ = socket.recv_fds(sock, 1000, 253)
    say((data, len(numbers), bool(flags & socket.MSG_CTRUNC)))
    hear()
    for place, number in enumerate(numbers):
        os.write(number, bytes([place]))
        os.close(number)
    say("closed")


@pytest.mark.parametrize("count", COUNTS)
def test_recv_fds_receives_what_we_send(pair, kind, partner, many, count):
    ours, theirs = pair(kind)
    reading, writing = many(count)
    other = partner(receive_by_the_standard_library, theirs)
    fds.send(ours, b"for recv_fds", writing)
    for end in writing:
        end.close()
    assert other.hear() == (b"for recv_fds", count, False)
    assert [end.read(1) for end in reading] == [None] * count
    other.say("write")
    assert other.hear() == "closed"
    assert [end.read() for end in reading] == bytes_of(count)
    assert other.end() == 0


def send_by_the_standard_library(say, hear, sock, count):
    import os
    import socket

    pipes = [os.pipe() for _ in range(count)]
    socket.send_fds(sock, [b"from ", b"send_fds"], [writing for _, writing in pipes])
    for _, writing in pipes:
        os.close(writing)
    say("sent")
    got = [os.read(reading, 10) for reading, _ in pipes]
    ends = [os.read(reading, 10) for reading, _ in pipes]  # waits until the last copy is closed
    say((b"".join(got), b"".join(ends)))


@pytest.mark.parametrize("count", COUNTS)
def test_we_receive_what_send_fds_sends(pair, kind, partner, count):
    ours, theirs = pair(kind)
    other = partner(send_by_the_standard_library, theirs, count)
    assert other.hear() == "sent"
    with fds.receive(ours, timeout=20) as message:
        assert (message.data, len(message.fds)) == (b"from send_fds", count)
        for handle, byte in zip(message.fds, bytes_of(count)):
            os.write(handle.fileno(), byte)
    assert other.hear() == (bytes(range(count)), b"")
    assert other.end() == 0


def test_send_fds_on_a_stream_loses_nothing_beside_our_messages(pair):
    ours, theirs = pair("stream")
    fds.send(ours, b"ours", [0])
    socket.send_fds(ours, [b"theirs"], [0, 0])
    fds.send(ours, b"ours again")
    data, counts = b"", []
    while len(data) < 20:
        with fds.receive(theirs, timeout=0) as message:
            data += message.data
            counts += [len(message.fds)] * bool(message.fds)
    assert (data, counts) == (b"ourstheirsours again", [1, 2])


# ---- multiprocessing ----


def receive_by_multiprocessing(say, hear, sock, count):
    import os
    from multiprocessing import reduction

    numbers = reduction.recvfds(sock, count)
    for place, number in enumerate(numbers):
        os.write(number, bytes([place]))
    say(len(numbers))
    hear()


def send_by_multiprocessing(say, hear, sock, count):
    import os
    from multiprocessing import reduction

    pipes = [os.pipe() for _ in range(count)]
    reduction.sendfds(sock, [writing for _, writing in pipes])
    say("sent")
    for _, writing in pipes:
        os.close(writing)
    say(b"".join(os.read(reading, 10) for reading, _ in pipes))


@pytest.mark.parametrize("count", [1, 2, 250])
def test_multiprocessing_receives_what_we_send(pair, partner, many, count):
    ours, theirs = pair("stream")
    reading, writing = many(count)
    other = partner(receive_by_multiprocessing, theirs, count)
    fds.send(ours, bytes([count]), writing)  # it wants their number, in a byte
    assert other.hear() == count
    assert [end.read(10) for end in reading] == bytes_of(count)
    other.say("end")
    assert other.end() == 0


@pytest.mark.parametrize("count", [1, 2, 250])
def test_we_receive_what_multiprocessing_sends(pair, partner, count):
    ours, theirs = pair("stream")
    other = partner(send_by_multiprocessing, theirs, count)
    with fds.receive(ours, timeout=20) as message:
        assert (message.data, len(message.fds)) == (bytes([count]), count)
        assert other.hear() == "sent"
        for handle, byte in zip(message.fds, bytes_of(count)):
            os.write(handle.fileno(), byte)
    assert other.hear() == bytes(range(count))
    assert other.end() == 0


# ---- Perl, which has the system calls and no more ----

CALLS = {"x86_64": (46, 47), "aarch64": (211, 212)}.get(platform.machine())

# struct msghdr of one struct iovec, and SCM_RIGHTS of one descriptor.
HEAD = """
    my ($call, $sock) = ($ARGV[0] + 0, $ARGV[1] + 0);
    my $part = pack("P L!", $data, length $data);
    my $head = pack("P L x4 P L! P L! i x4", undef, 0, $part, 1, $control, length $control, 0);
"""
SEND = f"""
    my $data = "from Perl";
    pipe(my $reading, my $writing) || die $!;
    my $control = pack("L! i i i x4", 20, 1, 1, fileno $writing);
    {HEAD}
    syscall($call, $sock, $head, 0) == length $data || die $!;
    close $writing; print "sent\\n";
    print scalar(<$reading>) . "end\\n"
"""
RECEIVE = f"""
    my $data = "\\0" x 100;
    my $control = "\\0" x 24;
    {HEAD}
    my $got = syscall($call, $sock, $head, 0);
    $got > 0 || die $!;
    my (undef, $level, $type, $number) = unpack("L! i i i", $control);
    print substr($data, 0, $got), " $level $type\\n";
    open(my $writing, ">&=", $number) || die $!;
    print $writing "from Perl"; close $writing; print "closed\\n"
"""


@pytest.fixture
def perl_peer(process, perl):
    """Run a Perl program with a number of a system call, and a socket that is its own from now on."""
    if CALLS is None:
        pytest.skip("the numbers of the system calls are not known here")

    def start(program, call, sock):
        with sock:
            words = ["perl", "-w", "-Mstrict", "-e", f"$| = 1; {program}", str(call), str(sock.fileno())]
            return process(words, pass_fds=[sock.fileno()])

    return start


def test_perl_writes_into_the_pipe_that_we_send(pair, kind, perl_peer, pipes):
    ours, theirs = pair(kind)
    reading, writing = pipes()
    other = perl_peer(RECEIVE, CALLS[1], theirs)
    fds.send(ours, b"for Perl", [writing])
    writing.close()
    assert other.line() == f"for Perl {socket.SOL_SOCKET} {socket.SCM_RIGHTS}"
    assert other.line() == "closed"
    assert reading.read() == b"from Perl"
    assert other.end() == 0


def test_we_write_into_the_pipe_that_perl_sends(pair, kind, perl_peer):
    ours, theirs = pair(kind)
    other = perl_peer(SEND, CALLS[0], theirs)
    assert other.line() == "sent"
    with fds.receive(ours, timeout=20) as message:
        assert (message.data, len(message.fds)) == (b"from Perl", 1)
        os.write(message.fds[0].fileno(), b"read in Perl, to the ")
    assert other.line() == "read in Perl, to the end"
    assert other.end() == 0


def test_a_program_of_its_own_that_ends_ends_the_connection(pair, fds_peer):
    ours, theirs = pair()
    peer = fds_peer("send", theirs, 1)
    fds.receive(ours, timeout=20).close()
    peer.kill()
    peer.end()
    with pytest.raises(pyipc.PeerGoneError):
        fds.receive(ours, timeout=20)
