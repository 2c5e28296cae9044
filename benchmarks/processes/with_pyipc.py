"""Programs, by pyipc."""

from __future__ import annotations

from processes.checked import NOBODY, PROGRAM, both_ways, counted, lines, pieces, pipeline, seen, spawning
from pyipc.processes import Command

_NOBODY = {"user": NOBODY, "group": NOBODY, "extra_groups": ()}

_program = Command(PROGRAM)
_leader = Command(PROGRAM, new_session=True)
_nobodys = Command(PROGRAM, **_NOBODY)
_mortal = Command(PROGRAM, die_with_parent=True)


def _user():
    return int(Command("id", "-u", **_NOBODY).read_text())


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
spawn_user = spawn_user_big = seen(spawning(_nobodys.run), "user", _user, NOBODY)
spawn_die = spawn_die_big = spawning(_mortal.run)
pipeline = pipeline(_pipeline)
both_ways = both_ways(_both_ways)
lines = lines(_lines)
