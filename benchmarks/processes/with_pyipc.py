"""Programs, by pyipc."""

from __future__ import annotations

from processes.checked import NOBODY, PROGRAM, both_ways, counted, lines, pieces, pipeline, seen, spawning
from pyipc._spawn import spawn as start
from pyipc.processes import Command

_program = Command(PROGRAM)
_leader = Command(PROGRAM, new_session=True)
_mortal = Command(PROGRAM, die_with_parent=True)
_AS_NOBODY = (NOBODY, NOBODY, [])


def _as_nobody():
    with start([PROGRAM], identity=_AS_NOBODY) as child:
        child.wait()


def _ids():
    with Command("cat").duplex() as cat:
        with start(["id", "-u"], identity=_AS_NOBODY, descriptors={1: cat._ends.into.fileno()}) as child:
            child.wait()
        return int(cat.read_line())


def _session():
    state = Command("cat", "/proc/self/stat", new_session=True).read_text().rpartition(")")[2].split()
    return state[3] == state[2] != "0"


def _pipeline(path):
    return (Command("cat", path) | Command("cat") | Command("cksum")).read_text()


def _both_ways(take):
    with Command("cat").streams(pieces()) as streams:
        for _, data in streams.chunks():
            take(data)


def _lines(path, each=None):
    with Command("cat", path).reader() as reader:
        return counted(reader, each)


spawn = spawn_big = spawning(_program.run)
spawn_session = spawn_session_big = seen(spawning(_leader.run), "new_session", _session, True)
spawn_user = spawn_user_big = seen(spawning(_as_nobody), "identity", _ids, NOBODY)
spawn_die = spawn_die_big = spawning(_mortal.run)
pipeline = pipeline(_pipeline)
both_ways = both_ways(_both_ways)
lines = lines(_lines)
