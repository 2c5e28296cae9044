"""Unix sockets and FIFOs: what has a path, or an abstract name (unix(7), fifo(7))."""

from __future__ import annotations

import os
from functools import partial
from itertools import islice
from stat import S_ISFIFO, S_ISSOCK

from ... import _unix_path
from ...errors import IPCError
from .found import IDLE, IN_USE, ORPHAN, Found
from .removal import remove_dead_socket, remove_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .processes import Processes

# Where names are left, and how deep to look there: of a socket whose owner is dead, the kernel knows nothing.
_PLACES = ("/run", "/tmp", "/var/tmp", "/dev/shm")
_DEPTH = 2
_MOST = 20_000


def objects(processes: Processes) -> Iterator[Found]:
    """Sockets that are bound, those whose owners are dead, and FIFOs."""
    bound = _bound()
    for name, inodes in bound.items():
        holders = set().union(*(processes.sockets.get(inode, set()) for inode in inodes))
        yield _with_facts(Found("unix socket", name, IN_USE, holders=holders))
    seen = set()
    fifos = []
    for path, facts in islice(_left(), _MOST):
        which = facts.st_dev, facts.st_ino
        if S_ISFIFO(facts.st_mode):
            seen.add(which)
            holders = processes.files.get(which, set())
            remove = partial(remove_file, path, facts)
            fifos.append(Found("fifo", path, IN_USE if holders else IDLE, holders=holders, remove=remove))
        elif S_ISSOCK(facts.st_mode) and path not in bound and _is_dead(path):
            yield _with_facts(Found("unix socket", path, ORPHAN, remove=partial(remove_dead_socket, path)))
    for which, path in processes.fifos.items():
        if which not in seen:
            fifos.append(Found("fifo", path, IN_USE, holders=processes.files[which]))
    yield from map(_with_facts, fifos)


def _bound() -> dict[str, set[int]]:
    """The inodes of the sockets of each name."""
    found: dict[str, set[int]] = {}
    with open("/proc/net/unix", errors="surrogateescape") as lines:
        next(lines)
        for line in lines:
            fields = line.rstrip("\n").split(maxsplit=6)
            inode, _, name = fields[-1].partition(" ")
            if name:
                found.setdefault(name, set()).add(int(inode))
    return found


def _with_facts(found: Found) -> Found:
    try:
        facts = os.lstat(str(found.id))
    except (OSError, ValueError):
        return found  # an abstract name; or it was removed
    found.uid, found.mode, found.changed = facts.st_uid, facts.st_mode & 0o777, int(facts.st_ctime)
    return found


def _left() -> Iterator[tuple[str, os.stat_result]]:
    places = {os.path.realpath(place) for place in (*_PLACES, os.environ.get("XDG_RUNTIME_DIR") or "/run")}
    for place in sorted(places):
        yield from _walk(place, _DEPTH)


def _walk(folder: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if depth:
                        yield from _walk(entry.path, depth - 1)
                elif not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
                    yield entry.path, entry.stat(follow_symlinks=False)
    except OSError:
        return  # not ours to read, or gone


def _is_dead(path: str) -> bool:
    try:
        return _unix_path.is_dead(path)
    except IPCError:
        return False  # no telling
