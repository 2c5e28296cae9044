"""What the contestants do alike: ballast, payloads, and looking at what came."""

from __future__ import annotations

import os
import resource
import tempfile
import zlib
from contextlib import contextmanager

PROGRAM = "/bin/true"
NOBODY = 65534

_MOST_MEMORY = 50 << 10  # KiB


def wrong():
    raise AssertionError("what came is not what was written")


def spawning(once):
    """The row for what starts PROGRAM and waits for it, in a parent that is as big as asked."""

    def row():
        ballast = bytearray(b"x") * int(os.environ.get("BALLAST") or 0)

        def block(n):
            for _ in range(n):
                once()

        yield block
        del ballast

    return row


def seen(row, option, found, expected):
    """The same row, once it was seen that the option has its effect."""

    def checked():
        if found() != expected:
            raise AssertionError(f"{option} has no effect")
        yield from row()

    return checked


# ---- a pipeline ----

_SIZE = 256 << 20


@contextmanager
def _big_file():
    """256 MiB, in memory, and what cksum(1) says of it."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="pyipc-bench-") as file:
        piece = os.urandom(1 << 20)
        for _ in range(_SIZE >> 20):
            file.write(piece)
        file.flush()
        yield file.name, os.popen(f"cksum <{file.name}").read().split()


def pipeline(once):
    """The row for what gives back what `cat FILE | cat | cksum` writes."""

    def row():
        with _big_file() as (path, sum):

            def block():
                if once(path).split() != sum:
                    wrong()

            yield block

    return row


# ---- both ways ----

_PIECE = bytes(range(256)) * 1024  # 256 KiB
_PIECES = 4096


def pieces():
    for _ in range(_PIECES):
        yield _PIECE


def both_ways(once):
    """The row for what gives `pieces()` to cat, and calls what it is given for each piece that comes back."""

    def row():
        def block():
            at = total = 0
            twice = memoryview(_PIECE * 2)

            def take(data):
                nonlocal at, total
                if bytes(twice[at : at + len(data)]) != data:
                    wrong()
                at, total = (at + len(data)) % len(_PIECE), total + len(data)

            once(take)
            if total != _PIECES * len(_PIECE):
                wrong()
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > _MOST_MEMORY:
                raise AssertionError("more than 50 MiB of memory")

        yield block

    return row


# ---- lines ----

_LINES = 100_000


def lines(once):
    """The row for what gives back an iterable of the lines of a file that cat writes, and ends it."""

    def row():
        with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="pyipc-bench-") as file:
            text = b"".join(b"%040d %d\n" % (n * n, n % 10**7) for n in range(_LINES))
            file.write(text)
            file.flush()
            sum = zlib.crc32(text)
            del text

            def block(n):
                # All are counted; for all to be looked at would cost more than to read them.
                for _ in range(n):
                    count, last = once(file.name)
                    if count != _LINES or last != b"%040d %d\n" % ((_LINES - 1) ** 2, _LINES - 1):
                        wrong()

            def look():
                kept = []
                once(file.name, kept.append)
                if zlib.crc32(b"".join(kept)) != sum:
                    wrong()

            look()
            yield block

    return row


def counted(lines, each=None):
    """How many there are, and the last."""
    count, line = 0, b""
    for line in lines:
        count += 1
        if each is not None:
            each(line)
    return count, line
