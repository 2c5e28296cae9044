"""Clients and servers that are not ours: Perl, socat, nc, curl."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading

import pytest

from pyipc import sockets

LIMIT = 20


@pytest.fixture
def place():
    """A directory whose path is short."""
    place = tempfile.mkdtemp(prefix="pyipc-")
    yield place
    shutil.rmtree(place)


@pytest.fixture
def serving():
    """Serve with a handler in a thread; where."""
    with contextlib.ExitStack() as stack:

        def serve(address, handler, **options):
            server = stack.enter_context(sockets.Server(address, handler, **options))
            thread = threading.Thread(target=server.serve)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.stop)
            return server.address

        yield serve


def program(name):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*words, text=b""):
    done = subprocess.run(list(map(str, words)), input=text, capture_output=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shout(connection):
    stream = sockets.Stream(connection, LIMIT)
    for line in stream.lines():
        stream.write(line.upper())


def port_of(address):
    return address.rpartition(":")[2]


PERL_CLIENT = r"""
use IO::Socket::INET; use IO::Socket::UNIX;
my ($kind, $where, $lines) = @ARGV;
my $sock = $kind eq "tcp" ? IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $where)
                          : IO::Socket::UNIX->new(Peer => $where);
die "connect: $!" unless $sock;
for (1 .. $lines) {
    print $sock "line $_\n";
    my $answer = <$sock>;
    die "got $answer" unless $answer eq "LINE $_\n";
}
close $sock or die "close: $!";
print "done\n";
"""
PERL_SERVER = r"""
use IO::Socket::INET; use IO::Socket::UNIX; $| = 1;
my ($kind, $where) = @ARGV;
my $server = $kind eq "tcp" ? IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 0, Listen => 5)
                            : IO::Socket::UNIX->new(Local => $where, Listen => 5);
die "listen: $!" unless $server;
print $kind eq "tcp" ? $server->sockport : "listens", "\n";
for (1 .. 2) {
    my $client = $server->accept;
    while (my $line = <$client>) { print $client uc $line }
    close $client;
}
"""


@pytest.mark.parametrize("model", ["serial", "thread", "fork"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_client_of_perl(perl, serving, place, kind, model):
    address = serving("tcp://127.0.0.1:0" if kind == "tcp" else f"unix:{place}/sock", shout, model=model)
    where = port_of(address) if kind == "tcp" else address[5:]
    client = perl(PERL_CLIENT, kind, where, 200)
    assert client.line() == "done"
    assert client.end() == 0


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_server_of_perl(perl, place, kind):
    server = perl(PERL_SERVER, kind, f"{place}/sock")
    said = server.line()
    address = f"tcp://localhost:{said}" if kind == "tcp" else f"unix:{place}/sock"
    for _ in range(2):
        with sockets.Stream(sockets.connect(address, LIMIT), LIMIT) as stream:
            for number in range(200):
                stream.write(b"line %d\n" % number)
                assert stream.read_line() == b"LINE %d\n" % number
            stream.end_writing()
            assert stream.read() == b""
    assert server.end() == 0


def test_socat(serving, place):
    socat = program("socat")
    text = b"".join(b"line %d\n" % number for number in range(50_000))
    for given in "tcp://127.0.0.1:0", f"unix:{place}/sock", f"unix:@pyipc socat {os.getpid()}":
        address = serving(given, shout)
        there = {
            "t": f"TCP:127.0.0.1:{port_of(address)}",
            "/": f"UNIX-CONNECT:{address[5:]}",
            "@": f"ABSTRACT-CONNECT:{address[6:]}",
        }[address[5] if address.startswith("unix") else "t"]
        assert run(socat, "-t", LIMIT, "-", there, text=text) == text.upper()


def listening():
    """The paths at which somebody listens; one that is bound may not yet."""
    with open("/proc/net/unix") as lines:
        rows = [line.split() for line in lines]
    return [row[7] for row in rows if len(row) > 7 and row[3] == "00010000"]  # __SO_ACCEPTCON


def test_a_server_of_socat(process, place, until):
    socat = program("socat")
    server = process([socat, f"UNIX-LISTEN:{place}/sock", "SYSTEM:tr a-z A-Z"])
    until(lambda: f"{place}/sock" in listening())
    with sockets.Stream(sockets.connect(f"unix:{place}/sock", LIMIT), LIMIT) as stream:
        stream.write(b"from python\n")
        stream.end_writing()
        assert stream.read_all(100) == b"FROM PYTHON\n"
    assert server.end() == 0


def test_nc(serving, place):
    nc = program("nc")
    if b"-U" not in subprocess.run([nc, "-h"], capture_output=True, timeout=LIMIT).stderr:
        pytest.skip("this nc is none of OpenBSD's")
    address = serving("tcp://127.0.0.1:0", shout)
    assert run(nc, "-N", "127.0.0.1", port_of(address), text=b"a line\nno line") == b"A LINE\nNO LINE"
    serving(f"unix:{place}/sock", shout)
    assert run(nc, "-N", "-U", f"{place}/sock", text=b"a line\n") == b"A LINE\n"


def answer_http(connection):
    """As little of HTTP as curl needs."""
    stream = sockets.Stream(connection, LIMIT)
    method, path, _ = stream.read_line(8192).split()
    size = 0
    for line in stream.lines(8192):
        if line == b"\r\n":
            break
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
    body = b"%b %b %b\n" % (method, path, stream.read_exactly(size))
    stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))


@pytest.mark.parametrize("model", ["thread", "fork"])
def test_curl(serving, place, model):
    curl = program("curl")
    path = f"{place}/sock"
    serving(f"unix:{path}", answer_http, model=model)
    words = [curl, "-sS", "--noproxy", "*", "--max-time", LIMIT, "--unix-socket", path]
    assert run(*words, "http://here/a/page") == b"GET /a/page \n"
    body = b"x" * 200_000
    assert run(*words, "--data-binary", "@-", "http://here/", text=body) == b"POST / " + body + b"\n"
    address = serving("tcp://127.0.0.1:0", answer_http, model=model)
    assert run(*words[:-2], f"http://127.0.0.1:{port_of(address)}/tcp") == b"GET /tcp \n"
