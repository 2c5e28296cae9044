"""One question to many hosts: they are sockets of other processes on 127.0.0.0/8."""

from __future__ import annotations

import errno
import itertools
import os
import socket
import threading
import time

import pytest

from pyipc import errors, sockets
from pyipc.sockets import _names, queries

pytestmark = pytest.mark.timeout(60)

PATIENCE = 20  # seconds that no query takes here, however busy the machine is


@pytest.fixture
def closed_port():
    """A port of 127.0.0.1 that nobody is given."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def silent():
    """A port of all of 127.0.0.0/8 at which nobody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("0.0.0.0", 0))
        yield one.getsockname()[1]


def servers(say, hear):
    """Sockets at addresses that are said; then what to wait for and what to send, until None."""
    import socket

    found = []
    for family, host in hear():
        found.append(socket.socket(family, socket.SOCK_DGRAM))
        found[-1].settimeout(20)
        found[-1].bind((host, 0))
    say([one.getsockname()[1] for one in found])
    clients = {}
    while True:
        order = hear()
        if order is None:
            return
        wanted, answers = order
        requests = []
        for place in wanted:
            data, clients[place] = found[place].recvfrom(65535)
            requests.append(data)
        for place, data, to in answers:
            found[place].sendto(data, clients[to])
        say(requests)


@pytest.fixture
def hosts(child):
    """Start other hosts; gives them, and their addresses."""

    def start(*names, family=socket.AF_INET):
        them = child(servers)
        them.say([(int(family), name) for name in names])
        shown = [f"[{name}]" if ":" in name else name for name in names]
        return them, [f"udp://{name}:{port}" for name, port in zip(shown, them.hear())]

    return start


def ended(them):
    them.say(None)
    assert them.end() == 0


# ---- answers ----


def test_answers_come_in_the_order_of_their_arrival(hosts):
    them, addresses = hosts("127.0.0.1", "127.0.0.2", "127.0.0.3")
    them.say(([0, 1, 2], [(2, b"third", 2), (0, b"first", 0), (1, b"", 1)]))
    answers = list(sockets.query(addresses, b"who", PATIENCE))
    assert answers == [(addresses[2], b"third"), (addresses[0], b"first"), (addresses[1], b"")]
    assert them.hear() == [b"who"] * 3
    ended(them)


def all_at_once(say, hear, number):
    """Answers once so many have asked, each from the address that was asked (IP_PKTINFO)."""
    import socket
    import struct

    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.settimeout(20)
    one.bind(("0.0.0.0", 0))
    one.setsockopt(socket.IPPROTO_IP, 8, 1)
    say(one.getsockname()[1])
    asked = [one.recvmsg(100, 100) for _ in range(number)]
    for data, told, _, client in reversed(asked):
        ours = struct.unpack("=i4s4s", told[0][2])[2]
        source = struct.pack("=i4s4s", 0, ours, bytes(4))
        one.sendmsg([data + socket.inet_ntoa(ours).encode()], [(socket.IPPROTO_IP, 8, source)], 0, client)


def test_200_hosts_are_asked_before_any_of_them_has_answered(child):
    them = child(all_at_once, 200)
    port = them.hear()
    before = len(os.listdir("/proc/self/fd"))
    asking = sockets.query([f"udp://127.0.1.{last}:{port}" for last in range(200)], b"I am ", PATIENCE)
    assert len(os.listdir("/proc/self/fd")) == before  # nothing yet
    answers = [next(asking)]
    assert len(os.listdir("/proc/self/fd")) == before + 1
    answers += asking
    assert sorted(answers) == sorted(
        (f"udp://127.0.1.{last}:{port}", f"I am 127.0.1.{last}".encode()) for last in range(200)
    )
    assert them.end() == 0


@pytest.mark.needs_ipv6
def test_ipv6(hosts, closed_port):
    them, addresses = hosts("::1", "::1", family=socket.AF_INET6)
    them.say(([0, 1], [(0, b"a", 0), (1, b"b" * 5000, 1)]))
    refusing = f"udp://[::1]:{closed_port}"
    before = len(os.listdir("/proc/self/fd"))
    asking = sockets.query([*addresses, refusing], b"q" * 3000, PATIENCE)
    answers = dict([next(asking)])
    assert len(os.listdir("/proc/self/fd")) == before + 1
    answers.update(asking)
    assert isinstance(answers.pop(refusing), errors.PeerGoneError)
    assert answers == {addresses[0]: b"a", addresses[1]: b"b" * 5000}
    assert them.hear() == [b"q" * 3000] * 2
    ended(them)


