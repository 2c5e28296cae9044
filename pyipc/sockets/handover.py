"""A running server replaced by a new process, and no connection lost (docs/design/hand-over.md).

A server that may be replaced listens at a path of its own, too. There its successor, which is as a rule the
same program started once more, finds it, gets its listening sockets (SCM_RIGHTS of unix(7)), and says when it
serves; only then the old one goes.
"""

from __future__ import annotations

import os
from _socket import MSG_DONTWAIT, MSG_PEEK
from errno import EACCES, EBUSY, ECONNREFUSED, EPROTO, ETIMEDOUT
from socket import AF_UNIX, SO_ACCEPTCONN, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, socket
from time import monotonic_ns

from .. import _deadline, _unix_path, fds
from .._descriptor import Handle
from ..errors import AlreadyExistsError, IPCError, NotFoundError, PeerGoneError, TimedOutError, error
from . import _state
from ._model import print_exception
from .addresses import absolute
from .listening import Listener, accept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Optional, TypeVar

    from .._descriptor import HasNumber
    from ..memory import Memory
    from ._loop import Loop
    from ._state import Save

    Replaced = Callable[[Sequence[Listener]], object]
    Kind = TypeVar("Kind", bound=socket)

# What the successor says first; the number is that of all that follows.
_HELLO = b"pyipc hand-over 1: your listeners, please"
_ANY_VERSION = b"pyipc hand-over "
_SERVING = b"serving"  # and then a byte for each listener that it has taken
_LONGEST_WORD = 256

_BACKLOG = 100  # who may wait while another is at it
_ANSWER_NS = 1_000_000_000  # how long somebody may be connected, and not say what for
_MOST_ASKING = 8  # of such at once
_PAUSE_NS = 50_000_000  # until it is tried again what there was no descriptor for
_PATIENCE = 60.0  # seconds: an old one that serves in its only thread answers when that is free
_BETWEEN = 1.0  # seconds in which a path may be taken and nobody answer, since one ends or begins there


class Control:
    """The socket at which a server is found by its successor, which has it after it."""

    __slots__ = ("bound", "sock")

    def __init__(self, sock: socket, bound: _unix_path.BoundPath) -> None:
        self.sock = sock
        self.bound = bound

    def leave(self) -> None:
        """Let it be somebody else's, who has it too; in a forked child, its parent's."""
        self.sock.close()
        self.bound.leave()

    def close(self) -> None:
        """Let nobody find us any more."""
        self.sock.close()
        self.bound.remove()


def meet(path: str) -> tuple[Control, Predecessor | None]:
    """Find the server that serves where *path* leads to, and get what it has; or be the first.

    Raises:
        AccessError: Another user serves there.
        TimedOutError: It does not answer, or somebody else is at it and does not begin to serve.
        AlreadyExistsError: Something else is there.
        IPCError: It cannot hand over (EBUSY), or what it says makes no sense (EPROTO).
    """
    path = os.path.abspath(path)
    doing = f"take over from the server at {path!r}"
    deadline = _deadline.after(_PATIENCE)
    nap = waited = 0.0
    while monotonic_ns() < deadline:
        before = socket(AF_UNIX, SOCK_SEQPACKET)
        try:
            if _ask(before, path, deadline, doing):
                return _offer_of(before, path, doing, deadline)
            before.close()
            return _bind(path), None
        except TimedOutError:
            before.close()
            break
        except PeerGoneError:  # it has ended; or has given all to somebody else, whom we ask then
            before.close()
        except AlreadyExistsError:  # another was as fast, and answers soon
            if waited > _BETWEEN:
                raise
            waited += nap
        except BaseException:  # a signal handler's too
            before.close()
            raise
        nap = _deadline.nap(nap, deadline)
    raise error(ETIMEDOUT, f"{doing}: it does not answer, or somebody else is at it")


def _bind(path: str) -> Control:
    sock = socket(AF_UNIX, SOCK_SEQPACKET)
    try:
        return Control(sock, _unix_path.bind(sock, path, backlog=_BACKLOG))
    except BaseException:  # a signal handler's too
        sock.close()
        raise


def _ask(before: socket, path: str, deadline: int, doing: str) -> bool:
    """Ask who serves there for what it has; False if nobody does."""
    before.setblocking(False)
    try:
        _unix_path.connect(before, path, deadline, doing)
    except NotFoundError:
        return False
    except PeerGoneError as problem:
        if problem.errno == ECONNREFUSED:
            return False
        raise
    if not _is_ours(before):
        raise error(EACCES, f"{doing}: it is another user's")
    fds.send(before, _HELLO)
    return True


