"""The stop of processes: programs at the other end of pipes."""

from __future__ import annotations

import sys
from signal import SIGPIPE

from pyipc import NotFoundError, ProgramFailedError, TimedOutError, fds
from pyipc.processes import Command

from . import processes_partners as others
from .stage import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Stage

TITLE = "Processes: programs at the other end of pipes"

_MIB = 1 << 20
_PIECES = 64


def python(program: str, *arguments: str) -> Command:
    """A second Python, without its site packages, that runs this."""
    return Command(sys.executable, "-I", "-S", "-c", program, *arguments)


def look_at_each(stage: Stage) -> None:
    """Read what a pipeline writes, and see how each of its programs ended."""
    squares = python(others.COUNT, "for ever") | python(others.SQUARE) | python(others.FIRST, "4")
    with squares.reader() as reader:
        heard = reader.read(timeout=stage.left()).decode().split()
        stage.check(heard == ["0", "1", "4", "9"], f"{heard} came")
        stage.say("python", f"reads {' '.join(heard)} from numbers | squares | the first four")
        signals = [how.signal for how in reader.finish(stage.left())]
    stage.check(signals == [SIGPIPE, SIGPIPE, None], f"they ended by {signals}")
    stage.say("kernel", "the first two died of SIGPIPE, since the third had enough: all is well")
    failing = python(others.COUNT, "5") | python(others.FAIL, "3") | python(others.FIRST, "9")
    try:
        failing.read_text(timeout=stage.left())
    except ProgramFailedError as problem:
        stage.check([how.status for how in problem.exits] == [0, 3, 0], f"{problem.exits}")
        stage.say("python", "of another, the second exits with status 3: ProgramFailedError")
    else:
        stage.check(False, "a program that failed went unnoticed")


def miss_one(stage: Stage) -> None:
    """Start a pipeline whose last program does not exist."""
    try:
        (python(others.COUNT, "for ever") | Command("no-such-program")).reader()
    except NotFoundError as problem:
        stage.check("'no-such-program'" in str(problem), f"{problem} names nobody")
        stage.say("python", "numbers | no-such-program: NotFoundError, by name, here")
    else:
        stage.check(False, "a program that does not exist was started")
    stage.say("kernel", "the first has been killed, and reaped")


def talk(stage: Stage) -> None:
    """Ask, and have an answer in time or an exception."""
    with python(others.SQUARE).duplex() as squares:
        for number in 7, 9:
            squares.send_line(str(number), stage.left())
            answer = squares.read_line(stage.left()).decode().strip()
            stage.check(answer == str(number * number), f"{number} squared is {answer}")
            stage.say("python", f"says {number}, and hears {answer}")
    with python(others.SQUARE, "late").duplex() as squares:
        squares.send_line("5", stage.left())
        try:
            squares.read_line(0.05)
        except TimedOutError:
            stage.say("python", "says 5 to one that keeps its answers back: TimedOutError")
        else:
            stage.check(False, "it did not keep its answer back")
        squares.close_input()
        answer = squares.read_line(stage.left()).decode().strip()
        stage.say("python", f"closes its input, and hears {answer}")
        stage.check(answer == "25", f"5 squared is {answer}")


def all_at_once(stage: Stage) -> None:
    """Send more than any pipe holds, while the other side writes as much, and complains."""
    piece = bytes(range(256)) * (_MIB // 256)
    came = {"out": 0, "err": 0}
    with python(others.ECHO_AND_COMPLAIN).streams(piece for _ in range(_PIECES)) as streams:
        for name, data in streams.chunks(stage.left()):
            came[name] += len(data)
    stage.check(came["out"] == _PIECES * _MIB, f"{came['out']} bytes came back")
    stage.check(came["err"] > _MIB, f"only {came['err']} bytes of complaints came")
    stage.say(
        "python", f"sends {_PIECES} MiB, and gets them back, with {came['err'] >> 20} MiB of complaints"
    )


def leave_early(stage: Stage) -> None:
    """Leave in the middle: the program goes, and so do its own children."""
    with python(others.HAVE_A_CHILD).reader() as reader:
        pid = int(reader.read_line(stage.left()))
        grandchild = stage.held(fds.Pidfd.open(pid))
        stage.say("python 2", "runs, with a child of its own")
    stage.say("python", "leaves the block, and its lines unread")
    grandchild.wait(stage.left())
    stage.say("kernel", "both of them have been killed, as one process group")


def parent_dies(stage: Stage) -> None:
    """Kill a process that has started a program which is to die with it."""
    other = stage.python(others.start_a_mortal)
    mortal = stage.held(fds.Pidfd.open(int(other.hear())))
    stage.say(other, "has started a program, to die with its parent")
    other.kill()
    stage.say("python", "kills it (SIGKILL): no code of its own runs any more")
    mortal.wait(stage.left())
    stage.say("kernel", "the program has been killed, too")


STEPS = [
    Step(
        "A pipeline, and how each ended",
        "Three programs, each reading what the one before it writes. No shell is between.",
        "Every status counts, not only the last one's.",
        look_at_each,
    ),
    Step(
        "No such program",
        "Perl's open() is glad to have forked. Here to start a program is to have started it.",
        "An exception where it belongs, and nothing left running.",
        miss_one,
    ),
    Step(
        "A conversation",
        "We write to a program and read its answers, in turns: open2.",
        "Each answer has its time; who keeps it back is found out.",
        talk,
    ),
    Step(
        "All at once",
        "Input, output and errors, and nobody waits for anybody: open3.",
        "However much either side writes, neither can block the other for ever.",
        all_at_once,
    ),
    Step(
        "Leave when you like",
        "We read one line of a program that writes for ever and has a child of its own.",
        "None of them is left, neither running nor as a zombie of ours.",
        leave_early,
    ),
    Step(
        "Its parent is killed",
        "Another process starts a program, and is killed.",
        "Nobody is left behind, whatever happens to us.",
        parent_dies,
    ),
]