@pytest.mark.needs_ipv6
def test_ipv4_by_ipv6(hosts, closed_port):
    them, (address,) = hosts("127.0.0.1")
    them.say(([0], [(0, b"a", 0)]))
    mapped = address.replace("127.0.0.1", "[::ffff:127.0.0.1]")
    refusing = f"udp://[::ffff:127.0.0.1]:{closed_port}"
    answers = dict(sockets.query([refusing, mapped], b"q", PATIENCE))
    assert answers[mapped] == b"a"
    assert isinstance(answers[refusing], errors.PeerGoneError)
    ended(them)


def test_one_host_by_several_names_is_asked_once(hosts):
    them, (address, other) = hosts("127.0.0.1", "127.0.0.1")
    port = address.rpartition(":")[2]
    names = [address, f"udp://127.1:{port}", f"udp://localhost:{port}"]
    them.say(([0, 1], [(0, b"once", 0), (1, b"other", 1)]))
    asked = [names[0], other, *names, *names]
    answers = list(sockets.query(asked, b"q", PATIENCE))
    assert sorted(answers) == sorted([*((name, b"once") for name in names), (other, b"other")])
    them.say(([0], []))  # nobody has asked a second time: the next is another query
    list(sockets.query([address], b"again", 0))
    assert [them.hear(), them.hear()] == [[b"q", b"q"], [b"again"]]
    ended(them)


def test_who_turns_out_to_be_one_that_has_answered_is_not_asked_again(hosts, monkeypatch):
    them, (address, other) = hosts("127.0.0.1", "127.0.0.2")
    answered = threading.Event()

    def resolve(*_):
        answered.wait(20)
        return [(socket.AF_INET, ("127.0.0.1", int(address.rpartition(":")[2])))]

    monkeypatch.setattr(_names, "resolve", resolve)
    them.say(([0], [(0, b"a", 0)]))
    asking = sockets.query([address, "udp://late:7", other], b"q", PATIENCE)
    assert next(asking) == (address, b"a")
    answered.set()
    assert next(asking) == ("udp://late:7", b"a")
    them.hear()
    them.say(([1], [(1, b"b", 1)]))
    assert list(asking) == [(other, b"b")]
    them.hear()
    ended(them)


# ---- what is lost ----


def loses(say, hear, losses):
    """Answers the request after so many, and counts all there are until it is told to end."""
    import select
    import socket
    import sys
    import time

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        say(one.getsockname()[1])
        came = []
        while one in select.select([one, sys.stdin], [], [])[0]:
            data, client = one.recvfrom(100)
            came.append(time.monotonic())
            if len(came) == losses + 1:
                one.sendto(data, client)
        say(came)


@pytest.mark.parametrize("losses", [0, 1, 3])
def test_who_is_silent_is_asked_again_after_twice_as_long(child, hosts, losses):
    them = child(loses, losses)
    address = f"udp://127.0.0.1:{them.hear()}"
    assert list(sockets.query([address], b"q", PATIENCE, resend=0.05)) == [(address, b"q")]
    them.say()
    came = them.hear()
    pauses = [after - before for before, after in zip(came, came[1:])]
    assert len(pauses) >= losses  # more if the machine was busy
    assert sum(pauses[:losses]) >= 0.05 * (2**losses - 1) / 2  # they may be seen late
    assert them.end() == 0


def test_unless_told_to_it_asks_once(child):
    them = child(loses, 1)
    address = f"udp://127.0.0.1:{them.hear()}"
    [(_, answer)] = sockets.query([address], b"q", 0.3)
    assert isinstance(answer, errors.TimedOutError)
    them.say()
    assert len(them.hear()) == 1
    assert them.end() == 0


def test_to_ask_again_does_not_move_the_deadline(child, hosts, closed_port):
    them = child(loses, 1000)
    silent, refusing = f"udp://127.0.0.1:{them.hear()}", f"udp://127.0.0.1:{closed_port}"
    others, (answering,) = hosts("127.0.0.1")
    others.say(([0], [(0, b"a", 0)]))
    begun = time.monotonic()
    answers = dict(sockets.query([silent, answering, refusing], b"q", 0.4, resend=0.001))
    assert 0.4 <= time.monotonic() - begun < 10
    assert answers[answering] == b"a"
    assert isinstance(answers[refusing], errors.PeerGoneError)
    assert isinstance(answers[silent], errors.TimedOutError)
    them.say()
    assert 4 <= len(them.hear()) <= 10  # 1, 2, 4, ... ms
    others.hear()
    ended(others)
    assert them.end() == 0


