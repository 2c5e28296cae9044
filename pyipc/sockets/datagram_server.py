"""A server of datagrams: each is answered, or not, and then forgotten (udp(7))."""

from __future__ import annotations

from _signal import SIGTERM
from _socket import IPV6_PKTINFO, IPV6_RECVPKTINFO
from errno import EINTR, EMSGSIZE
from socket import AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, SO_TYPE, SOCK_DGRAM, SOL_SOCKET, socket
from struct import Struct

from .. import _deadline
from .._backend import ops
from ..errors import error, limit_error
from ._loop import Bell, Loop
from ._model import print_exception
from ._serving import Serving
from .addresses import address_of, text_of
from .datagrams import bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Optional

    Handler = Callable[[bytes, str], Optional[bytes]]

_MOST = 65535  # bytes of a datagram
_AT_ONCE = 64  # served between two looks at whether to stop
_PATIENCE = 1.0  # seconds for an answer to find room in the kernel: other clients wait behind it

_IP_PKTINFO = 8  # <linux/in.h>; the module `socket` has it not yet
_PKTINFO = Struct("=i4s4s")  # struct in_pktinfo: interface, our address, where it was sent to
_PKTINFO6 = Struct("=16sI")  # struct in6_pktinfo: where it was sent to, interface
_ANCILLARY = 128  # bytes: room for both
_LINK_LOCAL = 0xFE80 >> 6  # fe80::/10