def _offer_of(before: socket, path: str, doing: str, deadline: int) -> tuple[Control, Predecessor]:
    with fds.receive(before, None, max(0.001, _deadline.left(deadline))) as message:
        predecessor = Predecessor(before)
        try:
            return predecessor.accept(message, path, doing), predecessor
        except BaseException as problem:  # a signal handler's too
            predecessor.close()
            if isinstance(problem, (ValueError, LookupError, TypeError, StopIteration)):
                raise error(EPROTO, f"{doing}: what it says makes no sense: {problem!r}") from problem
            raise


class Predecessor:
    """The server that serves yet, and what we have got of it.

    Attributes:
        state: What it has saved, or None.
    """

    def __init__(self, connection: socket) -> None:
        self.state: Memory | None = None
        self._connection = connection
        self._offered: list[tuple[str, str, Listener]] = []  # the texts by which each is known
        self._taken: dict[int, Listener] = {}  # by their places among those

    def accept(self, message: fds.Message, path: str, doing: str) -> Control:
        """What it offers."""
        import json

        offer = json.loads(message.data)
        if "refused" in offer:
            raise error(EBUSY, f"{doing}: {offer['refused']}")
        handles = iter(message.fds)
        control = Control(_own(next(handles), socket), _unix_path.adopt(path, next(handles)))
        try:
            for one in offer["listeners"]:
                listener = _own(next(handles), Listener)
                self._offered.append((one["asked"], one["address"], listener))
                if one["path"] is not None:
                    listener._bound = _unix_path.adopt(one["path"], next(handles))
            if offer["state"]:
                self.state = _state.arrived(next(handles))
        except BaseException:  # a signal handler's too
            control.leave()
            raise
        return control

    def take(self, address: str) -> Listener | None:
        """Its listener that was asked for by the same text, or that listens there: ours from now on."""
        for place, (asked, where, listener) in enumerate(self._offered):
            if address in (asked, where) and place not in self._taken:
                self._taken[place] = listener
                return listener
        return None

    def tell_that_we_serve(self) -> None:
        """It may go: what we have taken is ours alone, and the rest its own."""
        try:  # noqa: SIM105 (contextlib takes long to import)
            fds.send(self._connection, _SERVING + bytes(self._taken), timeout=0)
        except IPCError:
            pass  # it has gone, which comes to the same
        self._close(True)

    def close(self) -> bool:
        """We do not serve after all; whether all that we have taken is ours, for it has ended meanwhile."""
        ours = _has_ended(self._connection)
        self._close(ours)
        return ours

    def _close(self, ours: bool) -> None:
        self._connection.close()
        self.close_rest()
        if not ours:
            for listener in self._taken.values():
                listener._unbind()

    def close_rest(self) -> None:
        """Close what is not taken: it stays with the old one until that ends."""
        for place, (_, _, listener) in enumerate(self._offered):
            if place not in self._taken:
                listener._unbind()
                listener.close()
        self._offered = []

    def forget_in_child(self) -> None:
        """Of a process that was forked: close what is its parent's."""
        self._connection.close()


