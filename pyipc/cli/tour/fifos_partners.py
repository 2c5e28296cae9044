"""The parts that other processes play at the stop of fifos."""

from __future__ import annotations

import os
import signal

from pyipc import fifos

from .second import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ_THRICE = r"""
for (1 .. 3) {
    open(my $fifo, "<", $ARGV[0]) or die "open: $!\n";
    print <$fifo>;
    close $fifo;
}
"""


def read_thrice(path: str) -> None:
    """Read to the end, three times."""
    for _ in range(3):
        with open(path) as fifo:
            tell(fifo.read().rstrip())


def read_and_stay(path: str) -> None:
    """Read, and keep it open."""
    with open(path) as fifo:
        tell(fifo.readline().rstrip())
        signal.pause()


def read_once(path: str) -> None:
    """Read to the end."""
    tell("waiting")
    with open(path) as fifo:
        tell(fifo.read().rstrip())


def write_records(path: str, letter: str) -> None:
    """Write records of one letter, of many lengths, until nobody reads."""
    with fifos.Fifo.open(path) as fifo, fifo.writer() as writer:
        size = 1
        writer.write_record(letter.encode())
        tell("writes")
        while True:
            writer.write_record(letter.encode() * size)
            size = size * 7919 % writer.longest_record or 1


def _make_file(path: str) -> None:
    with open(path, "x"):
        pass


#: What may be where a fifo should be, and how it comes there.
IMPOSTORS: dict[str, Callable[[str], None]] = {
    "a file": _make_file,
    "a symbolic link": lambda path: os.symlink("/dev/null", path),
}
