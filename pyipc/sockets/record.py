"""What there is to say of a connection that was served: for access logs."""

from __future__ import annotations

from _socket import AF_UNIX, SOCK_STREAM
from os import fsencode
from time import monotonic_ns

from .addresses import printable, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Served:
    """A connection that a `Server` has served, or refused.

    Attributes:
        begun: When, in nanoseconds of CLOCK_MONOTONIC.
        seconds: How long it was served.
        failure: What its handler raised; how its process ended, if otherwise than well
            (`ProgramFailedError`); that it took too long (`TimedOutError`), or was not let in
            (`AccessError`); or None.
    """

    __slots__ = ("_family", "_where", "begun", "failure", "seconds")

    def __init__(self, family: int, where: Any) -> None:
        self._family = family
        self._where = where
        self.begun = monotonic_ns()
        self.seconds = 0.0
        self.failure: BaseException | None = None

    def packed(self) -> tuple[int, int, bytes]:
        """Whose it is, for memory of a fixed size."""
        if self._family == AF_UNIX:
            return AF_UNIX, 0, fsencode(self._where)
        return self._family, self._where[1], self._where[0].encode()

    @classmethod
    def unpacked(cls, family: int, port: int, name: bytes) -> Served:
        """The same, somewhere else."""
        if family != AF_UNIX:
            return cls(family, (name.rstrip(b"\0").decode(), port))
        where = name[:1] + name[1:].rstrip(b"\0")  # the first byte of an abstract one is NUL
        return cls(family, b"" if where == b"\0" else where)

    @property
    def peer(self) -> str:
        r"""The client's address: "tcp://host:port"; "unix:" of Unix clients, as a rule; "" of no client.

        Fit to be printed: a client chooses its path, and what cannot be printed of it is escaped ("\n").
        """
        if not self._family:
            return ""
        return printable(text_of(self._family, SOCK_STREAM, self._where))

    def end(self, failure: BaseException | None = None) -> None:
        """It is over."""
        self.seconds = (monotonic_ns() - self.begun) / 1e9
        if self.failure is None:
            self.failure = failure

    def __repr__(self) -> str:
        how = "" if self.failure is None else f", {self.failure!r}"
        return f"<served {self.peer} for {self.seconds:.6f} s{how}>"
