"""perlipc's programs of sockets, each against Perl's own counterpart, on loopback."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

import pyipc
from pyipc import sockets

EXAMPLES = Path(__file__).parents[2] / "docs" / "cookbook" / "sockets"

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are in the repository"),
]

# The originals, told again: no more changed than lets them run on a port that the kernel chooses.
PERL_CLIENT = r"""
use Socket;
my ($host, $port) = @ARGV;
my $to = $port ? sockaddr_in($port, inet_aton($host)) : sockaddr_un($host);
socket(my $sock, $port ? PF_INET : PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
connect($sock, $to) or die "connect: $!";
while (my $line = <$sock>) { print $line }
close $sock or die "close: $!";
"""
PERL_SERVER = r"""
use Socket; $| = 1;
my ($path) = @ARGV;
socket(my $server, $path ? PF_UNIX : PF_INET, SOCK_STREAM, 0) or die "socket: $!";
bind($server, $path ? sockaddr_un($path) : sockaddr_in(0, INADDR_LOOPBACK)) or die "bind: $!";
listen($server, SOMAXCONN) or die "listen: $!";
print $path ? "listens" : (sockaddr_in(getsockname $server))[0], "\n";
while (my $from = accept(my $client, $server)) {
    my $pid = fork // die "fork: $!";
    unless ($pid) {
        open STDOUT, ">&", $client or die "dup: $!";
        exec "echo", "Hello there, it's now", scalar localtime;
    }
    close $client;
    waitpid $pid, 0;
}
"""
PERL_TIME = r"""
use Socket; $| = 1;
socket(my $server, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
bind($server, sockaddr_in(0, INADDR_LOOPBACK)) or die "bind: $!";
listen($server, SOMAXCONN) or die "listen: $!";
print((sockaddr_in(getsockname $server))[0], "\n");
while (accept(my $client, $server)) { print $client pack "N", time + 2208988800 + 100; close $client }
"""
PERL_TIME_CLIENT = r"""
use Socket;
socket(my $sock, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
connect($sock, sockaddr_in($ARGV[0], INADDR_LOOPBACK)) or die "connect: $!";
read($sock, my $time, 4);
printf "%d\n", unpack("N", $time) - 2208988800 - time;
"""
ENVIRONMENT = {**os.environ, "PYIPC_BACKEND": pyipc.backend(), "LC_ALL": "C"}
HELLO = r"Hello there, .*it's now \w+ \w+ +\d+ \d\d:\d\d:\d\d \d{4}"


@pytest.fixture
def place():
    """A directory whose path is short."""
    place = tempfile.mkdtemp(prefix="pyipc-")
    yield place
    shutil.rmtree(place)


def words(name, *arguments):
    return [sys.executable, "-X", "dev", "-W", "error", str(EXAMPLES / name), *map(str, arguments)]


def run(name, *arguments):
    return subprocess.run(
        words(name, *arguments), env=ENVIRONMENT, capture_output=True, text=True, timeout=40, check=False
    )


def perl_client(*where):
    if not shutil.which("perl"):
        pytest.skip("perl is not installed")
    done = subprocess.run(
        ["perl", "-w", "-e", PERL_CLIENT, *map(str, where)], capture_output=True, text=True, timeout=40
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def example(process):
    """Start a server; it, and where it listens."""

    def start(name, *arguments):
        server = process(words(name, *arguments), env=ENVIRONMENT)
        line = server.line()
        assert line.startswith("listens at ")
        return server, line[11:]

    return start


def port_of(address):
    return address.rpartition(":")[2]


def ends_by_sigterm(server):
    server.kill(signal.SIGTERM)
    return server.end() == 0


# ---- TCP ----


def test_the_client_prints_what_the_server_of_perl_says(perl):
    port = perl(PERL_SERVER).line()
    done = run("tcp_client.py", "localhost", port)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(HELLO + "\n", done.stdout)
    assert done.stdout[:20] == perl_client("127.0.0.1", port)[:20]


def test_a_client_of_nobody_says_so():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        done = run("tcp_client.py", "127.0.0.1", sock.getsockname()[1])
    assert done.returncode == 1
    assert "refused" in done.stderr
    assert "Traceback" not in done.stderr
    assert "No such file" in run("tcp_client.py", "127.0.0.1", "no-such-service").stderr


@pytest.mark.parametrize("server", ["tcp_server.py", "tcp_forking_server.py"])
def test_the_servers_greet_who_comes(example, server):
    running, address = example(server, "tcp://127.0.0.1:0")
    ours = run("tcp_client.py", "127.0.0.1", port_of(address))
    assert (ours.returncode, ours.stderr) == (0, "")
    for text in ours.stdout, perl_client("127.0.0.1", port_of(address)):
        assert re.match(HELLO, text)
    assert re.match(r"\w+ \w+ .*: tcp://127\.0\.0\.1:\d+: (greeted|served)", running.line())
    assert ends_by_sigterm(running)


def test_the_forking_server_serves_a_program(example):
    running, address = example(
        "tcp_forking_server.py", "tcp://127.0.0.1:0", "sh", "-c", "read x; echo got $x"
    )
    with sockets.Stream(sockets.connect(address, 20), 20) as slow:
        with sockets.Stream(sockets.connect(address, 20), 20) as stream:
            stream.write(b"that\n")
            assert stream.read_all(100) == b"got that\n"
        slow.write(b"this\n")
        assert slow.read_all(100) == b"got this\n"
    assert ends_by_sigterm(running)


def test_a_program_that_is_not_there_costs_that_client_only(example):
    running, address = example("tcp_forking_server.py", "tcp://127.0.0.1:0", "/no/such/fortune")
    for _ in range(2):
        with sockets.Stream(sockets.connect(address, 20), 20) as stream:
            assert stream.read_all(100) == b""
        assert "/no/such/fortune" in running.line()
    assert ends_by_sigterm(running)


# ---- the time ----


def test_the_time_of_ours_and_of_perl(example, perl):
    running, address = example("time_server.py", "tcp://127.0.0.1:0")
    done = run("time_client.py", port_of(address), "127.0.0.1", "localhost")
    assert (done.returncode, done.stderr) == (0, "")
    here, *others = done.stdout.splitlines()
    assert re.fullmatch(r"localhost +0 \w+ \w+ +\d+ [\d:]+ \d{4}", here)
    assert len(others) == 2
    for line in others:
        assert abs(int(line[24:33])) <= 1
    client = perl(PERL_TIME_CLIENT, port_of(address))
    assert abs(int(client.line())) <= 1
    assert ends_by_sigterm(running)
    theirs = perl(PERL_TIME).line()
    (_, line) = run("time_client.py", theirs, "127.0.0.1").stdout.splitlines()
    assert 98 <= int(line[24:33]) <= 101


def answering(data):
    """A server that says this to one client."""
    listener = sockets.listen("tcp://127.0.0.1:0")

    def serve():
        with listener:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread, port_of(listener.address)


def test_an_answer_that_is_too_short_and_hosts_that_do_not_answer():
    thread, port = answering(b"\1\2\3")
    done = run("time_client.py", port, "127.0.0.1", "127.0.0.1")
    thread.join()
    assert (done.returncode, done.stderr) == (1, "")
    _, short, gone = done.stdout.splitlines()
    assert "of which 3 came" in short
    assert "refused" in gone
    assert run("time_client.py").returncode == 1


def test_a_clock_past_2036():
    """The 32 bits begin again; who is a little ahead of us, or behind, still is."""
    ahead = (int(time.time()) + 2_208_988_800 + 3600) % 2**32
    for offset, wanted in (0, 3600), (-7200, -3600):
        thread, port = answering(struct.pack(">I", (ahead + offset) % 2**32))
        line = run("time_client.py", port, "127.0.0.1").stdout.splitlines()[1]
        thread.join()
        assert abs(int(line[24:33]) - wanted) <= 20


# ---- Unix ----


def test_catsock(example, place):
    path = f"{place}/catsock"
    running, address = example("unix_server.py", path)
    assert address == f"unix:{path}"
    done = run("unix_client.py", path)
    assert (done.returncode, done.stderr) == (0, "")
    for text in done.stdout, perl_client(path):
        assert re.match(HELLO, text)
    second = run("unix_server.py", path)
    assert (second.returncode, second.stdout) == (1, "")
    assert "File exists" in second.stderr
    assert run("unix_client.py", path).returncode == 0
    running.kill()
    running.end()
    assert os.listdir(place) == ["catsock"]
    third, _ = example("unix_server.py", path)
    assert run("unix_client.py", path).returncode == 0
    assert ends_by_sigterm(third)
    assert os.listdir(place) == []
    gone = run("unix_client.py", path)
    assert (gone.returncode, gone.stdout) == (1, "")


def test_the_client_at_a_path_of_perls(perl, place):
    assert perl(PERL_SERVER, f"{place}/catsock").line() == "listens"
    done = run("unix_client.py", f"{place}/catsock")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(HELLO + "\n", done.stdout)
