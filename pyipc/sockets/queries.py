"""One question to many hosts at once, by UDP (udp(7), ip(7))."""

from __future__ import annotations

from collections import deque
from errno import EAFNOSUPPORT, EAGAIN, EMSGSIZE, ENOBUFS, ETIMEDOUT
from heapq import heappop, heappush
from select import POLLIN, POLLOUT, poll
from socket import (
    AF_INET6,
    IPPROTO_IP,
    IPPROTO_IPV6,
    MSG_ERRQUEUE,
    SO_RCVBUF,
    SOCK_DGRAM,
    SOL_SOCKET,
    socket,
)
from struct import unpack_from
from time import monotonic_ns

from .. import _deadline
from ..errors import IPCError, error, limit_error
from ._names import Names, without_asking
from .addresses import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Optional, Union

    from .resolving import Found

    Outcome = Union[bytes, IPCError]
    Target = tuple[int, Any]

_MOST = 65535  # bytes of a datagram

# Of <linux/in.h> and <linux/in6.h>; the module `socket` has them not yet.
_IP_MTU_DISCOVER, _IP_RECVERR = 10, 11
_IPV6_MTU, _IPV6_RECVERR = 24, 25
_LEAST_MTU = 1280  # of IPv6 (RFC 8200)
_SO_EE_ORIGIN_LOCAL = 1  # <linux/errqueue.h>

_FULL = (EAGAIN, ENOBUFS)
_TRIES = 3  # for what is told before, and after, the queue of refusals was read
_BATCH = 64  # sent between two looks at what has come
_ROOM = 4096  # bytes of the receive buffer that a short answer takes, and to spare
_LONGEST_POLL = 10**6  # seconds


def query(
    addresses: Iterable[str],
    request: Any,
    timeout: float | None = 10.0,
    *,
    max_size: int = _MOST,
    resend: float | None = None,
) -> Iterator[tuple[str, Outcome]]:
    """Ask many hosts the same, by one datagram each, all at once: who answered what, in the order of arrival.

    Each address comes once, with its answer or with why there is none, so `dict(query(...))` is the whole
    result. What comes from elsewhere, a second time or too late is ignored. It all takes one descriptor of
    each family; two more, and threads, while there are names of hosts to find. Nothing is sent before the
    first answer is asked for.

    Args:
        addresses: `udp://host:port`, as for `connect()`. Of a host with several addresses the next one is
            asked if one refuses. Groups and broadcast addresses never answer: members do, from their own.
        request: Bytes, which may be none.
        timeout: How many seconds it may take in all, from the first answer that is asked for: the search for
            hosts and who uses the answers included. None waits until all have answered or refused; 0
            takes what is there at once.
        max_size: How many bytes an answer may have.
        resend: After how many seconds one that is silent is asked again, as datagrams are lost; then after
            twice as many, and so on, all within *timeout*. A host may get the request several times then.
            None asks once.

    Yields:
        The address, as it was given, and its answer, bytes; or instead of an answer

        - `PeerGoneError`: nobody listens there (ICMP says so).
        - `NotFoundError`: there is no such host or service.
        - `TimedOutError`: no answer in time; with `timeout=0`, `WouldBlockError`.
        - `LimitError`: the request is longer than a datagram (EMSGSIZE), the answer than *max_size*.
        - `AccessError`: we may not send there, such as to a broadcast address.
        - `IPCError`: any other, such as that there is no way to it (ENETUNREACH, EHOSTUNREACH).

    Raises:
        LimitError: This process has no descriptor left.
    """
    if isinstance(addresses, (str, bytes)):
        raise TypeError(f"several addresses are asked, not {addresses!r:.100}")
    hosts = {text: _host(text) for text in addresses}
    data = bytes(memoryview(request))
    _deadline.valid(timeout)
    if not isinstance(max_size, int) or not 1 <= max_size <= _MOST:
        raise ValueError(f"max_size is 1..{_MOST} bytes, not {max_size!r}")
    if resend is not None and not resend > 0:  # "not >" catches NaN too
        raise ValueError(f"resend is None or more than 0 seconds, not {resend!r}")
    return _answers(hosts, data, timeout, max_size, resend)


def _host(text: str) -> _Host:
    host = _Host(text)
    host.expect("udp")
    if not host.host or (host.port.isdecimal() and not int(host.port)):
        raise ValueError(f"a host is asked at a port, not as in {text!r:.200}")
    return host


def _answers(
    hosts: dict[str, _Host], request: bytes, timeout: float | None, max_size: int, resend: float | None
) -> Iterator[tuple[str, Outcome]]:
    asking = _Asking(hosts, request, _deadline.by(timeout), max_size, resend)
    try:
        asking.begin()
        while hosts:
            asking.turn()
            yield from asking.outcomes()
    finally:
        asking.close()