# ---- what is no answer ----


def test_strangers_and_second_answers_are_ignored(hosts, silent):
    them, addresses = hosts("127.0.0.1", "127.0.0.2", "0.0.0.0", "127.0.0.3")
    elsewhere = addresses[2].replace("0.0.0.0", "127.0.0.9")  # it answers from 127.0.0.1
    nobody = f"udp://127.0.0.1:{silent}"
    stranger = [(3, b"stranger", to) for to in (0, 1)]
    them.say(([0, 1, 2], [*stranger, (0, b"a", 0), (0, b"b", 0), (2, b"c", 2), *stranger, (1, b"d", 1)]))
    answers = list(sockets.query([addresses[0], addresses[1], elsewhere, nobody], b"q", 0.5))
    assert answers[:2] == [(addresses[0], b"a"), (addresses[1], b"d")]
    for address, answer in answers[2:]:
        assert isinstance(answer, errors.TimedOutError)
        assert answer.errno == errno.ETIMEDOUT
        assert str(answer).endswith(f"Timed out: ask {address}")
    assert {address for address, _ in answers[2:]} == {elsewhere, nobody}
    them.hear()
    ended(them)


def flood(say, hear):
    """Answers all the time, from there and from elsewhere, until it is killed."""
    import socket

    here, elsewhere = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    here.bind(("127.0.0.1", 0))
    say(here.getsockname()[1])
    _, client = here.recvfrom(100)
    while True:
        here.sendto(b"answer", client)
        elsewhere.sendto(b"stranger" * 1000, client)


def test_a_flood_does_not_move_the_deadline(child, silent):
    them = child(flood)
    begun = time.monotonic()
    answering = f"udp://127.0.0.1:{them.hear()}"
    nobody = f"udp://127.0.0.1:{silent}"
    answers = dict(sockets.query([nobody, answering], b"q", 0.5))
    assert 0.5 <= time.monotonic() - begun < 10
    assert answers[answering] == b"answer"
    assert isinstance(answers[nobody], errors.TimedOutError)
    them.kill()
    them.end()


def test_who_refuses_does_not_disturb_the_others(hosts, closed_port, silent):
    them, addresses = hosts(*["127.0.0.1"] * 4)
    refusing = [f"udp://127.0.0.{last}:{closed_port}" for last in range(2, 102)]
    mixed = [*refusing[:30], addresses[0], *refusing[30:60], *addresses[1:3], *refusing[60:], addresses[3]]
    them.say(([0, 1, 2, 3], [(place, b"%d" % place, place) for place in range(4)]))
    answers = dict(sockets.query([*mixed, f"udp://127.0.0.1:{silent}"], b"q", 2))
    for address in refusing:
        assert isinstance(answers[address], errors.PeerGoneError)
        assert answers[address].errno == errno.ECONNREFUSED
        assert address in str(answers[address])
    assert [answers[address] for address in addresses] == [b"0", b"1", b"2", b"3"]
    assert them.hear() == [b"q"] * 4
    ended(them)


def test_a_refusal_of_earlier_is_told_of_at_the_next_send_which_is_repeated(hosts, closed_port):
    """The kernel gives the error of one datagram to whatever call comes next, which then has not sent."""
    them, (address,) = hosts("127.0.0.1")
    them.say(([0], [(0, b"a", 0)]))
    answers = list(sockets.query([f"udp://127.0.0.1:{closed_port}", address], b"q", PATIENCE))
    assert [type(answer) for _, answer in answers] == [errors.PeerGoneError, bytes]
    ended(them)


def test_what_cannot_be_sent(hosts, closed_port):
    them, (address,) = hosts("127.0.0.1")
    broadcast = f"udp://127.255.255.255:{closed_port}"
    (there,) = sockets.query([broadcast], b"q", PATIENCE)
    assert there[0] == broadcast
    assert isinstance(there[1], errors.AccessError)
    ((_, answer),) = sockets.query([address], bytes(65508), PATIENCE)
    assert isinstance(answer, errors.LimitError)
    assert answer.errno == errno.EMSGSIZE
    assert "65508 bytes" in str(answer)
    them.say(([0], [(0, b"a", 0)]))
    assert list(sockets.query([address], bytes(65507), PATIENCE)) == [(address, b"a")]
    assert them.hear() == [bytes(65507)]
    ended(them)


