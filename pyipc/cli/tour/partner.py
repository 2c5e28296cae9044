"""The other processes of the tour: heard out under a deadline, always reaped.

A partner tells facts, one a line, on its standard output, and waits for a word on its standard
input where it must not run ahead. It ends by itself after a step's time (an alarm), should this
process be killed.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired

import pyipc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket

SECONDS = 10  # that a step may take

_PERL = f"use strict; use warnings; $| = 1; alarm {SECONDS};\n"

# The second process must run the same pyipc as this one, wherever it was started.
_PYTHON = "import sys; sys.path.insert(0, sys.argv[1]); from {} import play; play(*sys.argv[2:])"
_HOME = str(Path(pyipc.__file__).absolute().parent.parent)


class StepError(Exception):
    """A step did not show what it should."""


class Partner:
    """A process that plays a part in a step.

    Attributes:
        name: What the tour calls it.
        pid: Its process id.
    """

    def __init__(
        self, name: str, argv: list[str], left: Callable[[], float], inherits: Sequence[socket] = ()
    ) -> None:
        self.name = name
        self._left = left
        self._heard = b""
        environment = {**os.environ, "LC_ALL": "C"}  # perl complains aloud about a locale that is missing
        self._process = Popen(
            argv,
            bufsize=0,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
            pass_fds=[sock.fileno() for sock in inherits],
        )
        self.pid = self._process.pid

    @classmethod
    def perl(
        cls,
        perl: str,
        program: str,
        arguments: list[str],
        left: Callable[[], float],
        inherits: Sequence[socket] = (),
    ) -> Partner:
        """A perl that runs this program."""
        return cls("perl", [perl, "-e", _PERL + program, "--", *arguments], left, inherits)

    @classmethod
    def python(
        cls,
        part: Callable[..., None],
        arguments: list[str],
        left: Callable[[], float],
        inherits: Sequence[socket] = (),
    ) -> Partner:
        """A second Python process that runs this function of a module."""
        second = _PYTHON.format(f"{__package__}.second")
        who = [str(SECONDS), part.__module__, part.__name__]
        return cls("python 2", [sys.executable, "-c", second, _HOME, *who, *arguments], left, inherits)

    def hear(self) -> str:
        """The next fact that it tells."""
        assert self._process.stdout
        source = self._process.stdout.fileno()
        ready = select.poll()
        ready.register(source, select.POLLIN)
        while b"\n" not in self._heard:
            if not ready.poll(self._left() * 1000):
                raise StepError(f"{self.name} said nothing for too long")
            data = os.read(source, 4096)
            if not data:
                raise StepError(self._obituary())
            self._heard += data
        line, self._heard = self._heard.split(b"\n", 1)
        return line.decode("ascii", "backslashreplace")

    def expect(self, fact: str) -> None:
        """Hear this, and nothing else."""
        heard = self.hear()
        if heard != fact:
            raise StepError(f"{self.name} should have said {fact!r}, not {heard!r}")

    def go_on(self) -> None:
        """Give it the word that it waits for."""
        assert self._process.stdin
        try:
            self._process.stdin.write(b"\n")
        except BrokenPipeError:
            raise StepError(self._obituary()) from None

    def end(self) -> None:
        """See it end of itself, and well."""
        if self._wait() != 0:
            raise StepError(self._obituary())

    def kill(self) -> None:
        """End it as a crash would: SIGKILL, which it can neither catch nor survive."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """See to it that it is gone, however the step went."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()

    @property
    def reaped(self) -> bool:
        """Whether it has ended, and we have taken notice."""
        return self._process.returncode is not None

    def _wait(self) -> int:
        try:
            return self._process.wait(self._left())
        except TimeoutExpired:
            raise StepError(f"{self.name} does not end") from None

    def _obituary(self) -> str:
        """How it ended, and what it had to say about that."""
        status = self._wait()
        how = f"ended with exit status {status}" if status >= 0 else f"died of {signal.Signals(-status).name}"
        assert self._process.stderr
        complaint = self._process.stderr.fileno()
        os.set_blocking(complaint, False)  # a child of its own may hold the other end for ever
        try:
            text = os.read(complaint, 4096).decode("ascii", "backslashreplace").strip()
        except BlockingIOError:
            text = ""
        return f"{self.name} {how}" + (f": {text}" if text else "")
