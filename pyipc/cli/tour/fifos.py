"""The stop of fifos: a name at which processes meet that know nothing else of each other."""

from __future__ import annotations

import os
import threading

from pyipc import IPCError, fifos

from . import fifos_partners as others
from .stage import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .stage import Stage

TITLE = "Named pipes: a name to meet at"

_RECORDS = 300


class _Serving:
    """A fifo that serves in a thread, until it is closed."""

    def __init__(self, fifo: fifos.Fifo, producer: Callable[[], bytes]) -> None:
        self._fifo = fifo
        self._thread = threading.Thread(target=fifo.serve, args=(producer,))
        self._thread.start()

    def close(self) -> None:
        """Stop, and remove the fifo."""
        self._fifo.close()
        self._thread.join()


def _serve(stage: Stage) -> str:
    """Serve numbered texts; where."""
    count = 0

    def text() -> bytes:
        nonlocal count
        count += 1
        return b"text %d\n" % count

    fifo = stage.held(fifos.Fifo.create(os.path.join(stage.folder(), "signature")))
    stage.held(_Serving(fifo, text))
    return fifo.path


def give_each_its_own(stage: Stage) -> None:
    """Serve a text for each reader; perl reads three times, without a pause."""
    path = _serve(stage)
    other = stage.perl(others.READ_THRICE, others.read_thrice, path)
    stage.say("python", "serves a fresh text to each who reads the fifo")
    for number in range(1, 4):
        other.expect(f"text {number}")
        stage.say(other, f'reads "text {number}", and opens it again at once')
    other.end()


def survive_readers(stage: Stage) -> None:
    """Kill a reader while it waits for its text, and another in the middle."""
    path = _serve(stage)
    other = stage.python(others.read_and_stay, path)
    other.expect("text 1")
    waiting = stage.python(others.read_once, path)
    waiting.expect("waiting")
    stage.say(other, 'has read "text 1", and does not go; a second one waits')
    other.kill()
    stage.say("kernel", "the first is killed")
    waiting.expect("text 2")
    waiting.end()
    stage.say(waiting, 'gets "text 2", nothing of the first')


def keep_records_whole(stage: Stage) -> None:
    """Let two write records into one fifo at the same time, and kill one."""
    fifo = stage.held(fifos.Fifo.create(os.path.join(stage.folder(), "records")))
    reader = stage.held(fifo.reader(keep_alive=True))
    writers = [stage.python(others.write_records, fifo.path, letter) for letter in "ab"]
    for writer in writers:
        writer.expect("writes")
    seen = set()
    for number in range(_RECORDS):
        record = reader.read_record(stage.left()) or b""
        stage.check(record == record[:1] * len(record), f"a torn record: {record[:50]!r}")
        seen.add(record[:1])
        if number == _RECORDS // 2:
            writers[0].kill()
            stage.say("python", f"kills one of two writers, after {number} records")
    stage.check(seen == {b"a", b"b"}, f"records of {seen} came")
    stage.say("python", f"{_RECORDS} records have come, of both, and each is whole")


def refuse_impostors(stage: Stage) -> None:
    """Find something else where a fifo should be."""
    path = os.path.join(stage.folder(), "fifo")
    for what, make in others.IMPOSTORS.items():
        make(path)
        try:
            fifos.Fifo.open_or_create(path).close()
        except IPCError as problem:
            stage.say("python", f"{what}: {type(problem).__name__}")
        else:
            stage.check(False, f"{what} was taken for a fifo")
        os.unlink(path)
    before = os.umask(0o077)
    try:
        with fifos.Fifo.create(path, mode=0o622) as fifo:
            stage.check(fifo.mode == 0o622, f"the mode is {fifo.mode:o}")
    finally:
        os.umask(before)
    stage.say("kernel", "a fifo of mode 622, though the umask is 077; it is gone with its maker")


STEPS = [
    Step(
        "A text for each reader",
        "Whoever reads the file gets a text of his own, made when he comes: perlipc's .signature.",
        "The server knows when a reader has gone; it sleeps no two seconds, and nobody gets two.",
        give_each_its_own,
    ),
    Step(
        "A reader is killed, another waits",
        "One reader stays and is killed; another waits to be served.",
        "The living get theirs, and nothing that the dead have left.",
        survive_readers,
    ),
    Step(
        "Records of many writers",
        "Two processes write records into one fifo, and one of them is killed.",
        "Up to 4096 bytes, the kernel writes in one piece or not at all.",
        keep_records_whole,
    ),
    Step(
        "Nothing else than a fifo",
        "At the name there is a file, then a symbolic link.",
        "What is not a fifo is refused before it is opened; the mode is what was asked for.",
        refuse_impostors,
    ),
]