def test_answers_that_are_too_long(hosts):
    them, addresses = hosts("127.0.0.1", "127.0.0.2", "127.0.0.3")
    them.say(([0, 1, 2], [(0, b"12345", 0), (1, b"1234", 1), (2, bytes(65507), 2)]))
    answers = dict(sockets.query(addresses, bytearray(b"q"), PATIENCE, max_size=4))
    assert answers[addresses[1]] == b"1234"
    for address in addresses[0], addresses[2]:
        problem = answers[address]
        assert isinstance(problem, errors.LimitError)
        assert (problem.limit, problem.value) == ("max_size", 4)
    them.hear()
    them.say(([0], [(0, bytes(65507), 0)]))
    assert dict(sockets.query(addresses[:1], memoryview(b"q"), PATIENCE)) == {addresses[0]: bytes(65507)}
    ended(them)


# ---- time ----


def test_timeout_0_sends_and_does_not_wait(hosts, closed_port):
    them, (address,) = hosts("127.0.0.1")
    refusing = f"udp://127.0.0.1:{closed_port}"
    answers = dict(sockets.query([address, refusing, "udp://localhost:7"], b"q", 0))
    assert isinstance(answers[address], errors.WouldBlockError)
    assert isinstance(answers[refusing], errors.PeerGoneError)  # by loopback that is known at once
    assert set(answers) == {address, refusing, "udp://localhost:7"}
    them.say(([0], []))
    assert them.hear() == [b"q"]
    ended(them)


def test_timeout_none_waits(hosts, waiter, asleep, until):
    them, (address,) = hosts("127.0.0.1")
    waiting = waiter(lambda: list(sockets.query([address], b"q", None)))
    until(lambda: asleep(os.getpid(), waiting.native_id))
    them.say(([0], [(0, b"a", 0)]))
    waiting.join(PATIENCE)
    assert waiting.outcome == [(address, b"a")]
    ended(them)


def test_what_came_in_time_counts_though_our_caller_took_longer(hosts, silent, until):
    them, addresses = hosts("127.0.0.1", "127.0.0.2")
    nobody = f"udp://127.0.0.1:{silent}"
    them.say(([0, 1], [(0, b"a", 0)]))
    asking = sockets.query([*addresses, nobody], b"q", 0.5)
    assert next(asking) == (addresses[0], b"a")
    them.hear()
    them.say(([], [(1, b"b", 1)]))
    them.hear()
    over = time.monotonic() + 0.5
    until(lambda: time.monotonic() > over)
    assert next(asking) == (addresses[1], b"b")
    ((_, answer),) = asking
    assert isinstance(answer, errors.TimedOutError)
    ended(them)


def test_signals_are_handled_meanwhile(silent, handling):
    import signal

    heard = []
    handling(signal.SIGALRM, lambda *_: heard.append(time.monotonic()))
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    begun = time.monotonic()
    ((_, answer),) = sockets.query([f"udp://127.0.0.1:{silent}"], b"q", 0.4)
    assert isinstance(answer, errors.TimedOutError)
    assert 0.4 <= time.monotonic() - begun < 10
    assert len(heard) >= 3


# ---- names ----


def test_names_of_hosts_and_services(hosts):
    them, (address,) = hosts("127.0.0.1")
    port = address.rpartition(":")[2]
    them.say(([0], [(0, b"a", 0)]))
    bad = {
        f"udp://{'x' * 70}.example:7": errors.NotFoundError,
        "udp://127.0.0.1:no-such-service": errors.NotFoundError,
        "udp://localhost:no-such-service": errors.NotFoundError,
    }
    answers = dict(sockets.query([f"udp://localhost:{port}", *bad], b"q", PATIENCE))
    # localhost may be ::1 first, where nobody is: then it refuses, and 127.0.0.1 is asked.
    assert answers.pop(f"udp://localhost:{port}") == b"a"
    assert {address: type(answer) for address, answer in answers.items()} == bad
    ended(them)


