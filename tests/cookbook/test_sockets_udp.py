"""perlipc's programs of UDP: each example runs as it stands, and Perl is the other side, too."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pyipc

EXAMPLES = Path(__file__).parents[2] / "docs" / "cookbook" / "sockets"
SINCE_1900 = 2208988800

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are in the repository"),
]

ENVIRONMENT = {**os.environ, "PYIPC_BACKEND": pyipc.backend(), "TZ": "UTC"}


def words(name, *arguments):
    return [sys.executable, "-X", "dev", "-W", "error", str(EXAMPLES / name), *map(str, arguments)]


def query(*hosts):
    return subprocess.run(
        words("udp_time_query.py", *hosts),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


@pytest.fixture
def server(process):
    """Our time server, at all addresses; its port."""
    them = process(words("udp_time_server.py", "udp://:0"), env=ENVIRONMENT)
    yield them.line().rpartition(":")[2]
    them.kill(signal.SIGTERM)
    assert them.end() == 0


def rows(text):
    found = {}
    for line in text.splitlines():
        host, ahead, when = re.fullmatch(r"(\S+) +(-?\d+) (.*)", line).groups()
        found[host] = int(ahead), when
    return found


def test_the_query_asks_our_server(server):
    hosts = [f"127.0.0.1:{server}", f"127.0.0.9:{server}", f"localhost:{server}"]
    begun = time.time()
    done = query(*hosts)
    assert (done.returncode, done.stderr) == (0, "")
    shown = rows(done.stdout)
    assert set(shown) == {"localhost", *hosts}
    for ahead, when in shown.values():
        assert abs(ahead) <= 1
        assert -2 <= int(time.mktime(time.strptime(when)) - time.timezone) - begun < 60
    assert done.stdout.startswith("localhost ")


# A time server that is ahead, and one that says nonsense.
PERL_SERVERS = """
use IO::Socket::INET;
my @servers = map { IO::Socket::INET->new(Proto => "udp", LocalAddr => "127.0.0.$_") } 1 .. 3;
print join(",", map { $_->sockport } @servers), "\\n";
my @answers = (pack("N", (time + 100 + 2208988800) % 2 ** 32), pack("N", 5), "nonsense");
for my $one (0 .. $#servers) {
    my $client = $servers[$one]->recv(my $question, 100) or die "recv: $!";
    $servers[$one]->send($answers[$one]) or die "send: $!";
}
"""


def test_the_query_asks_perl(perl):
    them = perl(PERL_SERVERS)
    ports = them.line().split(",")
    good, old, bad = (f"127.0.0.{last}:{port}" for last, port in enumerate(ports, 1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    unknown = f"{'x' * 70}.example"
    done = query(good, old, bad, nobody, unknown)
    assert done.returncode == 1
    assert f"{bad}: 8 bytes are no time\n" in done.stderr
    assert f"{nobody}: " in done.stderr
    assert "Connection refused" in done.stderr
    assert f"{unknown}: " in done.stderr
    shown = rows(done.stdout)
    assert set(shown) == {"localhost", good, old}
    assert 99 <= shown[good][0] <= 101
    # Five seconds into 1900, or into the time after 2036: whichever is nearer.
    assert shown[old][0] == pytest.approx((5 - SINCE_1900) % 2**32 - time.time(), abs=60)
    assert them.end() == 0


# What perlipc's client does, for hosts at one port; it says what it would show.
PERL_CLIENT = """
use Socket;
my ($port, @hosts) = @ARGV;
socket(my $out, PF_INET, SOCK_DGRAM, getprotobyname("udp")) or die "socket: $!";
my %waiting;
for my $host (@hosts) {
    my $where = sockaddr_in($port, inet_aton($host) // die "unknown: $host");
    $waiting{$where} = $host;
    defined send($out, 0, 0, $where) or die "send: $!";
}
my $give_up = time + 20;
while (%waiting and time < $give_up) {
    vec(my $ready = "", fileno $out, 1) = 1;
    select($ready, undef, undef, $give_up - time) or last;
    my $from = recv($out, my $answer, 100, 0) // die "recv: $!";
    my $host = delete $waiting{$from} // next;
    print "('$host', ", unpack("N", $answer) - 2208988800 - time, ", ", length $answer, ")\\n";
}
"""


def test_perl_asks_our_server(server, perl):
    hosts = [f"127.0.0.{last}" for last in range(1, 11)]
    them = perl(PERL_CLIENT, server, *hosts)
    answers = [them.hear() for _ in hosts]
    assert them.end() == 0
    # The answers come from the addresses that were asked, or Perl would not know them.
    assert sorted(host for host, _, _ in answers) == sorted(hosts)
    for _, ahead, size in answers:
        assert abs(ahead) <= 1
        assert size == 4