class Handover:
    """The path of a server where its successor finds it.

    Args:
        path: That path.
        save: What gives the bytes that the successor gets, besides.

    Attributes:
        before: The server that we replace, until we serve.
    """

    def __init__(self, path: str, save: Save | None) -> None:
        self._save = save
        self._listeners: Sequence[Listener] = ()
        self._asking: list[socket] = []  # who has connected, and has not said what for
        self._after: socket | None = None  # to whom all was given, and who does not serve yet
        self._control: Optional[Control]
        self._control, self.before = meet(path)

    def begin(self, loop: Loop, listeners: Sequence[Listener], replaced: Replaced) -> None:
        """We serve: the one before may go, and the one after may come.

        Args:
            loop: What tells when somebody comes.
            listeners: Ours.
            replaced: Who is told that somebody else serves by now, and which of ours they have.
        """
        self._loop, self._listeners, self._replaced = loop, listeners, replaced
        if self.before is not None:
            self.before.tell_that_we_serve()
            self.before = None
        self._open()

    # ---- who asks ----

    def _open(self) -> None:
        if self._control is not None and self._after is None:
            self._control.sock.setblocking(False)
            self._loop.forget(self._control.sock)  # two may have asked for it
            self._loop.watch(self._control.sock, self._come)

    def _come(self) -> None:
        assert self._control is not None
        try:
            connection = accept(self._control.sock)[0]
        except BlockingIOError:
            return  # who came has gone
        except OSError:  # there is no descriptor for it, which may take a while
            self._loop.forget(self._control.sock)
            self._loop.at(monotonic_ns() + _PAUSE_NS, self._open)
            return
        if not _is_ours(connection):
            _refuse(connection, "it is another user's")
            connection.close()
            return
        if len(self._asking) == _MOST_ASKING:
            self._drop(self._asking[0])
        self._asking.append(connection)
        self._loop.watch(connection, lambda: self._asked(connection))
        self._loop.at(monotonic_ns() + _ANSWER_NS, lambda: self._drop(connection))

    def _drop(self, connection: socket) -> None:
        if connection in self._asking:
            self._asking.remove(connection)
            self._loop.forget(connection)
            connection.close()

    def _asked(self, connection: socket) -> None:
        word = _word_of(connection)
        if word != _HELLO:
            if word.startswith(_ANY_VERSION):
                _refuse(connection, "it is of another version, and does not understand this one")
            self._drop(connection)
        elif self._offer(connection):
            self._after = connection
            self._asking.remove(connection)
            while self._asking:  # they ask again: us, or whoever serves by then
                self._drop(self._asking[0])
            assert self._control is not None
            self._loop.forget(self._control.sock)
            self._loop.forget(connection)
            self._loop.watch(connection, self._heard)
        else:
            self._drop(connection)

    # ---- who gets it ----

    def _offer(self, connection: socket) -> bool:
        """Give it all, or say why not; whether it got it."""
        try:
            state = _state.saved(self._save)
        except Exception as problem:  # its own; or there is no memory for what it gave
            print_exception()
            _refuse(connection, repr(problem))
            return False
        try:
            self._give(connection, state)
            return True
        except IPCError as problem:  # it has ended, as a rule
            _refuse(connection, repr(problem))
            return False
        finally:
            if state is not None:
                state.close()

    def _give(self, connection: socket, state: Memory | None) -> None:
        import json

        assert self._control is not None
        descriptors: list[HasNumber] = [self._control.sock, self._control.bound]
        told: list[dict[str, object]] = []
        for listener in self._listeners:
            descriptors.append(listener)
            path = None
            if listener._bound is not None:
                path = listener._bound.absolute
                descriptors.append(listener._bound)
            told.append({"asked": listener._asked, "address": absolute(listener.address), "path": path})
        if state is not None:
            descriptors.append(state)
        offer = json.dumps({"listeners": told, "state": state is not None})
        fds.send(connection, offer.encode(), descriptors, 0)

    def _heard(self) -> None:
        assert self._after is not None
        after, self._after = self._after, None
        self._loop.forget(after)
        word = _word_of(after)
        after.close()
        if not word.startswith(_SERVING):  # it has ended, and all is as it was
            self._open()
            return
        assert self._control is not None
        self._control.leave()
        self._control = None
        taken = {*word[len(_SERVING) :]}
        self._replaced([one for place, one in enumerate(self._listeners) if place in taken])

    # ---- the end ----

    def end(self) -> None:
        """Let nobody take over any more; but who has got all, and does not serve yet, keeps it."""
        if self._control is not None:
            while self._asking:
                self._drop(self._asking[0])
            self._loop.forget(self._control.sock if self._after is None else self._after)
        self.close()

    def close(self) -> None:
        """The same; the loop has ended before. Before our listeners are closed, which may be its yet."""
        ours = self.before.close() if self.before is not None else self._after is None
        self.before = None
        for connection in self._asking:
            connection.close()
        self._asking = []
        if self._after is not None:
            for listener in self._listeners:
                listener._unbind()
            self._after.close()
            self._after = None
        if self._control is not None:
            if ours:
                self._control.close()
            else:
                self._control.leave()
            self._control = None

    def forget_in_child(self) -> None:
        """Of a process that was forked: close what is its parent's."""
        for connection in self._asking:
            connection.close()
        if self.before is not None:
            self.before.forget_in_child()
        if self._after is not None:
            self._after.close()
        if self._control is not None:
            self._control.leave()


def _own(handle: Handle, kind: type[Kind]) -> Kind:
    """The listening socket that has arrived."""
    sock = kind(fileno=handle.detach())
    if sock.type == (SOCK_STREAM if kind is Listener else SOCK_SEQPACKET) and sock.getsockopt(
        SOL_SOCKET, SO_ACCEPTCONN
    ):
        return sock
    sock.close()
    raise ValueError("a descriptor is no listening socket")


def _is_ours(connection: socket) -> bool:
    """Whether who is at the other end is our user, or root."""
    with fds.peer(connection) as peer:
        return peer.uid in (0, os.geteuid())


def _word_of(connection: socket) -> bytes:
    """What it says; nothing if it has ended, or talks too much."""
    try:
        with fds.receive(connection, _LONGEST_WORD, 0) as message:
            return message.data
    except IPCError:
        return b""


def _has_ended(connection: socket) -> bool:
    try:
        return not connection.recv(1, MSG_DONTWAIT | MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _refuse(connection: socket, why: str) -> None:
    import json

    try:  # noqa: SIM105 (contextlib takes long to import)
        fds.send(connection, json.dumps({"refused": why[:_LONGEST_WORD]}).encode(), timeout=0)
    except IPCError:
        pass  # it has ended