def test_the_next_address_of_a_host_that_refuses(hosts, closed_port, monkeypatch):
    them, (address,) = hosts("127.0.0.1")
    port = int(address.rpartition(":")[2])
    addresses = {
        "two": [("127.0.0.2", closed_port), ("127.0.0.3", closed_port), ("127.0.0.1", port)],
        "none": [("127.0.0.2", closed_port), ("127.0.0.4", closed_port)],
        "forbidden": [("127.0.0.2", closed_port), ("127.255.255.255", closed_port)],
    }
    monkeypatch.setattr(
        _names, "resolve", lambda host, *_: [(socket.AF_INET, where) for where in addresses[host]]
    )
    them.say(([0], [(0, b"a", 0)]))
    answers = dict(sockets.query([f"udp://{name}:7" for name in addresses], b"q", PATIENCE))
    assert answers["udp://two:7"] == b"a"
    assert isinstance(answers["udp://none:7"], errors.PeerGoneError)
    assert isinstance(answers["udp://forbidden:7"], errors.AccessError)
    ended(them)


def test_many_names_are_found_side_by_side_and_late_ones_are_given_up(hosts, monkeypatch):
    them, (address,) = hosts("127.0.0.1")
    port = int(address.rpartition(":")[2])
    release, seen, most, lock = threading.Event(), [], [0], threading.Lock()

    def resolve(host, *_):
        with lock:
            seen.append(host)
            most[0] = max(most[0], len(seen))
        if host != "quick":
            release.wait(20)
        return [(socket.AF_INET, ("127.0.0.1", port))]

    monkeypatch.setattr(_names, "resolve", resolve)
    them.say(([0], [(0, b"a", 0)]))
    names = ["udp://quick:7", *(f"udp://slow{number}:7" for number in range(300))]
    asking = sockets.query(names, b"q", 1)
    try:
        assert next(asking) == ("udp://quick:7", b"a")  # and waits for nobody
        rest = dict(asking)
        assert set(rest) == set(names[1:])
        assert {type(answer) for answer in rest.values()} == {errors.TimedOutError}
        assert most[0] == _names._MOST_THREADS + 1  # the quick one's thread has taken another
    finally:
        release.set()
    ended(them)


def test_a_fault_in_the_search_is_not_swallowed(monkeypatch):
    def resolve(*_):
        raise RuntimeError("a fault")

    monkeypatch.setattr(_names, "resolve", resolve)
    with pytest.raises(RuntimeError, match="a fault"):
        list(sockets.query(["udp://localhost:7"], b"q", PATIENCE))


def test_a_system_error_in_the_search_is_that_hosts(monkeypatch, hosts):
    def resolve(*_):
        raise OSError(errno.EMFILE, "EAI_SYSTEM")

    monkeypatch.setattr(_names, "resolve", resolve)
    them, (address,) = hosts("127.0.0.1")
    them.say(([0], [(0, b"a", 0)]))
    answers = dict(sockets.query(["udp://localhost:7", address], b"q", PATIENCE))
    assert isinstance(answers["udp://localhost:7"], errors.LimitError)
    assert answers[address] == b"a"
    ended(them)


# ---- what it takes ----


def test_closed_early_it_leaves_nothing_open(hosts, monkeypatch):
    them, addresses = hosts("127.0.0.1", "127.0.0.2")
    release, searching = threading.Event(), threading.Event()

    def resolve(*_):
        searching.set()
        release.wait(20)
        return [(socket.AF_INET, ("127.0.0.1", 9))]

    monkeypatch.setattr(_names, "resolve", resolve)
    before = os.listdir("/proc/self/fd")
    asking = sockets.query([*addresses, "udp://slow:7"], b"q", PATIENCE)
    them.say(([0, 1], [(1, b"b", 1)]))
    assert next(asking) == (addresses[1], b"b")
    assert searching.wait(20)
    assert len(os.listdir("/proc/self/fd")) == len(before) + 3  # the socket, and a pipe for names
    asking.close()
    assert os.listdir("/proc/self/fd") == before
    release.set()
    sockets.query(addresses, b"q")  # that is never asked
    ended(them)


def many(say, hear):
    import os
    import resource

    from pyipc import errors, sockets

    resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
    with sockets.bind("udp://0.0.0.0:0") as silent:
        port = sockets.address_of(silent).rpartition(":")[2]
        addresses = [f"udp://127.1.{number >> 8}.{number & 255}:{port}" for number in range(5000)]
        answers = dict(sockets.query(addresses, b"q", 2))
        say([len(answers), {type(answer) is errors.TimedOutError for answer in answers.values()}])
    answers = dict(sockets.query(addresses, b"q", 20))
    say([len(answers), {type(answer) is errors.PeerGoneError for answer in answers.values()}])
    while True:
        try:
            os.dup(0)
        except OSError:
            break
    try:
        list(sockets.query(addresses, b"q", 20))
    except errors.LimitError as problem:
        say((problem.limit, problem.value))


