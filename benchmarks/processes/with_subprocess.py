"""Programs, by subprocess."""

from __future__ import annotations

import ctypes
import signal
from subprocess import PIPE, Popen
from threading import Thread

from processes.checked import NOBODY, PROGRAM, both_ways, counted, lines, pieces, pipeline, spawning

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl


def _die():
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _once(**options):
    words = [PROGRAM]

    def once():
        if Popen(words, **options).wait():
            raise AssertionError("it failed")

    return once


def _pipeline(path):
    with (
        Popen(["cat", path], stdout=PIPE) as first,
        Popen(["cat"], stdin=first.stdout, stdout=PIPE) as second,
        Popen(["cksum"], stdin=second.stdout, stdout=PIPE) as third,
    ):
        first.stdout.close()
        second.stdout.close()
        return third.stdout.read().decode()


def _both_ways(take):
    with Popen(["cat"], stdin=PIPE, stdout=PIPE, bufsize=0) as cat:

        def feed():
            for piece in pieces():
                left = memoryview(piece)
                while left:
                    left = left[cat.stdin.write(left) :]
            cat.stdin.close()

        feeder = Thread(target=feed)
        feeder.start()
        while data := cat.stdout.read(1 << 16):
            take(data)
        feeder.join()


def _lines(path, each=None):
    with Popen(["cat", path], stdout=PIPE) as cat:
        return counted(cat.stdout, each)


spawn = spawn_big = spawning(_once())
spawn_session = spawn_session_big = spawning(_once(start_new_session=True))
spawn_user = spawn_user_big = spawning(_once(user=NOBODY, group=NOBODY, extra_groups=[]))
spawn_die = spawn_die_big = spawning(_once(preexec_fn=_die))
pipeline = pipeline(_pipeline)
both_ways = both_ways(_both_ways)
lines = lines(_lines)
