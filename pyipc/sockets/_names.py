"""The addresses of many hosts, found side by side (getaddrinfo(3))."""

from __future__ import annotations

import _socket
from _thread import allocate_lock, start_new_thread
from errno import EHOSTUNREACH

from .. import _deadline
from .._simple_queue import Empty, SimpleQueue
from ..errors import IPCError, error
from ._loop import Bell
from .resolving import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Union

    from .addresses import Address
    from .resolving import Found

    Outcome = Union[Found, IPCError]

_MOST_THREADS = 32


def without_asking(where: Address, kind: int) -> Found | None:
    """The addresses of a host that is written as an address; None if it is a name."""
    try:
        if where.port.isdecimal():
            _socket.inet_pton(_socket.AF_INET, where.host)
            return [(_socket.AF_INET, (where.host, int(where.port)))]  # in a tenth of getaddrinfo's time
    except (OSError, UnicodeError):
        pass  # not four numbers
    try:
        found = _socket.getaddrinfo(where.host, where.port, 0, kind, 0, _socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return [(family, target) for family, _, _, _, target in found]


class Names:
    """Finds hosts by threads, as many as may be at once; readable when there is something to take.

    Nothing interrupts getaddrinfo(3): what is looked for when this is closed goes on, and is forgotten.
    """

    __slots__ = ("_bell", "_closed", "_found", "_kind", "_lock", "_wanted", "looking_for")

    def __init__(self, wanted: list[Address], kind: int) -> None:
        self._kind = kind
        self._wanted: SimpleQueue[Address] = SimpleQueue()
        self._found: SimpleQueue[tuple[Address, Any]] = SimpleQueue()
        self._lock = allocate_lock()  # between the bell's end and those who ring it
        self._closed = False
        self.looking_for = len(wanted)
        for where in wanted:
            self._wanted.put(where)
        self._bell = Bell()
        try:
            for started in range(min(len(wanted), _MOST_THREADS)):
                try:
                    start_new_thread(self._look, ())
                except RuntimeError:  # no more threads are to be had
                    if not started:
                        raise
                    break
        except BaseException:  # a signal handler's too
            self.close()
            raise

    def fileno(self) -> int:
        return self._bell.fileno()

    def take(self) -> Iterator[tuple[Address, Outcome]]:
        """Those that were found since the last time, and those that were not, with why."""
        try:
            self._bell.hear()
        except BlockingIOError:
            return
        while True:
            try:
                where, found = self._found.get_nowait()
            except Empty:
                return
            self.looking_for -= 1
            if isinstance(found, Exception) and not isinstance(found, IPCError):
                raise found  # a fault of ours, or no memory
            yield where, found

    def close(self) -> None:
        """Find no more."""
        with self._lock:
            self._closed = True
            self._bell.close()

    def _look(self) -> None:
        while not self._closed:
            try:
                where = self._wanted.get_nowait()
            except Empty:
                return
            self._found.put((where, self._resolved(where)))
            with self._lock:
                if not self._closed:
                    self._bell.ring()

    def _resolved(self, where: Address) -> Found | Exception:
        doing = f"ask {where.text}"
        try:
            return resolve(where.host, where.port, self._kind, _deadline.FOREVER, doing)
        except IPCError as problem:
            return problem
        except OSError as problem:  # EAI_SYSTEM
            return error(problem.errno or EHOSTUNREACH, f"{doing}: find it")
        except Exception as problem:  # for who takes it
            return problem