def test_5000_hosts_with_30_descriptors(child):
    them = child(many, measured=False)
    assert them.hear() == [5000, {True}]
    assert them.hear() == [5000, {True}]  # each of them refused, and each is told apart
    assert them.hear() == ("RLIMIT_NOFILE", 30)
    assert them.end() == 0


def test_long_requests(hosts):
    names = [f"127.0.0.{last}" for last in range(1, 21)]
    them, addresses = hosts(*names)
    everyone = list(range(len(names)))
    them.say((everyone, [(place, b"%d" % place, place) for place in everyone]))
    answers = dict(sockets.query(addresses, bytes(60000), PATIENCE))
    assert answers == {address: b"%d" % place for place, address in enumerate(addresses)}
    assert them.hear() == [bytes(60000)] * len(names)
    ended(them)


class Full(socket.socket):
    """Whose buffer is full, three times, as loopback never makes it."""

    times = 3

    def sendto(self, *arguments):
        Full.times -= 1
        if Full.times >= 0:
            raise BlockingIOError(errno.EAGAIN, "full")
        return super().sendto(*arguments)


def test_a_full_buffer_is_waited_for(hosts, monkeypatch):
    them, addresses = hosts("127.0.0.1", "127.0.0.2")
    monkeypatch.setattr(queries, "socket", Full)
    them.say(([0, 1], [(0, b"a", 0), (1, b"b", 1)]))
    assert dict(sockets.query(addresses, b"q", PATIENCE)) == dict(zip(addresses, [b"a", b"b"]))
    assert Full.times < 0
    ended(them)


def test_a_device_without_room_is_tried_again(hosts, monkeypatch):
    """ENOBUFS, which loopback never says."""
    them, addresses = hosts("127.0.0.1", "127.0.0.2")
    refusals = itertools.chain([errno.ENOBUFS] * 3, itertools.repeat(0))
    send = queries._Asking._send_to
    monkeypatch.setattr(queries._Asking, "_send_to", lambda *args: next(refusals) or send(*args))
    them.say(([0, 1], [(0, b"a", 0), (1, b"b", 1)]))
    assert dict(sockets.query(addresses, b"q", PATIENCE)) == dict(zip(addresses, [b"a", b"b"]))
    ended(them)


def test_nobody_is_asked():
    assert list(sockets.query([], b"q")) == []


@pytest.mark.parametrize(
    ("arguments", "options", "kind"),
    [
        (("udp://127.0.0.1:7", b"q"), {}, TypeError),
        ((b"udp://127.0.0.1:7", b"q"), {}, TypeError),
        (([7], b"q"), {}, TypeError),
        ((["tcp://127.0.0.1:7"], b"q"), {}, ValueError),
        ((["udp://:7"], b"q"), {}, ValueError),
        ((["udp://127.0.0.1:0"], b"q"), {}, ValueError),
        ((["udp://127.0.0.1"], b"q"), {}, ValueError),
        ((["udp://127.0.0.1:7"], "q"), {}, TypeError),
        ((["udp://127.0.0.1:7"], 5), {}, TypeError),
        ((["udp://127.0.0.1:7"], b"q", -1), {}, ValueError),
        ((["udp://127.0.0.1:7"], b"q", float("nan")), {}, ValueError),
        ((["udp://127.0.0.1:7"], b"q", "1"), {}, TypeError),
        ((["udp://127.0.0.1:7"], b"q"), {"max_size": 0}, ValueError),
        ((["udp://127.0.0.1:7"], b"q"), {"max_size": 65536}, ValueError),
        ((["udp://127.0.0.1:7"], b"q"), {"max_size": 1.5}, ValueError),
        ((["udp://127.0.0.1:7"], b"q"), {"resend": 0}, ValueError),
        ((["udp://127.0.0.1:7"], b"q"), {"resend": -1}, ValueError),
        ((["udp://127.0.0.1:7"], b"q"), {"resend": float("nan")}, ValueError),
        ((["udp://127.0.0.1:7"], b"q"), {"resend": "1"}, TypeError),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, options, kind):
    with pytest.raises(kind):
        sockets.query(*arguments, **options)