class DatagramServer(Serving):
    """Answers datagrams, one after the other, until it is told to stop.

    It is bound from the beginning, and serves while `serve()` runs. The end of its block closes the socket.
    Answers come from the address that was asked, though the socket may have all of this machine's.

    Anybody can write anybody's address on a datagram: an answer that is longer than the question makes
    this a weapon against others.

    Args:
        address: Where, as for `bind()`; or a UDP socket that is bound, and is the server's from now on.
        handler: A function that is given each datagram and where it is from, as text
            ("udp://host:port"); what it gives is sent back there, bytes, or nothing if None. What it raises
            costs that datagram alone.
        drain: How many seconds the datagrams that had come have, once `stop()` was called.
        log: Called with where a datagram was from, and with the exception, if it could not be served.
            Without it they are printed to `sys.stderr`.

    Attributes:
        socket: The socket.

    Raises:
        AlreadyExistsError: Somebody has this port; and whatever else `bind()` raises.
    """

    def __init__(
        self,
        address: str | socket,
        handler: Handler,
        *,
        drain: float | None = 1.0,
        log: Callable[[str, Exception], object] | None = None,
    ) -> None:
        _deadline.valid(drain)
        if not callable(handler):
            raise TypeError(f"a function serves datagrams, not {handler!r}")
        super().__init__()
        self._handler = handler
        self._drain = drain
        self._log = log or _complain
        self._last = 0  # until when they are served that had come before the stop; 0 while there was none
        self.socket = bind(address) if isinstance(address, str) else address
        try:
            self._ask_where_it_was_sent_to()
            self.socket.setblocking(False)
            self._bell = Bell()
        except BaseException:  # a signal handler's too
            self.socket.close()
            raise

    def _ask_where_it_was_sent_to(self) -> None:
        family, kind = self.socket.family, self.socket.getsockopt(SOL_SOCKET, SO_TYPE)
        if family not in (AF_INET, AF_INET6) or kind != SOCK_DGRAM:
            raise ValueError(f"not a UDP socket: {self.socket!r}")
        self.socket.setsockopt(IPPROTO_IP, _IP_PKTINFO, 1)  # of IPv6 too: it may get IPv4 besides
        if family == AF_INET6:
            self.socket.setsockopt(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)

    @property
    def address(self) -> str:
        """Where it is bound, as `query()` takes it, with the port that the kernel chose."""
        return address_of(self.socket)

    # ---- serving ----

    def serve(self) -> None:
        """Serve, until `stop()`; once.

        In the main thread, SIGTERM is a call of `stop()`, for as long as this runs.

        Raises:
            ClosedError: The server was closed, or has served before.
        """
        self._serve_once(lambda: {SIGTERM: self._on_sigterm}, self._serve)

    def _serve(self, bell: Bell) -> None:
        loop = Loop()
        try:
            loop.watch(bell, bell.hear)
            loop.watch(self.socket, self._take)
            while not self._stops:
                loop.turn()
            self._last = _deadline.by(self._drain)
            while self._stops == 1 and _deadline.left(self._last) > 0 and self._take():
                pass
        finally:
            loop.close()

    def stop(self) -> None:
        """Serve nothing any more but what has come; a second call drops that too.

        From any thread or signal handler. `serve()` comes back when all was served, or when `drain` seconds
        are over.
        """
        self._stops += 1
        if self._bell is not None:
            self._bell.ring()

    def _on_sigterm(self, number: int, frame: object) -> None:
        self.stop()

    def _take(self) -> bool:
        """Serve those that are there, some of them; whether there may be more."""
        begun = self._stops
        for _ in range(_AT_ONCE):
            if self._stops > begun or (self._last and _deadline.left(self._last) <= 0):
                return True
            try:
                data, told, _, where = self.socket.recvmsg(_MOST, _ANCILLARY)
            except BlockingIOError:
                return False
            except OSError:
                continue  # that an earlier answer was refused, if the socket is set to be told of it
            self._answer(data, told, where)
        return True

    def _answer(self, data: bytes, told: list[tuple[int, int, bytes]], where: Any) -> None:
        peer = text_of(self.socket.family, SOCK_DGRAM, where)
        try:
            answer = self._handler(data, peer)
            if answer is not None:
                self._send(answer, _source(told), where, peer)
        except Exception as problem:  # the handler's; it costs this datagram and nothing else
            self._tell(peer, problem)

    def _send(self, answer: bytes, source: list[tuple[int, int, bytes]], where: Any, peer: str) -> None:
        deadline = _deadline.after(_PATIENCE)
        doing = f"answer {peer}"
        while True:
            try:
                self.socket.sendmsg([answer], source, 0, where)
                return
            except BlockingIOError:
                result = ops.fd_wait(self.socket.fileno(), ops.WRITABLE, deadline)
                if result not in (0, -EINTR):
                    raise error(-result, doing) from None
            except OSError as problem:
                number = problem.errno or 0
                if number == EMSGSIZE:
                    doing += f" with {memoryview(answer).nbytes} bytes"
                    raise limit_error(number, doing, "of a datagram", None, None) from None
                raise error(number, doing) from problem

    def _tell(self, peer: str, problem: Exception) -> None:
        try:
            self._log(peer, problem)
        except Exception:  # whatever it is, the server goes on
            print_exception()

    # ---- the end ----

    def _close_sockets(self) -> None:
        self.socket.close()

    def __repr__(self) -> str:
        return f"<datagram server at {self.address if self._bell else 'nowhere: closed'}>"


def _source(told: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """What to send an answer with, so that it comes from the address that was asked."""
    found = {(level, kind): data for level, kind, data in told}
    data = found.get((IPPROTO_IP, _IP_PKTINFO))
    if data is not None:  # of a group or a broadcast, ours is that of the interface
        _, ours, _ = _PKTINFO.unpack(data)
        return [(IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(0, ours, bytes(4)))]
    data = found.get((IPPROTO_IPV6, IPV6_PKTINFO))
    if data is None or data[0] == 0xFF:  # of a group it is the group, from which nothing can come
        return []
    ours, index = _PKTINFO6.unpack(data)
    if int.from_bytes(ours[:2], "big") >> 6 != _LINK_LOCAL:
        index = 0  # any way back will do
    return [(IPPROTO_IPV6, IPV6_PKTINFO, _PKTINFO6.pack(ours, index))]


def _complain(peer: str, problem: Exception) -> None:
    """What happens to failures that nobody logs."""
    import sys

    print(f"pyipc: a datagram from {peer}:", file=sys.stderr)
    sys.excepthook(type(problem), problem, problem.__traceback__)
