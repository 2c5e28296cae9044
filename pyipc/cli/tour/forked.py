"""Other processes of the tour that `multiprocessing` starts, as programs do that pass locks along."""

from __future__ import annotations

import signal
from multiprocessing import get_context

from .partner import SECONDS, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection


def _play(part: Callable[..., None], here: Connection, *handles: object) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(SECONDS)
    part(here, *handles)


class Forked:
    """A process that plays a part in a step; it tells facts, and waits for a word, over a connection.

    Attributes:
        name: What the tour calls it.
        pid: Its process id.
    """

    def __init__(
        self, name: str, part: Callable[..., None], handles: tuple[object, ...], left: Callable[[], float]
    ) -> None:
        context = get_context("fork")
        self.name = name
        self._left = left
        self._connection, there = context.Pipe()
        self._process = context.Process(target=_play, args=(part, there, *handles))
        self._process.start()
        there.close()
        self.pid = self._process.pid

    def hear(self) -> str:
        """The next fact that it tells."""
        if not self._connection.poll(self._left()):
            raise StepError(f"{self.name} said nothing for too long")
        try:
            return str(self._connection.recv())
        except EOFError:
            raise StepError(f"{self.name} ended early") from None

    def expect(self, fact: str) -> None:
        """Hear this, and nothing else."""
        heard = self.hear()
        if heard != fact:
            raise StepError(f"{self.name} should have said {fact!r}, not {heard!r}")

    def end(self) -> None:
        """See it end of itself, and well."""
        self._process.join(self._left())
        if self._process.exitcode != 0:
            raise StepError(f"{self.name} ended with {self._process.exitcode}")

    def kill(self) -> None:
        """End it as a crash would: SIGKILL, which it can neither catch nor survive."""
        self._process.kill()
        self._process.join()

    def close(self) -> None:
        """See to it that it is gone, however the step went."""
        self.kill()
        self._connection.close()

    @property
    def reaped(self) -> bool:
        """Whether it has ended, and we have taken notice."""
        return self._process.exitcode is not None
