"""The stop of terminals: programs that want to talk to a person talk to us."""

from __future__ import annotations

import re
import sys
import time

from pyipc import TimedOutError, terminals

from .stage import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Stage

TITLE = "Terminals: talk to programs that talk to people"

# Programs that talk. Into a pipe, the first would keep its answers back.
_COUNTS = "import sys\nfor number, line in enumerate(sys.stdin, 1): print(f'line {number}: {line}', end='')"
_ASKS = "from getpass import getpass; print(getpass(), 'is right')"
_MUCH = 500_000
_WRITES = f"import sys; sys.stdout.write(('x' * 9 + chr(10)) * {_MUCH}); print('done in 7 s'); input()"
_GREETS = "print('hello', input('Name: ')); input()"
_STAYS = """
import signal
for number in signal.SIGHUP, signal.SIGTERM, signal.SIGINT: signal.signal(number, signal.SIG_IGN)
print('ready')
while True: signal.pause()
"""


def _spawn(stage: Stage, program: str, *, echo: bool = False) -> terminals.Terminal:
    return stage.held(terminals.spawn(sys.executable, "-c", program, echo=echo))


def converse(stage: Stage) -> None:
    """Type lines, and read the answer to each before the next."""
    terminal = _spawn(stage, _COUNTS)
    for word in "one", "two", "three":
        terminal.send_line(word, stage.left())
        answer = terminal.read_line(stage.left()).decode().strip()
        stage.check(answer.endswith(word), f"the answer is {answer!r}")
        stage.say("python", f"types {word!r}; it answers {answer!r}")
    terminal.send_eof()
    end = terminal.wait(stage.left())
    stage.check(bool(end), f"it {end}")
    stage.say("python", f"types end of file; it {end}")


def give_a_password(stage: Stage) -> None:
    """Wait until the program has switched echo off; only then, type."""
    terminal = _spawn(stage, _ASKS, echo=True)
    terminal.expect("Password: ", stage.left())
    terminal.wait_for_echo(False, stage.left())
    stage.say("python", "has seen 'Password: ', and that echo is off")
    terminal.send_line("swordfish")
    match = terminal.expect(re.compile(rb"(\w+) is right"), stage.left())
    stage.check(match[1] == b"swordfish", f"it has read {match[1]!r}")
    stage.check(b"swordfish" not in match.before, "the password was shown")
    stage.say("python", f"types it; it is not shown; it answers {match[0]!r}")


def find_in_much(stage: Stage) -> None:
    """Find what comes after much output, and have that too."""
    terminal = _spawn(stage, _WRITES)
    match = terminal.expect(re.compile(rb"done in (\d+) s"), stage.left())
    lines = match.before.count(b"\n")
    stage.check(lines == _MUCH and match[1] == b"7", f"{lines} lines came before {match[0]!r}")
    size = len(match.before) / 1e6
    stage.say("python", f"finds {match[0]!r} after {lines} lines, {size:.1f} MB")


def lose_nothing_to_a_timeout(stage: Stage) -> None:
    """Wait in vain, and then for the right thing."""
    terminal = _spawn(stage, _GREETS)
    terminal.expect(re.compile(rb"(?=Name: )"), stage.left())  # it has come, and stays
    try:
        terminal.expect("Password: ", 0.1)
    except TimedOutError as problem:
        said = str(problem).partition(", which ")[2]
        stage.check("Name: " in said, f"the error does not show what came: {problem}")
        stage.say("python", f"waits 0.1 s for 'Password: ', in vain: the program {said}")
    else:
        stage.check(False, "it came, though nobody wrote it")
    terminal.expect("Name: ", 0)
    terminal.send_line("World")
    terminal.expect("hello World", stage.left())
    stage.say("python", "finds 'Name: ', which is still there, and answers")


def leave_nobody_behind(stage: Stage) -> None:
    """Leave while a program runs that does not want to go."""
    terminal = _spawn(stage, _STAYS)
    terminal.expect("ready\r\n", stage.left())
    began = time.perf_counter()
    terminal.close(patience=0.1)
    took = time.perf_counter() - began
    end = terminal.exit
    stage.check(end is not None and end.signal == 9, f"it {end}")
    stage.say("python", "hangs up on a program that ignores that")
    stage.say("kernel", f"it {end}, with its group, {took * 1000:.0f} ms later")


STEPS = [
    Step(
        "Line by line",
        "A program that writes to a pipe keeps its answers back until there are many. On a terminal it "
        "answers line by line.",
        "Each answer comes before the next line is typed.",
        converse,
    ),
    Step(
        "A password",
        "A program switches the terminal's echo off before it reads a password; what is typed too early "
        "is shown, or thrown away.",
        "We wait for that very fact, not for some milliseconds.",
        give_a_password,
    ),
    Step(
        "After much output",
        "Output is searched as it comes, and no part of it twice.",
        "Half a million lines, and what comes after them.",
        find_in_much,
    ),
    Step(
        "In vain",
        "Every wait has a timeout, and the error says what came instead.",
        "Nothing is lost: all of it can still be matched.",
        lose_nothing_to_a_timeout,
    ),
    Step(
        "The end",
        "Whoever leaves hangs up, as when a window is closed; who does not mind that is killed.",
        "No process is left.",
        leave_nobody_behind,
    ),
]
