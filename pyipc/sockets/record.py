"""What there is to say of a connection that was served: for access logs."""

from __future__ import annotations

from _socket import SOCK_STREAM
from time import monotonic_ns

from .addresses import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Served:
    """A connection that a `Server` has served, or refused.

    Attributes:
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

    @property
    def peer(self) -> str:
        """The client's address: "tcp://host:port"; "unix:" for Unix clients, which have none as a rule."""
        if isinstance(self._where, str) and not self._family:
            return self._where  # as text already
        return text_of(self._family, SOCK_STREAM, self._where)

    def end(self, failure: BaseException | None = None) -> None:
        """It is over."""
        self.seconds = (monotonic_ns() - self.begun) / 1e9
        self.failure = self.failure or failure

    def __repr__(self) -> str:
        how = "" if self.failure is None else f", {self.failure!r}"
        return f"<served {self.peer} for {self.seconds:.6f} s{how}>"
