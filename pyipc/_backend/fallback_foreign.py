"""Calls on `sysv_ipc`, its objects by id, and what /proc/sysvipc lists; see fallback.py."""

from __future__ import annotations

import os
import sys
from errno import EACCES, EAGAIN, EEXIST, EIDRM, EINTR, EINVAL, ENOENT, ENOMEM, ENOSPC, ENOTSUP, EPERM

import sysv_ipc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .protocol import Owner

    Row = dict[str, str]

# Imported here alone, and by a reference of our own: the name in sys.modules may come to mean
# pyipc's imitation of it (pyipc.compat), before or after this.
if sysv_ipc.__name__ != "sysv_ipc":
    _imitation = sys.modules.pop("sysv_ipc")
    try:
        import sysv_ipc
    finally:
        sys.modules["sysv_ipc"] = _imitation
sysv: Any = sysv_ipc

if not os.path.exists("/proc/sysvipc/shm"):
    raise ImportError("the fallback needs /proc/sysvipc, and there is none")


def call(
    function: Callable[..., Any],
    *args: Any,
    missing: int = EIDRM,
    denied: int = EACCES,
    invalid: int = EINVAL,
) -> Any:
    """What a function written in C returns, None as 0; or the -errno that its exception stands for.

    Args:
        function: It must have no Python in it, see below.
        args: For it.
        missing: What an ExistentialError means here: there is none, is one, or is none any more.
        denied: What a PermissionsError means here.
        invalid: What a ValueError means here.
    """
    try:
        result = function(*args)
    except Exception as problem:
        # A signal handler may have raised as the call ended, and a TimeoutError is an OSError too.
        # It has frames of its own. (A name for the traceback would make a cycle with this frame,
        # and keep all our callers have until that is collected.)
        number = _errno(problem, missing, denied, invalid)
        if number is None or getattr(problem.__traceback__, "tb_next", None) is not None:
            raise
        return -number
    return 0 if result is None else result


def _errno(problem: Exception, missing: int, denied: int, invalid: int) -> int | None:
    if isinstance(problem, sysv.ExistentialError):
        return missing
    if isinstance(problem, sysv.PermissionsError):
        return denied
    if isinstance(problem, sysv.BusyError):
        return EAGAIN
    if isinstance(problem, ValueError):
        return invalid
    if isinstance(problem, MemoryError):
        return ENOMEM
    if isinstance(problem, OSError):
        return problem.errno or ENOSPC  # the only one that comes as words alone
    if isinstance(problem, sysv.Error):
        return EINTR
    return None


ID = {"shm": "shmid", "sem": "semid", "msg": "msqid"}


def listed(table: str) -> int | list[Row]:
    try:
        with open(f"/proc/sysvipc/{table}") as lines:
            names = next(lines).split()
            return [dict(zip(names, line.split())) for line in lines]
    except OSError as problem:
        if problem.filename is None:  # a signal handler's
            raise
        return -(problem.errno or ENOENT)


def _row(table: str, column: str, value: int, missing: int) -> int | Row:
    rows = listed(table)
    if isinstance(rows, int):
        return rows
    return next((row for row in rows if int(row[column]) == value), -missing)


def row_of(table: str, id: int) -> int | Row:
    return _row(table, ID[table], id, EIDRM)


def find(table: str, key: int, least: int, column: str | None) -> int:
    """The id that belongs to this key, if *column* holds at least *least*."""
    row = _row(table, "key", key, ENOENT) if key else -ENOENT
    if isinstance(row, int):
        return row
    if column and int(row[column]) < least:
        return -EINVAL
    return int(row[ID[table]])


def _refused(row: Row) -> bool:
    """Whether IPC_STAT would be: the listing is for everybody, but a mode without reading means it."""
    mode, euid = int(row["perms"], 8), os.geteuid()
    if euid in (int(row["uid"]), int(row["cuid"])):
        mode >>= 6
    elif {int(row["gid"]), int(row["cgid"])} & {os.getegid(), *os.getgroups()}:
        mode >>= 3
    return not mode & 4 and not _may_see_everything()


def _may_see_everything() -> bool:
    cap_ipc_owner = 15
    try:
        with open("/proc/self/status") as lines:
            effective = next(line for line in lines if line.startswith("CapEff:"))
    except OSError as problem:
        if problem.filename is None:  # a signal handler's
            raise
        return False
    return bool(int(effective.split()[1], 16) >> cap_ipc_owner & 1)


def stat_row(table: str, id: int) -> int | Row:
    row = row_of(table, id)
    return -EACCES if not isinstance(row, int) and _refused(row) else row


def owner(row: Row) -> Owner:
    uid, gid, creator_uid, creator_gid = (int(row[name]) for name in ("uid", "gid", "cuid", "cgid"))
    return int(row["key"]), uid, gid, creator_uid, creator_gid, int(row["perms"], 8) & 0o777


def change(foreign: Any, *, uid: int, gid: int, mode: int, max_size: int = -1, denied: int = EPERM) -> int:
    if max(uid, gid) >= (1 << 32) - 1:
        return -EINVAL
    readable = call(getattr, foreign, "mode")
    if readable < 0:
        return int(readable)
    changes = [("max_size", max_size), ("gid", gid), ("mode", mode), ("uid", uid)]
    if mode >= 0 and not mode & 0o400:
        # Each change reads the other fields first, so a mode that forbids that comes last.
        changes[2:] = changes[3], changes[2]
    for name, value in changes:
        if value >= 0:
            result = call(setattr, foreign, name, value, denied=denied)
            if result < 0:
                return int(result)
    return 0


_MOST_KEPT = 256


class Reached:
    """Foreign sets or queues by id, though `sysv_ipc` opens by key alone.

    They are kept for speed only, and a bounded number of them, since one that has gone from here
    is opened anew. An id that was removed does not come to mean another object, but for one in
    billions: it contains a sequence number.
    """

    __slots__ = ("_kept", "_open", "_table")

    def __init__(self, table: str, open: Callable[..., Any]) -> None:
        self._table = table
        self._open = open
        self._kept: dict[tuple[int, ...], Any] = {}

    def get(self, id: int, *how: int) -> Any:
        """The object, or -errno; *how* is what else its kind is opened with."""
        foreign = self._kept.get((id, *how))
        if foreign is not None:
            return foreign
        row = row_of(self._table, id)
        if isinstance(row, int):
            return row
        if not int(row["key"]):
            return -ENOTSUP
        foreign = self._open(int(row["key"]), *how)
        if isinstance(foreign, int):
            return foreign
        if foreign.id != id:  # removed, and the key given to another, in between
            return -EIDRM
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[(id, *how)] = foreign
        return foreign


def create(make: Callable[..., Any], key: int, *how: int) -> Any:
    """A new set or queue, or -errno.

    A private one gets a key that nobody has. With IPC_PRIVATE there would be one foreign object of
    it, in this process alone: no other process could use it by its id, and one foreign object has
    one undo flag for all threads and one bound on the messages, for ever. The key is negative:
    those that people choose, or make with ftok(3) from a letter, are not.
    """
    if key:
        return call(make, key, sysv.IPC_CREX, *how, missing=EEXIST)
    while True:
        chosen = -1 - int.from_bytes(os.urandom(4), "little") // 2
        foreign = call(make, chosen, sysv.IPC_CREX, *how, missing=EEXIST)
        if not isinstance(foreign, int) or foreign != -EEXIST:
            return foreign
