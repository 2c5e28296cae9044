"""Steps, and what they work with: a deadline, other processes, and somebody who cleans up."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack, closing, contextmanager
from typing import NamedTuple

import pyipc

from .partner import SECONDS, Partner, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from socket import socket
    from typing import Any, Optional, TypeVar

    from .forked import Forked
    from .show import Terminal

    Closable = TypeVar("Closable", bound=Any)


class Step(NamedTuple):
    """One thing to see.

    Attributes:
        name: What it is about.
        what: What is going to happen.
        proves: What that shows.
        play: Does it; raises when it does not go as it should.
        needs: A capability (`pyipc.capabilities()`) and, for those who lack it, why.
    """

    name: str
    what: str
    proves: str
    play: Callable[[Stage], None]
    needs: Optional[tuple[str, str]] = None


class Outcome(NamedTuple):
    """How a step went: "ok", "skipped" or "failed", and for the latter two the reason."""

    step: Step
    status: str
    milliseconds: float
    detail: list[str]
    reason: Optional[str]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.step.name,
            "what": self.step.what,
            "proves": self.step.proves,
            "status": self.status,
            "milliseconds": round(self.milliseconds, 3),
            "detail": self.detail,
            "reason": self.reason,
        }


class Stop:
    """The steps of one stop, as they run.

    Attributes:
        made: What they have made in the kernel so far, as (kind, id).
        partners: The processes that they have started so far.
    """

    def __init__(self, terminal: Terminal, perl: str | None) -> None:
        self.terminal = terminal
        self.perl = perl
        self.made: set[tuple[str, int]] = set()
        self.partners: list[Partner | Forked] = []

    def perform(self, number: int, step: Step, seconds: float = SECONDS) -> Outcome:
        """Run a step; what it leaves is cleaned away, whatever happens."""
        self.terminal.begin(number, step)
        detail: list[str] = []
        start = time.perf_counter()
        status, reason = self._play(step, detail, seconds)
        milliseconds = (time.perf_counter() - start) * 1000
        outcome = Outcome(step, status, milliseconds, detail, reason)
        self.terminal.end(outcome)
        return outcome

    def _play(self, step: Step, detail: list[str], seconds: float) -> tuple[str, str | None]:
        if step.needs and not pyipc.capabilities().get(step.needs[0], False):
            return "skipped", f"not on this backend: {step.needs[1]}"
        try:
            with ExitStack() as cleaning:
                step.play(Stage(self, detail, cleaning, seconds))
        except StepError as problem:
            return "failed", str(problem)
        except Exception as problem:  # a fault of the step fails the step, and not the tour
            return "failed", f"{type(problem).__name__}: {problem}"
        return "ok", None


class Stage:
    """What a step works with."""

    def __init__(self, stop: Stop, detail: list[str], cleaning: ExitStack, seconds: float) -> None:
        self.stop = stop
        self._detail = detail
        self._cleaning = cleaning
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until the step must be over; the timeout of everything that waits."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise StepError(f"this takes longer than {self._seconds:g} s")
        return left

    def say(self, who: str | Partner | Forked, what: str) -> None:
        """Show what somebody has done: "python", "kernel", or a partner."""
        name = who if isinstance(who, str) else who.name
        self._detail.append(f"{name}: {what}")
        self.stop.terminal.say(name, what)

    def made(self, handle: Closable) -> Closable:
        """Close *handle* when the step ends, and remember that its object must be gone then."""
        self.held(handle)
        self.stop.made.add((handle.kind, handle.id))
        return handle

    def held(self, thing: Closable) -> Closable:
        """Close *thing* when the step ends."""
        self._cleaning.enter_context(closing(thing))
        return thing

    def folder(self) -> str:
        """An empty directory, removed when the step ends."""
        from tempfile import TemporaryDirectory

        return self._cleaning.enter_context(TemporaryDirectory())

    def perl(
        self, program: str, part: Callable[..., None], *arguments: object, inherits: Sequence[socket] = ()
    ) -> Partner:
        """A perl that runs *program*; where there is none, a second Python that runs *part*."""
        if self.stop.perl is None:
            return self.python(part, *arguments, inherits=inherits)
        words = [*map(str, arguments)]
        with _undisturbed():
            return self._started(Partner.perl(self.stop.perl, program, words, self.left, inherits))

    def python(
        self, part: Callable[..., None], *arguments: object, inherits: Sequence[socket] = ()
    ) -> Partner:
        """A second Python process that runs *part*, a function of a module."""
        with _undisturbed():
            return self._started(Partner.python(part, [*map(str, arguments)], self.left, inherits))

    def forked(self, part: Callable[..., None], *handles: object) -> Forked:
        """A second Python process that `multiprocessing` starts: it runs *part*, and has these handles."""
        from .forked import Forked

        with _undisturbed():
            partner = Forked("python 2", part, handles, self.left)
            self._cleaning.enter_context(closing(partner))
            self.stop.partners.append(partner)
        return partner

    def _started(self, partner: Partner) -> Partner:
        self._cleaning.enter_context(closing(partner))
        self.stop.partners.append(partner)
        return partner

    def check(self, fact: bool, otherwise: str) -> None:
        """Go on only if this is so."""
        if not fact:
            raise StepError(otherwise)

    def wait_until(self, fact: Callable[[], bool], otherwise: str) -> None:
        """Look again and again, until this is so; for what the kernel lists but does not announce."""
        while not fact():
            try:
                time.sleep(min(0.001, self.left()))
            except StepError:
                raise StepError(otherwise) from None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no signal handler raise between the start of a process and our taking charge of it."""
    # To block the signals would not do: a thread that numpy started could take them all the same.
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    raising = {number: handler for number, handler in handlers.items() if callable(handler)}
    came: list[int] = []
    for number in raising:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in raising.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)