class _Host(Address):
    """Who is asked, at which addresses; and what the last of them that failed said."""

    __slots__ = ("left", "problem")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.left: Iterator[Target] = iter(())
        self.problem: IPCError | None = None


class _Asking:
    """All that is going on in one query.

    Attributes:
        hosts: Those who have no outcome yet, by their texts.
    """

    __slots__ = (
        *("_again", "_asked", "_buffer", "_deadline", "_full", "_known", "_max_size", "_names", "_outcomes"),
        *("_request", "_resend", "_room", "_sockets", "_to_send", "hosts"),
    )

    def __init__(
        self,
        hosts: dict[str, _Host],
        request: bytes,
        deadline: int,
        max_size: int,
        resend: float | None,
    ) -> None:
        self.hosts = hosts
        self._request = request
        self._deadline = deadline
        self._max_size = max_size
        self._buffer = bytearray(max_size + 1)  # one more, by which too long ones are known
        self._room = len(hosts) * _ROOM
        self._sockets: dict[int, socket] = {}
        self._names: Names | None = None
        self._resend = None if resend is None else max(1, int(min(resend, 1e9) * 1e9))
        self._again: list[tuple[int, int, Target]] = []  # when, how long it has waited then, who
        self._to_send: deque[tuple[Optional[_Host], Target, Optional[int]]] = deque()  # no host: again
        self._full = 0  # EAGAIN or ENOBUFS if the last send was refused for it
        self._asked: dict[Target, list[_Host]] = {}  # who waits for an answer from there
        self._known: dict[Target, bytes | int] = {}  # what it was: two hosts may have one address
        self._outcomes: list[tuple[str, Outcome]] = []

    def begin(self) -> None:
        names: list[Address] = []
        for host in list(self.hosts.values()):
            found = without_asking(host, SOCK_DGRAM)
            if found is None:
                names.append(host)
            else:
                self._ask(host, found)
        if names:
            self._names = Names(names, SOCK_DGRAM)

    def turn(self) -> None:
        """Do what can be done; and wait if that settles nothing."""
        # The clock first: what has come until then counts, however long our caller has used the answers.
        late = monotonic_ns() >= self._deadline
        self._take_names()
        self._take_silent()
        self._send()
        self._receive()
        if late:
            for text in list(self.hosts):
                self._settle(text, error(ETIMEDOUT if self._deadline else EAGAIN, f"ask {text}"))
        elif not self._outcomes and (self._full or not self._to_send):
            self._wait()

    def outcomes(self) -> list[tuple[str, Outcome]]:
        """Those since the last time."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()
        if self._names is not None:
            self._names.close()

    # ---- whom to ask ----

    def _take_names(self) -> None:
        if self._names is None:
            return
        for where, found in self._names.take():
            host = self.hosts[where.text]
            if isinstance(found, IPCError):
                self._settle(host.text, found)
            else:
                self._ask(host, found)
        if not self._names.looking_for:
            self._names.close()
            self._names = None

    def _ask(self, host: _Host, found: Found) -> None:
        host.left = iter(found)
        self._ask_next(host)

    def _ask_next(self, host: _Host) -> None:
        for target in host.left:
            self._to_send.append((host, target, self._resend))
            return
        assert host.problem is not None  # what is found has one address at least
        self._settle(host.text, host.problem)

    def _take_silent(self) -> None:
        now = monotonic_ns()
        while self._again and self._again[0][0] <= now:
            _, pause, target = heappop(self._again)
            self._to_send.append((None, target, 2 * pause))

    def _settle(self, text: str, outcome: Outcome) -> None:
        del self.hosts[text]
        self._outcomes.append((text, outcome))

    # ---- sending ----

    def _send(self) -> None:
        """Send to whom it has to be, as long as there is room and time."""
        self._full = 0
        tries = 0
        while self._to_send:
            if tries % _BATCH == 0:
                self._receive()
                if self._deadline and monotonic_ns() >= self._deadline:
                    return
            tries += 1
            host, target, pause = self._to_send[0]
            if host is not None and target in self._asked:
                self._asked[target].append(host)
            elif host is not None and target in self._known:
                self._tell(host, self._known[target])
            elif host is not None or target in self._asked:  # else it has answered meanwhile
                number = self._send_to(target)
                if number in _FULL:
                    self._full = number
                    return
                if host is not None:
                    self._asked[target] = [host]
                if number:
                    self._answered(target, number)
                elif pause is not None:
                    heappush(self._again, (monotonic_ns() + pause, pause, target))
            self._to_send.popleft()

    def _send_to(self, target: Target) -> int:
        """0, or the errno of why it cannot be sent."""
        family, where = target
        try:
            sock = self._sockets.get(family) or self._open(family)
        except OSError as problem:
            if problem.errno == EAFNOSUPPORT:
                return EAFNOSUPPORT
            raise error(problem.errno or 0, "make a socket to ask by") from problem
        number, tries = 0, _TRIES
        while tries:
            try:
                sock.sendto(self._request, where)
                return 0
            except OSError as problem:
                number = problem.errno or 0
            if number in _FULL:
                return number
            # Who refused an earlier datagram is told of here, once, and this one was not sent. What is the
            # fault of this one comes again, and again.
            if not self._read_refusals(sock):
                tries -= 1
        return number

    def _open(self, family: int) -> socket:
        """One socket for all hosts of a family; it is told which of them have refused."""
        sock = self._sockets[family] = socket(family, SOCK_DGRAM)
        sock.setblocking(False)
        # A router that finds it too long cuts it. Otherwise the first one is lost, and nobody repeats it.
        options = [(IPPROTO_IP, _IP_RECVERR, 1), (IPPROTO_IP, _IP_MTU_DISCOVER, 0)]
        if family == AF_INET6:  # which may send by IPv4 as well, to ::ffff:1.2.3.4
            options += [(IPPROTO_IPV6, _IPV6_RECVERR, 1), (IPPROTO_IPV6, _IPV6_MTU, _LEAST_MTU)]
        for option in options:
            sock.setsockopt(*option)
        if self._room > sock.getsockopt(SOL_SOCKET, SO_RCVBUF):
            sock.setsockopt(SOL_SOCKET, SO_RCVBUF, min(self._room, 2**30))  # the kernel cuts it to rmem_max
        return sock

    # ---- answers ----

    def _receive(self) -> None:
        """Take what has come; no more than all can have sent, so that strangers do not hold us."""
        for family, sock in self._sockets.items():
            for _ in range(2 * len(self._asked) + _BATCH):
                try:
                    size, where = sock.recvfrom_into(self._buffer)
                except BlockingIOError:
                    break
                except OSError:  # of a refusal
                    self._read_refusals(sock)
                    continue
                target = family, where
                if target in self._asked:
                    self._answered(target, bytes(memoryview(self._buffer)[:size]))

    def _read_refusals(self, sock: socket) -> int:
        """How many there were (MSG_ERRQUEUE); each comes with whom its datagram was for."""
        count = 0
        while True:
            try:
                _, told, _, where = sock.recvmsg(0, 512, MSG_ERRQUEUE)
            except OSError:  # there are no more
                return count
            for level, kind, data in told:
                if (level, kind) in ((IPPROTO_IP, _IP_RECVERR), (IPPROTO_IPV6, _IPV6_RECVERR)):
                    number, origin = unpack_from("=IB", data)  # struct sock_extended_err
                    if origin != _SO_EE_ORIGIN_LOCAL:  # that one sendto(2) has told us
                        count += 1
                        self._answered((sock.family, where), number)

    def _answered(self, target: Target, answer: bytes | int) -> None:
        hosts = self._asked.pop(target, None)
        if hosts is None:
            return  # a stranger, or a second time
        self._known[target] = answer
        for host in hosts:
            self._tell(host, answer)

    def _tell(self, host: _Host, answer: bytes | int) -> None:
        """Its answer, or the errno of its refusal."""
        if isinstance(answer, int):
            host.problem = _failed(answer, f"ask {host.text}", len(self._request))
            self._ask_next(host)
        elif len(answer) > self._max_size:
            doing = f"ask {host.text}, whose answer is longer"
            self._settle(host.text, limit_error(EMSGSIZE, doing, "max_size", self._max_size, None))
        else:
            self._settle(host.text, answer)

    # ---- waiting ----

    def _wait(self) -> None:
        """Wait for answers, for names, for room to send, until one is to be asked again, or for the end."""
        poller = poll()
        for sock in self._sockets.values():
            poller.register(sock, POLLIN | (POLLOUT if self._full == EAGAIN else 0))
        if self._names is not None:
            poller.register(self._names, POLLIN)
        until = min(self._deadline, self._again[0][0]) if self._again else self._deadline
        left = -(-(until - monotonic_ns()) // 10**6)
        # Nothing tells when a device has room in its queue again.
        most = 1 if self._full == ENOBUFS else max(0, min(left, _LONGEST_POLL * 1000))
        poller.poll(most)


def _failed(number: int, doing: str, size: int) -> IPCError:
    if number == EMSGSIZE:
        return limit_error(number, f"{doing} with {size} bytes", "of a datagram", None, None)
    return error(number, doing)
