"""Sockets for datagrams, groups and broadcasts, and the server of datagrams, between processes."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
import struct
import subprocess
import sys

import pytest

from pyipc import errors, sockets

pytestmark = pytest.mark.timeout(60)

PATIENCE = 20


def port_of(address):
    return int(address.rpartition(":")[2])


# ---- bind ----


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", pytest.param("[::1]", marks=pytest.mark.needs_ipv6)]
)
def test_bind_to_a_host(host):
    with sockets.bind(f"udp://{host}:0") as sock:
        assert type(sock) is socket.socket
        assert sock.gettimeout() is None
        assert not os.get_inheritable(sock.fileno())
        with sockets.connect(sockets.address_of(sock)) as client:
            client.send(b"there")
            data, where = sock.recvfrom(100)
            assert data == b"there"
            assert where[:2] == client.getsockname()[:2]


def test_bind_to_all_addresses(has_ipv6):
    with sockets.bind("udp://:0") as sock:
        port = port_of(sockets.address_of(sock))
        hosts = ["127.0.0.1", "127.9.9.9", *(["[::1]"] if has_ipv6 else [])]
        for host in hosts:
            with sockets.connect(f"udp://{host}:{port}") as client:
                client.send(host.encode())
                assert sock.recv(100) == host.encode()


def test_a_port_is_one_sockets():
    with sockets.bind("udp://127.0.0.1:0") as sock:
        address = sockets.address_of(sock)
        with pytest.raises(errors.AlreadyExistsError, match=address) as caught:
            sockets.bind(address)
        assert caught.value.errno == errno.EEXIST
        with pytest.raises(errors.AlreadyExistsError):
            sockets.bind(f"udp://:{port_of(address)}")
    with pytest.raises(errors.IPCError) as caught:
        sockets.bind("udp://192.0.2.77:0")  # of TEST-NET, nobody's
    assert caught.value.errno == errno.EADDRNOTAVAIL
    with pytest.raises(errors.NotFoundError):
        sockets.bind(f"udp://{'x' * 70}:0")


@pytest.mark.needs_ipv6
@pytest.mark.parametrize("make", [sockets.bind, sockets.listen])
def test_a_port_that_somebody_has_is_not_had_at_another_address_of_the_name(monkeypatch, make):
    scheme = "udp" if make is sockets.bind else "tcp"
    with make(f"{scheme}://127.0.0.1:0") as sock:
        port = port_of(sockets.address_of(sock))
        # What localhost is, is not for us to say.
        both = [(socket.AF_INET6, ("::1", port, 0, 0)), (socket.AF_INET, ("127.0.0.1", port))]
        monkeypatch.setattr(sys.modules[make.__module__], "resolve", lambda *_, **__: both)
        with pytest.raises(errors.AlreadyExistsError):
            make(f"{scheme}://both:{port}")


@pytest.mark.parametrize("make", [sockets.bind, sockets.sender])
def test_wrong_arguments(make):
    for address in "tcp://127.0.0.1:5000", "unix:/tmp/x", "127.0.0.1:5000":
        with pytest.raises(ValueError, match="address"):
            make(address)
    with pytest.raises(ValueError, match="for groups"):
        make("udp://127.0.0.1:5000", interface="lo")
    with pytest.raises(TypeError):
        make("udp://239.255.1.1:5000", interface=1)
    with pytest.raises(errors.NotFoundError, match="no interface 'nonesuch'"):
        make("udp://239.255.1.1:5000", interface="nonesuch")
    with pytest.raises(errors.NotFoundError, match="no interface"):
        make("udp://[ff02::1234]:5000", interface="2001:db8::1")
    with pytest.raises(ValueError, match="timeout"):
        make("udp://239.255.1.1:5000", timeout=-1)
    with pytest.raises(ValueError, match="IPv6 address"):
        make("udp://[ff02::1234]:5000", interface="127.0.0.1")
    with pytest.raises(ValueError, match="to be named"):
        make("udp://[ff02::1234]:5000")


def test_wrong_hops():
    for hops in -1, 256, 1.5, "1":
        with pytest.raises(ValueError, match=r"0\.\.255"):
            sockets.sender("udp://239.255.1.1:5000", hops=hops)


# ---- groups and broadcasts ----


def member(say, hear, address, interface):
    """Says what comes for the group, each time that it is asked."""
    from pyipc import sockets

    with sockets.bind(address, interface=interface) as sock:
        sock.settimeout(20)
        say(sockets.address_of(sock))
        while hear() is not None:
            say(sock.recv(100))


def a_group():
    """Of those of one organisation (RFC 2365), so that suites that run beside each other have their own."""
    return f"239.255.{random.randrange(256)}.{random.randrange(1, 255)}"


@pytest.fixture
def group():
    """A group of IPv4, if the kernel lets us join one on the loopback interface."""
    group = a_group()
    try:
        with sockets.bind(f"udp://{group}:0", interface="lo"):
            pass
        with sockets.sender(f"udp://{group}:5", interface="lo"):
            pass
    except OSError as problem:
        pytest.skip(f"no multicast on the loopback interface: {problem}")
    return group


@pytest.mark.parametrize("interface", ["lo", "127.0.0.1"])
def test_all_members_of_a_group_get_what_is_sent_to_it(child, group, interface):
    first = child(member, f"udp://{group}:0", interface)
    address = first.hear()
    assert address.startswith(f"udp://{group}:")
    others = [child(member, address, interface) for _ in range(2)]
    stranger = child(member, f"udp://{a_group()}:{port_of(address)}", interface)
    port = port_of(stranger.hear())
    for other in others:
        assert other.hear() == address
    with sockets.sender(address, interface=interface) as sock:
        assert type(sock) is socket.socket
        sock.send(b"news")
        for one in (first, *others):
            one.say(True)
        for one in (first, *others):
            assert one.hear() == b"news"
        # What is sent to the port and not to the group is not for its members.
        with sockets.connect(f"udp://127.0.0.1:{port}") as elsewhere:
            elsewhere.send(b"to a host")
        sock.send(b"more news")
        first.say(True)
        assert first.hear() == b"more news"
    for one in (first, *others, stranger):
        one.say(None)
        assert one.end() == 0


NETWORK = """
ip link set lo up && ip link add here type veth peer name there &&
ip link set here up && ip link set there up &&
ip addr add 10.9.9.1/24 dev here && ip -6 addr add fd00::1/64 dev here nodad && exec "$@"
"""


@pytest.fixture
def network(child):
    """Run a function in a network of its own, with an interface `here` that is no loopback interface."""
    prefix = ["unshare", "--net", "sh", "-c", NETWORK, "sh"]
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(
            "no network of our own to be had: needs unshare(1), ip(8), veth and the right to use them"
        )
    return lambda function, *arguments: child(function, *arguments, prefix=prefix)


def joins_and_sends(say, hear, host, interface):
    """What a member on this machine hears of two that are sent, of which one is not for this machine."""
    import socket

    from pyipc import sockets

    with sockets.bind(f"udp://{host}:0", interface=interface) as sock:
        sock.settimeout(20)
        address = f"udp://{host}:{sock.getsockname()[1]}"
        for loopback in False, True:
            with sockets.sender(address, interface=interface, hops=7, loopback=loopback) as out:
                out.send(b"%d" % loopback)
                level, option = socket.IPPROTO_IP, socket.IP_MULTICAST_TTL
                if out.family == socket.AF_INET6:
                    level, option = socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS
                hops = out.getsockopt(level, option)
        say((sock.recv(100), hops))


@pytest.mark.parametrize(
    ("host", "interface"),
    [
        ("239.255.7.7", "here"),
        ("239.255.7.7", "10.9.9.1"),
        ("[ff02::1234]", "here"),
        ("[ff15::1234]", "here"),
        ("[ff02::1234%here]", None),
        ("[ff02::1234]", "fd00::1"),
    ],
)
def test_members_on_this_machine_are_left_out_if_asked(network, host, interface):
    them = network(joins_and_sends, host, interface)
    assert them.hear() == (b"1", 7)
    assert them.end() == 0


def two_interfaces(say, hear):
    """Members on two interfaces of one machine, the same port: each hears what was sent by its own."""
    from pyipc import sockets

    with sockets.bind("udp://239.255.7.7:0", interface="here") as one:
        address = sockets.address_of(one)
        with sockets.bind(address, interface="lo") as other:
            for interface in "here", "lo":
                with sockets.sender(address, interface=interface) as out:
                    out.send(interface.encode())
            for sock in one, other:
                sock.settimeout(20)
                say(sock.recv(100))
                sock.setblocking(False)
                try:
                    say(sock.recv(100))
                except BlockingIOError:
                    say("no more")


def test_a_member_hears_its_own_interface_alone(network):
    them = network(two_interfaces)
    assert [them.hear() for _ in range(4)] == [b"here", "no more", b"lo", "no more"]
    assert them.end() == 0


def answers_for_a_group(say, hear, host):
    import socket
    import threading

    from pyipc import sockets

    sock = sockets.bind(f"udp://{host}:0", interface="here")
    with sockets.DatagramServer(sock, lambda data, peer: b"me") as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        with sockets.bind("udp://[::]:0") as client:
            client.settimeout(20)
            index = socket.if_nametoindex("here")
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            client.sendto(b"who", (host[1:-1], sock.getsockname()[1], 0, index))
            say(client.recvfrom(100)[0])
        server.stop()
        thread.join()


@pytest.mark.needs_ipv6
@pytest.mark.parametrize("host", ["[ff15::1234]", "[ff02::1234]"])
def test_a_group_of_ipv6_is_answered_from_an_address_of_ours(network, host):
    them = network(answers_for_a_group, host)
    assert them.hear() == b"me"
    assert them.end() == 0


def test_broadcast(child):
    one = child(member, "udp://127.255.255.255:0", None)
    address = one.hear()
    with pytest.raises(PermissionError), sockets.connect(address):
        pass  # which a socket has to be meant for
    with sockets.sender(address) as sock:
        sock.send(b"everybody")
    one.say(True)
    assert one.hear() == b"everybody"
    one.say(None)
    assert one.end() == 0


# ---- the server ----


def serve(say, hear, address, drain=1.0):
    """Answers with what came and from where; waits when it is told to; raises what it is told to."""
    import os
    import signal

    from pyipc import sockets

    def handler(data, peer):
        if data == b"term":
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
        if data == b"wait":
            say("waiting")
            hear()
        if data == b"raise":
            raise RuntimeError("a fault")
        if data == b"text":
            return "text"
        if data == b"too much":
            return bytes(65508)
        if data == b"nothing":
            return None
        return data + b" of " + peer.encode()

    def log(peer, problem):
        say((peer, type(problem).__name__, str(problem)))
        if "text" in str(problem) or isinstance(problem, TypeError):
            raise RuntimeError("a fault of the log")

    with sockets.DatagramServer(address, handler, drain=drain, log=log) as server:
        say(server.address)
        server.serve()
    say("served")


@pytest.fixture
def server(child):
    def start(address="udp://127.0.0.1:0", **options):
        them = child(serve, address, *options.values())
        return them, them.hear()

    return start


def ended(them):
    them.kill(signal.SIGTERM)
    assert them.hear() == "served"
    assert them.end() == 0


def refused(client):
    """Whether nobody is there any more, and has left no answer either."""
    client.setblocking(False)
    try:
        client.recv(100)
        return False
    except BlockingIOError:
        client.settimeout(PATIENCE)
    try:
        client.send(b"gone")
        client.recv(100)
    except ConnectionRefusedError:
        return True
    return False


def client_of(address):
    sock = sockets.connect(address)
    sock.settimeout(PATIENCE)
    return sock


def test_it_answers_and_ends_by_sigterm(server):
    them, address = server()
    with client_of(address) as client:
        ours = sockets.address_of(client).encode()
        for data in b"a", b"", bytes(40000):
            client.send(data)
            assert client.recv(65536) == data + b" of " + ours
    ended(them)


def serve_while_another_thread_is_terminated(say, hear):
    import signal
    import threading

    from pyipc import sockets

    def wait():
        hear()
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    with sockets.DatagramServer("udp://127.0.0.1:0", lambda data, peer: None) as server:
        threading.Thread(target=wait, daemon=True).start()
        say("serving")
        server.serve()
    say("served")


def test_a_sigterm_that_another_thread_gets_ends_it(child, asleep, until):
    them = child(serve_while_another_thread_is_terminated)
    assert them.hear() == "serving"
    until(lambda: asleep(them.pid))
    them.say("terminate")
    assert them.hear() == "served"
    assert them.end() == 0


@pytest.mark.parametrize(
    ("bound", "asked"),
    [
        ("udp://0.0.0.0:0", ["127.0.0.1", "127.0.0.5", "127.200.0.1"]),
        ("udp://:0", ["127.0.0.1", "127.0.0.5"]),
        pytest.param("udp://:0", ["127.0.0.7", "[::1]"], marks=pytest.mark.needs_ipv6),
        pytest.param("udp://[::]:0", ["[::1]"], marks=pytest.mark.needs_ipv6),
    ],
)
def test_answers_come_from_the_address_that_was_asked(server, bound, asked):
    them, address = server(bound)
    for host in asked:
        with client_of(f"udp://{host}:{port_of(address)}") as client:  # which takes answers of no other
            client.send(b"a")
            assert client.recv(100).startswith(b"a of udp://")
    ended(them)


def test_a_group_and_broadcasts_are_answered_from_an_address_of_ours(server, child, group):
    for host, interface in (group, "lo"), ("127.255.255.255", None):
        them = child(serve_group, f"udp://{host}:0", interface)
        address = them.hear()
        port = port_of(address)
        with sockets.bind("udp://0.0.0.0:0") as client:
            client.settimeout(PATIENCE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            index = socket.if_nametoindex("lo")
            by = struct.pack("=4s4si", bytes(4), socket.inet_aton("127.0.0.1"), index)
            client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, by)
            client.sendto(b"who is there", (host, port))
            data, where = client.recvfrom(100)
            assert data == b"me"
            assert where[1] == port
            assert where[0] != host
        them.kill(signal.SIGTERM)
        assert them.end() == 0


def serve_group(say, hear, address, interface):
    from pyipc import sockets

    sock = sockets.bind(address, interface=interface)
    with sockets.DatagramServer(sock, lambda data, peer: b"me") as server:
        say(server.address)
        server.serve()


def test_what_a_handler_raises_costs_that_datagram_alone(server):
    them, address = server()
    with client_of(address) as client:
        ours = sockets.address_of(client)
        for data, kind, text in [
            (b"raise", "RuntimeError", "a fault"),
            (b"text", "TypeError", "bytes-like"),
            (b"too much", "LimitError", f"answer {ours} with 65508 bytes"),
        ]:
            client.send(data)
            peer, name, said = them.hear()
            assert (peer, name) == (ours, kind)
            assert text in said
        client.send(b"nothing")
        client.send(b"a")
        assert client.recv(100) == f"a of {ours}".encode()
    ended(them)


def test_without_a_log_it_is_printed(process):
    import sys

    program = (
        "from pyipc import sockets\n"
        "def handler(data, peer): return data if data else 1 / 0\n"
        "with sockets.DatagramServer('udp://127.0.0.1:0', handler) as server:\n"
        "    print(server.address, flush=True)\n"
        "    server.serve()\n"
    )
    them = process([sys.executable, "-X", "dev", "-c", program], stderr=subprocess.PIPE)
    with client_of(them.line()) as client:
        ours = sockets.address_of(client)
        client.send(b"")
        client.send(b"a")
        assert client.recv(100) == b"a"
    them.kill(signal.SIGTERM)
    assert them.end() == 0
    with them._popen.stderr as errors_of_it:
        said = errors_of_it.read().decode()
    assert said.startswith(f"pyipc: a datagram from {ours}:\nTraceback")
    assert said.endswith("ZeroDivisionError: division by zero\n")


def test_garbage(server):
    them, address = server()
    with client_of(address) as client, client_of(address) as other:
        shaking = random.Random(7)
        for _ in range(300):
            other.send(shaking.randbytes(shaking.choice([0, 1, 20, 1500, 30000])))
        for _ in range(50):
            client.send(b"wanted")
            try:
                client.settimeout(0.5)
                assert client.recv(100).startswith(b"wanted of ")
                break
            except socket.timeout:  # TimeoutError, from 3.10 on
                pass  # there was no room for it in the server's buffer
        else:
            pytest.fail("no answer")
    ended(them)


def test_what_had_come_is_answered_after_a_stop(server):
    them, address = server()
    with client_of(address) as client:
        client.send(b"wait")
        assert them.hear() == "waiting"
        for number in range(100):
            client.send(b"%d" % number)
        them.kill(signal.SIGTERM)
        them.say(None)
        assert client.recv(100).startswith(b"wait of")
        for number in range(100):
            assert client.recv(100).startswith(b"%d of" % number)
        assert them.hear() == "served"
        assert them.end() == 0
        assert refused(client)


def test_a_second_stop_drops_it(server):
    them, address = server()
    with client_of(address) as client:
        for data in b"wait", b"term", b"a", b"b":
            client.send(data)
        assert them.hear() == "waiting"
        them.say(None)
        assert client.recv(100).startswith(b"wait of")
        assert client.recv(100).startswith(b"term of")
        assert them.hear() == "served"
        assert them.end() == 0
        assert refused(client)


def test_a_second_stop_while_it_drains(server):
    them, address = server()
    with client_of(address) as client:
        for data in b"wait", b"wait", b"b":
            client.send(data)
        assert them.hear() == "waiting"
        them.kill(signal.SIGTERM)
        them.say(None)
        assert them.hear() == "waiting"
        them.kill(signal.SIGTERM)
        them.say(None)
        for _ in range(2):
            assert client.recv(100).startswith(b"wait of")
        assert them.hear() == "served"
        assert them.end() == 0
        assert refused(client)


def test_without_drain_nothing_more_is_answered(server):
    them, address = server(drain=0)
    with client_of(address) as client:
        for data in b"wait", b"a":
            client.send(data)
        assert them.hear() == "waiting"
        them.kill(signal.SIGTERM)
        them.say(None)
        assert client.recv(100).startswith(b"wait of")
        assert them.hear() == "served"
        assert them.end() == 0
        assert refused(client)


def test_who_asks_all_the_time_does_not_keep_it(child, server):
    them, address = server(drain=0.2)
    asking = [child(asks_all_the_time, address) for _ in range(2)]
    for one in asking:
        assert one.hear()
    for one in asking:
        one.say("go on")
    ended(them)
    for one in asking:
        one.kill()
        one.end()


def asks_all_the_time(say, hear, address):
    import contextlib

    from pyipc import sockets

    with sockets.connect(address) as client:
        client.settimeout(20)
        client.send(b"a")
        say(client.recv(100))
        hear()
        client.setblocking(False)
        while True:
            with contextlib.suppress(OSError):
                client.send(b"a")


def test_in_a_thread(waiter):
    with sockets.DatagramServer("udp://127.0.0.1:0", lambda data, peer: data) as server:
        assert repr(server) == f"<datagram server at {server.address}>"
        serving = waiter(server.serve)
        assert dict(sockets.query([server.address], b"q", PATIENCE)) == {server.address: b"q"}
        server.stop()
        serving.join(PATIENCE)
        assert serving.outcome is None
        with pytest.raises(errors.ClosedError):
            server.serve()
    assert repr(server) == "<datagram server at nowhere: closed>"
    server.stop()
    server.close()
    with pytest.raises(errors.ClosedError):
        server.serve()


def test_what_interrupts_a_handler_ends_it(child):
    them = child(interrupted)
    with client_of(them.hear()) as client:
        client.send(b"a")
        assert them.hear() == "interrupted"
    assert them.end() == 0


def interrupted(say, hear):
    from pyipc import sockets

    def handler(data, peer):
        raise KeyboardInterrupt

    with sockets.DatagramServer("udp://127.0.0.1:0", handler) as server:
        say(server.address)
        try:
            server.serve()
        except KeyboardInterrupt:
            say("interrupted")


def test_a_full_buffer_is_waited_for(server):
    """A client that reads late: its long answers fill the server's buffer."""
    them, address = server()
    with client_of(address) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for _ in range(4):
            client.send(bytes(60000))
        answers = [client.recv(65536) for _ in range(3)]
        assert all(answer.startswith(bytes(60000)) for answer in answers)
    ended(them)


def test_wrong_arguments_of_the_server():
    with pytest.raises(TypeError, match="function"):
        sockets.DatagramServer("udp://127.0.0.1:0", b"answer")
    with pytest.raises(ValueError, match="timeout"):
        sockets.DatagramServer("udp://127.0.0.1:0", print, drain=-1)
    with pytest.raises(ValueError, match="address"):
        sockets.DatagramServer("tcp://127.0.0.1:0", print)
    for family, kind in (socket.AF_INET, socket.SOCK_STREAM), (socket.AF_UNIX, socket.SOCK_DGRAM):
        with pytest.raises(ValueError, match="not a UDP socket"):
            sockets.DatagramServer(socket.socket(family, kind), print)
